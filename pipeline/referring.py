"""A loaded model as a function of photographs alone, as scoring, pages and votes use it.

A model that paints after references then paints after its own: training crops of the style that its package brings.
Which one is decided by the photograph's name, so that another model, or the same one tomorrow, is asked the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from pipeline.files import sha256_bytes
from pipeline.inference import Stylizer
from pipeline.scoring import Stylize, View

Named: TypeAlias = Callable[[str, Image.Image], Image.Image]
"""A photograph's name and any picture of it in, painting out."""


def named(stylizer: Stylizer, style: str | None = None) -> Named:
    """Return a model as a function of a photograph's name and picture.

    Args:
        stylizer: the model.
        style: after whose references one paints that takes some; the first that it has learnt, without.
    """
    if not stylizer.refers:
        return lambda name, image: stylizer(image)
    own = stylizer.references[style or str(stylizer.config["style"])]
    return lambda name, image: stylizer(image, reference=own[_place(name, len(own))])


def alone(stylizer: Stylizer, photographs: Iterable[View] = (), style: str | None = None) -> Stylize:
    """Return a model as a function of pictures alone.

    Args:
        stylizer: the model.
        photographs: views that are to be painted as `named` paints what has their names. Any other picture, such as
            a window of one of them, is painted after the first reference: what is compared with each other must not
            differ in that.
        style: see `named`.
    """
    if not stylizer.refers:
        return stylizer
    names = {_digest(view.pixels): view.name for view in photographs}
    paint, own = named(stylizer, style), stylizer.references[style or str(stylizer.config["style"])]

    def stylize(image: Image.Image) -> Image.Image:
        name = names.get(_digest(np.asarray(image)))
        return stylizer(image, reference=own[0]) if name is None else paint(name, image)

    return stylize


def learnt_through(config: Mapping[str, Any]) -> frozenset[str]:
    """Return the published networks that a package's model was trained through: what measures never trains."""
    origin = str(config["network"].get("encoder", ""))
    return frozenset({"vgg16"}) if origin.startswith("vgg16") else frozenset()


def _place(name: str, count: int) -> int:
    return int(sha256_bytes(name.encode())[:8], 16) % count


def _digest(pixels: np.ndarray[Any, Any]) -> str:
    return sha256_bytes(str(pixels.shape).encode() + pixels.tobytes())
