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


@dataclass(frozen=True)
class Reference(Condition):
    """After which pictures to paint, and how strongly."""

    images: Tensor
    """(N, R, 3, H, W) in [-1, 1]: R references of each photograph."""
    weights: Tensor
    """(N, R): how much each of them counts; at least 0, of sum 1 in each row."""
    strength: float = 1.0
    """0: the photograph as the method draws it; 1: the references' style."""

    def __post_init__(self) -> None:
        """Refuse what is no mixture of references.

        Raises:
            ValueError: shapes that do not belong together, weights that are no mixture, a strength beyond 0 to 1.
        """
        if self.images.ndim != 5 or self.images.shape[:2] != self.weights.shape:
            shapes = f"{tuple(self.images.shape)} and {tuple(self.weights.shape)}"
            raise ValueError(f"references and weights must be (N, R, 3, H, W) and (N, R), not {shapes}")
        if (self.weights < 0).any() or not ((self.weights.sum(1) - 1).abs() < 1e-4).all():
            raise ValueError("the weights of references must be at least 0 and have the sum 1 for each photograph")
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength is {self.strength}; it must be between 0 and 1")
