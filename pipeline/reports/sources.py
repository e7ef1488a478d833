"""What people call the things that are shown beside each other: the model, and the controls it is held against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

MODEL = "model"


@dataclass(frozen=True)
class Source:
    """The title of a column, and a line on what it is."""

    title: str
    note: str


_KNOWN: Mapping[str, Source] = MappingProxyType(
    {
        "photograph": Source("Photograph", "the photograph, untouched"),
        "lab_transfer": Source("Lab transfer", "its colours moved to those of the artworks, without a stroke"),
        "lab_painterly": Source("Lab and filter", "the same under a painterly filter, as any image editor has one"),
        "mean_image": Source("Mean image", "the mean of training paintings, always the same"),
        "spectral_noise": Source("Noise", "noise with the spectrum and colours of training paintings"),
        "shuffled": Source("Mosaics", "small blocks of training paintings, shuffled"),
        "damaged": Source("Damaged", "what is left, as it is"),
        "bicubic": Source("Bicubic", "bicubic interpolation, as any image editor has it"),
        "smooth": Source("Smooth", "colours that run smoothly from edge to edge: the model’s first guess"),
        "telea": Source("Telea", "OpenCV’s inpainting by fast marching (Telea 2004)"),
        "navier_stokes": Source("Navier-Stokes", "OpenCV’s inpainting as a fluid flows (Bertalmio et al. 2001)"),
        "chance": Source("Chance", "guessing"),
        MODEL: Source("This model", "the model"),
        "original": Source("Original", "the artwork as it was"),
        "paintings": Source("Paintings", "held-out paintings against each other"),
    }
)


def source(name: str) -> Source:
    """Return what a source is called; one that is not known here by its own name."""
    plain = name.replace("_", " ")
    return _KNOWN.get(name, Source(plain.capitalize(), plain))


def in_order(names: Iterable[str]) -> list[str]:
    """Return the names as they are shown: from the photograph up to model and paintings, the unknown first."""
    order = list(_KNOWN)
    return sorted(names, key=lambda name: (order.index(name) if name in order else -1, name))
