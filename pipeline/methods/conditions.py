"""What a method may be told besides its input: typed values, each declared by the methods that take it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Condition:
    """What all conditions are: frozen, with tensors that have one row an image."""


@dataclass(frozen=True)
class NoCondition(Condition):
    """Nothing is asked for: the method's own choice."""


NOTHING = NoCondition()


@dataclass(frozen=True)
class Code(Condition):
    """Values of codes by name, the same for all images; codes that are not named are drawn like the noise."""

    values: Mapping[str, float] = field(default_factory=dict)
    """Such as `{"k1": 3, "c2": -0.5}`: see `pipeline.networks.codes.Codes`."""


@dataclass(frozen=True)
class Direction(Condition):
    """Which way a method goes that learns both."""

    reverse: bool = False
    """False: photograph to painting; True: painting to photograph."""


@dataclass(frozen=True)
class Mask(Condition):
    """Where pictures are lost."""

    holes: Tensor
    """(N, 1, H, W), 1 where the picture is lost and 0 where it must stay as it is."""

    def fits(self, pictures: Tensor) -> None:
        """Return when there is a mask of their size for pictures (N, 3, H, W).

        Raises:
            ValueError: there is not.
        """
        wanted = (len(pictures), 1, *pictures.shape[2:])
        if tuple(self.holes.shape) != wanted:
            raise ValueError(f"the mask has the shape {tuple(self.holes.shape)}; these pictures need {wanted}")
