"""Methods: one file and one class each, all behind the one interface of `base`."""

from __future__ import annotations

from pipeline.methods.adain import AdainMethod
from pipeline.methods.base import Method
from pipeline.methods.cut import CutMethod, FastCutMethod
from pipeline.methods.cyclegan import CycleGanMethod
from pipeline.methods.dcgan import DcganMethod
from pipeline.methods.infogan import InfoganMethod
from pipeline.methods.pix2pix import Pix2PixMethod
from pipeline.methods.stylegan2 import Stylegan2Method
from pipeline.params import Params

METHODS: dict[str, type[Method]] = {
    "cut": CutMethod,
    "fastcut": FastCutMethod,
    "cyclegan": CycleGanMethod,
    "adain": AdainMethod,
    "dcgan": DcganMethod,
    "pix2pix": Pix2PixMethod,
    "stylegan2": Stylegan2Method,
    "infogan": InfoganMethod,
}


def build_method(name: str, params: Params) -> Method:
    """Return a new method with freshly initialised networks; the same seed gives the same weights.

    Raises:
        ValueError: no method has that name.
    """
    if name not in METHODS:
        raise ValueError(f"unknown method {name!r}; choose one of {', '.join(METHODS)}")
    return METHODS[name](params)
