"""What a request is refused with: a status, a code for programs, and a sentence for people."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pipeline.image_files import Refused

_UPLOADS: Mapping[str, tuple[int, str]] = MappingProxyType(
    {
        "too_large": (413, "This picture is too large to be painted here: {detail}. Send a smaller copy."),
        "not_image": (415, "This is no picture that can be read: {detail}. Export it as JPEG or PNG."),
        "float": (415, "This picture has floating-point samples, so nobody knows its white. Export 8 or 16 bits."),
        "multiframe": (415, "This file holds several pages or an animation. Save the one that you mean."),
        "truncated": (422, "This picture ends too early ({detail}). Copy it again from where it came."),
        "unreadable": (422, "This picture is damaged, or of a kind that is not read: {detail}."),
        "empty": (422, "This picture has one colour all over; there is nothing to paint."),
        "too_small": (422, "This picture is too small: {detail}."),
        "extreme_aspect": (422, "This picture is too long for its width: {detail}."),
        "decoder_timeout": (422, "Opening this picture took too long ({detail}). Export it anew."),
        "decoder_crash": (422, "This picture could not be opened safely: {detail}. Export it anew."),
    }
)


class Problem(Exception):  # noqa: N818 (an answer, as its reader sees it)
    """A request that is not granted: HTTP status, code, and what to tell whoever asked."""

    def __init__(self, status: int, code: str, sentence: str, retry_after: int | None = None) -> None:
        """Keep all; `retry_after` is in seconds, for those that may come again."""
        super().__init__(sentence)
        self.status, self.code, self.sentence = status, code, sentence
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}


def refused(refusal: Refused) -> Problem:
    """Return what a picture that is not accepted is answered with."""
    status, words = _UPLOADS.get(refusal.code, (422, "This picture cannot be painted: {detail}."))
    return Problem(status, refusal.code, words.format(detail=refusal.detail.rstrip(".")))
