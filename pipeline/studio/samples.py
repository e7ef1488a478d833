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
SIDES: Mapping[str, int] = MappingProxyType({"small": 240, "full": 1024})  # px


@cache
def sample(number: int, size: str) -> bytes:
    """Return a sample as JPEG. Made once: it takes a second."""
    return photo_bytes(number, side=SIDES[size])
