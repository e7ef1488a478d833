"""Panels: what is watched of a training, and what its sample pictures show; one module a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch

from pipeline.catalogue import Task
from pipeline.panels.base import Material, Panel
from pipeline.panels.generation import generation
from pipeline.panels.restoration import restoration
from pipeline.panels.translation import translation

PANELS: Mapping[Task, Callable[[Material, torch.Generator], Panel]] = MappingProxyType(
    {"stylize": translation, "generate": generation, "restore": restoration}
)
