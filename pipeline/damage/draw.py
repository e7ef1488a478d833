"""What each kind of restoration has to undo: originals in, what is left of them out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.damage import degradation, masks, wear
from pipeline.damage.dice import Dice
from pipeline.params import Damage


class Damaged(NamedTuple):
    """What is left of pictures."""

    pictures: Tensor
    """(N, 3, H, W) in [-1, 1]; grey (0) in holes; reduced where resolution was lost."""
    holes: Tensor | None
    """(N, 1, H, W), 1 where the picture is lost; None where nobody says what is."""


GRADES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "inpaint": MappingProxyType({name: float(place) for place, name in enumerate(masks.SIZES)}),
        "restore": MappingProxyType({"light": 0.4, "heavy": 0.9}),
        "super_resolution": MappingProxyType({"clean": 0.0, "worn": 0.6}),
    }
)
"""Task -> how badly held-out artworks are damaged, by name: places in `masks.SIZES`, or shares of the worst."""


def grades_of(task: str, settings: Damage) -> Mapping[str, float]:
    """Return the grades that a model of these settings is judged on: for holes, the sizes it was trained on."""
    return {name: at for name, at in GRADES[task].items() if task != "inpaint" or name in settings.sizes}


def any_grade(task: str, settings: Damage, dice: Dice) -> Tensor:
    """Return the grade of each picture of a training step, (N,): any size of holes, or any share of the worst."""
    if task != "inpaint":
        return dice.uniform(0, 1)
    places = list(grades_of(task, settings).values())
    return torch.tensor(places, device=dice.device)[dice.integer(len(places))]


def damage(originals: Tensor, task: str, scale: int, settings: Damage, grade: Tensor, dice: Dice) -> Damaged:
    """Return what is left of originals.

    Args:
        originals: (N, 3, H, W) in [-1, 1].
        task: `inpaint`, `restore` or `super_resolution`.
        scale: by which `super_resolution` reduces.
        settings: the worst.
        grade: (N,), see `GRADES`.
        dice: draws all that is random.
    """
    return _TASKS[task](originals, scale, settings, grade, dice)


def _holes(originals: Tensor, scale: int, settings: Damage, grade: Tensor, dice: Dice) -> Damaged:
    del scale, settings
    found = masks.holes(originals.shape[2], originals.shape[3], grade.long(), dice)
    return Damaged(originals * (1 - found), found)


def _worn(originals: Tensor, scale: int, settings: Damage, grade: Tensor, dice: Dice) -> Damaged:
    del scale
    pictures = wear.stain(originals, grade, settings.stains, dice)
    pictures = wear.fade(pictures, grade, settings.fading, dice)
    pictures = wear.scratch(pictures, grade, settings.scratches, dice)
    return Damaged(_stored(wear.grain(pictures, grade, settings.noise, dice)), None)


def _reduced(originals: Tensor, scale: int, settings: Damage, grade: Tensor, dice: Dice) -> Damaged:
    pictures = originals
    if settings.blur:
        pictures = degradation.blur(pictures, grade * settings.blur * dice.uniform(0.3, 1), settings.blur)
    pictures = wear.grain(degradation.reduce(pictures, scale), grade, settings.noise, dice)
    if settings.quality < 100:
        quality = 100 - grade * (100 - settings.quality) * dice.uniform(0.3, 1)
        pictures = degradation.jpeg(pictures, torch.where(grade > 0, quality.round(), 100.0))
    return Damaged(_stored(pictures), None)


def _stored(pictures: Tensor) -> Tensor:
    """Return pictures as a file of 8 bits holds them."""
    return ((pictures.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


_TASKS: Mapping[str, Callable[[Tensor, int, Damage, Tensor, Dice], Damaged]] = MappingProxyType(
    {"inpaint": _holes, "restore": _worn, "super_resolution": _reduced}
)
