"""The registry of methods: one module and one line each. Everything that knows all methods knows them from here."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

from pipeline.params.methods.adain import Adain
from pipeline.params.methods.cut import Cut
from pipeline.params.methods.cyclegan import CycleGan
from pipeline.params.methods.dcgan import Dcgan
from pipeline.params.methods.fastcut import FastCut
from pipeline.params.methods.infogan import Infogan
from pipeline.params.methods.pix2pix import Pix2Pix
from pipeline.params.methods.stylegan2 import Stylegan2
from pipeline.params.section import Section


@dataclass(frozen=True)
class MethodSections:
    """The sections of all methods, in the order in which they are listed."""

    cut: Cut
    fastcut: FastCut
    cyclegan: CycleGan
    adain: Adain
    dcgan: Dcgan
    pix2pix: Pix2Pix
    stylegan2: Stylegan2
    infogan: Infogan


def _sections() -> dict[str, type[Section]]:
    hints = typing.get_type_hints(MethodSections)
    return {each.name: hints[each.name] for each in fields(MethodSections)}


SECTIONS: Mapping[str, type[Section]] = MappingProxyType(_sections())
"""Method -> the class of its section of params.yaml."""
