"""The built-in sample photographs that a visitor may begin with."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from pipeline.sample_data import photo_bytes

SAMPLES: Mapping[str, int] = MappingProxyType(
    {
        "A pagoda among trees": 15,
        "Apples on a cloth": 1,
        "A dahlia": 0,
        "An autumn wood": 10,
        "A lake": 8,
        "Houses": 20,
    }
)
"""Title -> number of the photograph in `pipeline.sample_data`."""
SIDES: Mapping[str, int] = MappingProxyType({"small": 240, "full": 512})  # px; at 1024 a drawn one takes 10 s
_PHOTOGRAPHED = {0, 15}  # which are there, and need not be drawn
_PHOTOGRAPHED_SIDE = 1024  # px


@cache
def sample(number: int, size: str) -> bytes:
    """Return a sample as JPEG. Made once: it takes up to some seconds."""
    return photo_bytes(number, side=_PHOTOGRAPHED_SIDE if size == "full" and number in _PHOTOGRAPHED else SIDES[size])
