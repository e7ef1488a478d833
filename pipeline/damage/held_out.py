"""The damage that restorations are judged on: the same whoever asks, whenever and in whatever order."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pipeline.damage.dice import Dice
from pipeline.damage.draw import damage, grades_of
from pipeline.images import to_image, to_tensor
from pipeline.params import Damage

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Specimen:
    """What is left of a picture, as files would hold it."""

    picture: Image.Image
    mask: Image.Image | None
    """Mode L in the picture's size: 255 where it is lost, 0 elsewhere; None where nobody says what is."""


@dataclass(frozen=True)
class Wear:
    """What a model is for and how badly it was trained on: decides what it is judged on."""

    task: str
    scale: int
    damage: Damage

    @staticmethod
    def of_package(config: Mapping[str, Any]) -> Wear:
        """Return that of a package, from its config."""
        tree = config["training"][config["method"]]
        settings = tree["damage"]
        scale = tree["scale"] if tree["task"] == "super_resolution" else 1  # else it is the last one's who asked
        return Wear(tree["task"], scale, Damage(**{**settings, "sizes": tuple(settings["sizes"])}))

    @property
    def grades(self) -> tuple[str, ...]:
        """The names of how badly held-out pictures are damaged, see `draw.GRADES`."""
        return tuple(grades_of(self.task, self.damage))

    def specimen(self, name: str, pixels: NDArray[np.uint8], grade: str) -> Specimen:
        """Return what is left of an artwork; `name`, its hash, decides where the damage lies."""
        digest = hashlib.sha256(f"{self.task}:{grade}:{name}".encode()).digest()
        draw = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
        at = torch.tensor([grades_of(self.task, self.damage)[grade]])
        original = to_tensor(Image.fromarray(pixels))[None]
        left = damage(original, self.task, self.scale, self.damage, at, Dice(draw, 1, _CPU))
        mask = None if left.holes is None else Image.fromarray((left.holes[0, 0].numpy() * 255).astype(np.uint8))
        return Specimen(to_image(left.pictures[0]), mask)
