"""Panels: what is watched of a training, and what its sample pictures show; one module a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch

from pipeline.catalogue import Task
from pipeline.methods.base import Method
from pipeline.methods.conditions import Reference
from pipeline.panels.base import Material, Panel
from pipeline.panels.generation import generation
from pipeline.panels.reference import referring
from pipeline.panels.restoration import restoration
from pipeline.panels.translation import translation

PANELS: Mapping[Task, Callable[[Material, torch.Generator], Panel]] = MappingProxyType(
    {"stylize": translation, "generate": generation, "restore": restoration}
)


def panel_of(method: Method, material: Material, draw: torch.Generator) -> Panel:
    """Return the panel of a method's training."""
    make = referring if Reference in method.conditions else PANELS[method.task]
    return make(material, draw)
