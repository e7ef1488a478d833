"""Which files of published weights params.yaml asks for: looked at, and set to those that are here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pipeline.params import Params, load_params
from pipeline.presets import Change, apply_changes
from pipeline.weights import cache, locate, sha256

KEYS: Mapping[str, tuple[tuple[str, ...], ...]] = MappingProxyType(
    {
        "vgg16": (("weights", "vgg16_sha256"), ("adain", "encoder", "vgg16_sha256")),
        "inception": (("weights", "inception_sha256"),),
    }
)
"""Kind of weights -> the keys of params.yaml that say which file they must be: for an evaluation, for a training."""


@dataclass(frozen=True)
class Pinned:
    """One kind of weights: the file here, if any, and what is asked for."""

    kind: str
    path: Path | None
    sha256: str
    wanted: Mapping[str, str]  # dotted key -> digest

    @property
    def strange(self) -> tuple[str, ...]:
        """The keys that ask for another file than the one that is here."""
        if self.path is None:
            return ()
        return tuple(key for key, wanted in self.wanted.items() if not self.sha256.startswith(wanted))

    def __str__(self) -> str:
        """Return it for a terminal, in a line."""
        if self.path is None:
            return f"{self.kind}: none here, and none needed (weights.{self.kind}, or {cache()})"
        said = f"not what {' and '.join(self.strange)} asks for" if self.strange else "as asked for"
        return f"{self.kind}: {self.path}, SHA-256 {self.sha256}: {said}"


def look(params_file: Path) -> tuple[Pinned, ...]:
    """Return what is here and what is asked for, of every kind.

    Raises:
        ValueError: params.yaml is wrong, or names a file that is not there.
    """
    params = load_params(params_file)
    return tuple(_look(params, kind) for kind in KEYS)


def pin(params_file: Path) -> list[Change]:
    """Ask in params.yaml for the files that are here, where it asks for others; return what changed.

    Raises:
        ValueError: see `look`.
    """
    changes: dict[str, Any] = {}
    for each in look(params_file):
        for key in each.strange:
            *path, last = key.split(".")
            place = changes
            for part in path:
                place = place.setdefault(part, {})
            place[last] = each.sha256
    return apply_changes(params_file, changes)


def _look(params: Params, kind: str) -> Pinned:
    tree, path = params.tree(), locate(kind, getattr(params.weights, kind))
    wanted = {".".join(key): str(_at(tree, key)) for key in KEYS[kind]}
    return Pinned(kind, path, "" if path is None else sha256(path), wanted)


def _at(tree: Any, key: tuple[str, ...]) -> Any:
    for part in key:
        tree = tree[part]
    return tree
