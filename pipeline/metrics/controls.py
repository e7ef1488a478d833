"""Controls: what a model must beat to have earned its training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

from pipeline.colour import transfer_lab
from pipeline.metrics.references import Pixels

Palette: TypeAlias = Mapping[str, Sequence[float]]
Control: TypeAlias = Callable[[Pixels, Palette], Pixels]


def untouched(photograph: Pixels, palette: Palette) -> Pixels:
    """Return the photograph itself."""
    del palette
    return photograph


def recoloured(photograph: Pixels, palette: Palette) -> Pixels:
    """Return the photograph with Lab mean and deviation of the training paintings: colour without a stroke."""
    return transfer_lab(photograph, palette["lab_mean"], palette["lab_std"])


CONTROLS: Mapping[str, Control] = MappingProxyType({"photograph": untouched, "lab_transfer": recoloured})
UPPER = "paintings"
"""The name of the control above: held-out paintings against each other."""
