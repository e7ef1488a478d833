"""What a package holds besides weights: its ONNX graphs, facts for whoever loads it, a preview; one module a task."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pipeline.catalogue import Task
from pipeline.packers.base import Packer
from pipeline.packers.generation import GenerationPacker
from pipeline.packers.reference import ReferencePacker
from pipeline.packers.restoration import RestorationPacker
from pipeline.packers.translation import TranslationPacker

PACKERS: Mapping[Task, Packer] = MappingProxyType(
    {"stylize": TranslationPacker(), "generate": GenerationPacker(), "restore": RestorationPacker()}
)


def packer_of(config: Mapping[str, Any]) -> Packer:
    """Return what packs the networks of a training with this config."""
    return ReferencePacker() if config.get("reference") else PACKERS[config["task"]]
