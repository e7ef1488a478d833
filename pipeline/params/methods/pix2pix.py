"""The section `pix2pix`: what undoes damage that is drawn on artworks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pipeline.params.data import Prepare
from pipeline.params.facts import Facts
from pipeline.params.networks import Discriminator
from pipeline.params.ranges import Adversarial, Between, Weight
from pipeline.params.section import Section
from pipeline.params.training import Train


@dataclass(frozen=True)
class Unet:
    """U-Net of pix2pix."""

    channels: Annotated[int, Between(2, 512)]  # of the first layer, doubled up to 8 times
    depth: Annotated[int, Between(2, 10)]  # halvings; 8 bring 256 px down to 1
    norm: Literal["batch", "instance", "channel", "none"]
    dropout: Annotated[float, Between(0, 0.9)]  # in the three lowest layers of the decoder, while training; 0: none
    residual: bool  # the network corrects a first guess (holes filled smoothly, bicubic); else it draws from nothing


@dataclass(frozen=True)
class Damage:
    """How badly artworks are damaged at most; each is drawn anew for every crop."""

    sizes: tuple[str, ...]  # of holes, see `pipeline.damage.masks.SIZES`
    scratches: Annotated[int, Between(0, 16)]  # of `restore`, a picture
    stains: Annotated[int, Between(0, 8)]  # of `restore`, a picture
    fading: Annotated[float, Between(0, 1)]  # share of contrast and of colour that is lost
    blur: Annotated[float, Between(0, 8)]  # deviation, px of the picture before it is reduced
    noise: Annotated[float, Between(0, 64)]  # deviation, 8-bit levels
    quality: Annotated[int, Between(5, 100)]  # least of JPEG; 100: it is not compressed


@dataclass(frozen=True)
class Pix2PixWeights:
    """Weights of the generator's losses."""

    gan: Weight
    l1: Weight


_SIZES = ("fine", "medium", "large")  # as in `damage.masks`


@dataclass(frozen=True)
class Pix2Pix(Section):
    """Conditional GAN that undoes damage."""

    facts: ClassVar[Facts] = Facts(
        task="restore",
        photographs=False,
        what="conditional GAN on damage drawn on artworks; `pix2pix.task`: inpaint, restore, super_resolution",
        cost="half of cut's a step on a CPU in the demo's preset; at the published size, a GPU",
        needs="some tens of artworks; better hundreds",
        choose="to fill holes under a mask, to clean what is faded, stained or noisy, or to enlarge by 2 or 4",
    )

    task: Literal["inpaint", "restore", "super_resolution"]
    scale: Literal[2, 4]  # of super_resolution
    generator: Unet
    discriminator: Discriminator
    gan: Adversarial
    damage: Damage
    weights: Pix2PixWeights

    def check(self, name: str, train: Train, prepare: Prepare) -> None:
        """Return when the values suit each other and the training; see `Section.check`."""
        sizes = self.damage.sizes
        wrong = [size for size in sizes if size not in _SIZES]
        if wrong or not sizes or len(set(sizes)) < len(sizes):
            what = f"names {wrong[0]!r}" if wrong else "names none" if not sizes else "names one twice"
            raise ValueError(f"'pix2pix.damage.sizes' {what}; choose each once of {', '.join(_SIZES)}")
        if self.task == "super_resolution":
            for key, side in (("train.crop", train.crop), ("prepare.view", prepare.view)):
                if side % self.scale:
                    raise ValueError(
                        f"{key} is {side}, which is no multiple of pix2pix.scale ({self.scale}); "
                        f"set it to {side // self.scale * self.scale}"
                    )
