"""Which methods there are, for what, and when to choose them. Facts alone: nothing here brings torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

Task: TypeAlias = Literal["stylize", "generate", "restore"]
"""What a model is for; everything around a method asks for it, and nothing asks for the method's name."""

_DOES: Mapping[str, str] = MappingProxyType(
    {
        "stylize": "repaints photographs (`atelier stylize`)",
        "generate": "makes images out of noise (`atelier generate`)",
        "restore": "restores damaged pictures (`atelier repair`)",
    }
)


@dataclass(frozen=True)
class Facts:
    """What a person wants to know of a method before choosing it, and what a recipe of it learns from."""

    task: Task
    photographs: bool  # whether it learns from photographs beside the artworks
    what: str
    cost: str
    needs: str
    choose: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """What a new recipe of it overrides: published settings of what all methods share. There they can be read."""
    reference: bool = False  # whether it paints after a reference picture, so that a recipe may have several styles


METHODS: Mapping[str, Facts] = MappingProxyType(
    {
        "cut": Facts(
            task="stylize",
            photographs=True,
            what="contrastive unpaired translation: photograph to painting, one way",
            cost="minutes on a CPU at 96 px; the preset for a GPU at 256 px has not been timed",
            needs="20 photographs and 8 artworks; better some hundred of each",
            choose="the default: any style, subjects stay recognisable",
        ),
        "fastcut": Facts(
            task="stylize",
            photographs=True,
            what="FastCUT as published: contrastive translation with mirrored images, and no statistics losses",
            cost="one and a half times cut's a step on a CPU; as published, many more steps",
            needs="some hundred photographs and artworks",
            choose="for the published method at the least cost and memory",
        ),
        "cyclegan": Facts(
            task="stylize",
            photographs=True,
            what="cycle-consistent translation as published: photograph to painting, and painting to photograph",
            cost="four times cut's a step on a CPU, four networks in memory; as published, many more steps",
            needs="some hundred photographs and artworks",
            choose="if the way back is wanted (`atelier stylize --reverse`), or no detail may be lost",
        ),
        "adain": Facts(
            task="stylize",
            photographs=True,
            what="AdaIN: photograph to painting after any reference picture, of one or many styles",
            cost="as much as cut a step on a CPU, with an encoder of its own; VGG16 wants a GPU",
            needs="20 photographs, 8 artworks of each style; better VGG16's weights, many styles, hundreds of each",
            choose="for one model of many styles, mixtures of them, and references that it never saw",
            reference=True,
        ),
        "dcgan": Facts(
            task="generate",
            photographs=False,
            what="noise to small new images, by transposed convolutions (Radford et al. 2016)",
            cost="half of cut's a step on a CPU, and thousands of steps",
            needs="some tens of artworks; better thousands",
            choose="for small studies and colour ideas out of nothing: light, well understood, 128 px at most",
        ),
        "pix2pix": Facts(
            task="restore",
            photographs=False,
            what="conditional GAN on damage drawn on artworks; `pix2pix.task`: inpaint, restore, super_resolution",
            cost="half of cut's a step on a CPU in the demo's preset; at the published size, a GPU",
            needs="some tens of artworks; better hundreds",
            choose="to fill holes under a mask, to clean what is faded, stained or noisy, or to enlarge by 2 or 4",
        ),
        "stylegan2": Facts(
            task="generate",
            photographs=False,
            what="noise to new images, by styles, with adaptive augmentation (StyleGAN2-ADA, Karras et al. 2020)",
            cost="a GPU and hours; minutes on a CPU at 32 px show colours and strokes",
            needs="some hundred artworks: augmentation makes up for few; better thousands",
            choose="for the best images out of noise: truncation, ways between images, 128 px and more",
            overrides={
                "train": {
                    "batch": 32,
                    "learning_rate": 0.0025,
                    "beta1": 0.0,
                    "beta2": 0.99,
                    "decay_from": 1.0,
                    "ema": 0.998,
                }
            },
        ),
        "infogan": Facts(
            task="generate",
            photographs=False,
            what="dcgan with codes that the images reveal, found without labels (Chen et al. 2016)",
            cost="a tenth more than dcgan's a step",
            needs="as dcgan: some tens of artworks; better thousands",
            choose="if kinds and tendencies of images should have a handle (`atelier generate --code k1=3`)",
        ),
    }
)


def facts_of(method: str) -> Facts:
    """Return the facts of a method.

    Raises:
        ValueError: no method has that name.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; choose one of {', '.join(METHODS)}")
    return METHODS[method]


def does(task: str) -> str:
    """Return what a model of a task does, as the end of a sentence about it."""
    return _DOES.get(task, f"is for the task {task!r}, which this version does not know")


def require_task(what: str, task: str, wanted: Task) -> None:
    """Return when something of a task is asked for just that.

    Args:
        what: how to speak of it: `method 'cut'`, `the package models/monet`.
        task: its own.
        wanted: what it is asked for.

    Raises:
        ValueError: that is another task.
    """
    if task != wanted:
        raise ValueError(f"{what} {does(task)}; it cannot do the task {wanted!r}: choose one that {does(wanted)}")
