"""The joint score: style that cost no content, content that shows style. One figure to rank by, never to judge by."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.metrics.bootstrap import Samples

_CONTENT, _STYLE = "content/structure", "style/patch_swd"


def joint(samples: Mapping[str, Samples]) -> dict[str, Samples]:
    """Return samples of `joint/score`: (1 + content distance) * (1 + style distance), row by row.

    The form is that of ArtFID (Wright and Ommer 2022), the name is not: ArtFID is a Frechet distance and LPIPS on
    features of published networks. Content distance here is 1 - `content/structure` (0 to 2), style distance
    `style/patch_swd`.

    Args:
        samples: of a set of outputs, both of these metrics among them.
    """
    content = 1 - samples[_CONTENT]
    return {"joint/score": (1 + content) * (1 + samples[_STYLE])}
