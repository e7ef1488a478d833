"""All of params.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pipeline.params.data import Ingest, Prepare
from pipeline.params.evaluation import Evaluate, Gate, Judge
from pipeline.params.methods import SECTIONS, MethodSections
from pipeline.params.operations import Notify, Ops, Prune, Publish, Retrain, Up, Watch
from pipeline.params.parsing import merge, parse_dataclass, read_tree
from pipeline.params.ranges import Between, Tree
from pipeline.params.section import Section
from pipeline.params.serving import Serve
from pipeline.params.training import Train
from pipeline.params.weights import Weights


@dataclass(frozen=True)
class _Common:
    """What stands above the methods."""

    seed: Annotated[int, Between(0, 2**31 - 1)]
    ingest: Ingest
    prepare: Prepare
    train: Train


@dataclass(frozen=True)
class Params(MethodSections, _Common):
    """All of params.yaml."""

    judge: Judge
    evaluate: Evaluate
    gate: Gate
    retrain: Retrain
    watch: Watch
    ops: Ops
    notify: Notify
    prune: Prune
    publish: Publish
    serve: Serve
    up: Up
    weights: Weights

    def tree(self) -> Tree:
        """Return plain values, as in the file."""
        return asdict(self)


OVERRIDABLE = ("seed", "train", *SECTIONS, "evaluate")


def load_params(path: Path, overrides: Mapping[str, Any] | None = None) -> Params:
    """Return the checked parameters of `path`, with a recipe's `overrides` on top.

    Raises:
        ValueError: a key is missing or unknown, or a value has the wrong type or is out of range.
    """
    tree = read_tree(path)
    try:
        return parse(merge(tree, overrides or {}))
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def parse(tree: Mapping[str, Any]) -> Params:
    """Return checked parameters from plain values.

    Raises:
        ValueError: see `load_params`.
    """
    params: Params = parse_dataclass(Params, tree, "")
    _check_together(params)
    return params


def _check_together(params: Params) -> None:
    if params.train.crop > params.prepare.crop:
        raise ValueError(
            f"train.crop is {params.train.crop} px but stored crops have {params.prepare.crop} px; "
            f"set train.crop to {params.prepare.crop} or less, or raise prepare.crop"
        )


def check_method(params: Params, method: str) -> None:
    """Return when parameters suit a method; of the methods that no recipe uses, nothing is asked.

    Raises:
        ValueError: what does not, and what to set.
    """
    section: Section = getattr(params, method)
    section.check(method, params.train, params.prepare)
