"""The two sides of a vote: what a command line means by them, what they are called, and what names the pair."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pipeline.files import digest_json, read_json, write_json
from pipeline.workspace import Workspace

TITLES: Mapping[str, str] = MappingProxyType(
    {
        "photograph": "the untouched photograph",
        "lab_transfer": "Lab transfer",
        "lab_painterly": "Lab transfer with a painterly filter",
    }
)
"""What the controls of the evaluation are called in a sentence."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Side:
    """Something that repaints: a package, or a control where `package` is None.

    key is the package's digest or the control's name; label is how to speak of it.
    """

    key: str
    label: str
    package: Path | None = None


@dataclass(frozen=True)
class Pair:
    """A package and what it is held against. The same two sides are the same pair, whichever is named first."""

    model: Side
    rival: Side

    @property
    def digest(self) -> str:
        """Name of the pair, in file names."""
        return digest_json(sorted((self.model.key, self.rival.key)))[:20]

    def ballots(self, workspace: Workspace) -> Path:
        """Return the file of the pair's ballots."""
        return workspace.var / "votes" / f"{self.digest}.jsonl"

    def pictures(self, workspace: Workspace) -> Path:
        """Return the folder of the pair's pictures, which may be deleted at any time."""
        return workspace.work / "votes" / self.digest


def title(key: str) -> str:
    """Return how to speak of a side of which only the key is known."""
    return TITLES.get(key) or (f"package {key[:12]}" if _DIGEST.fullmatch(key) else key.replace("_", " "))


def write_labels(workspace: Workspace, pair: Pair) -> None:
    """Note beside the ballots what their sides were called: a digest says nothing to a reader."""
    labels = {side.key: side.label for side in (pair.model, pair.rival)}
    path = pair.ballots(workspace).with_suffix(".json")
    if read_labels(path) != labels:
        write_json(path, {"format": 1, "labels": labels})


def read_labels(ballots: Path) -> dict[str, str]:
    """Return key -> label as noted beside a file of ballots; empty where that is missing or damaged."""
    try:
        labels = read_json(ballots.with_suffix(".json"))["labels"]
        return {str(key): str(label) for key, label in labels.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def find_pair(workspace: Workspace, name: str, against: str | None) -> Pair:
    """Return what `NAME --against RIVAL` means.

    Without a rival it is the model's champion, where that is another package, or else Lab transfer.

    Raises:
        ValueError: it means nothing here, or both sides are the same.
    """
    model = find_model(workspace, name)
    if against is None:
        return Pair(model, _champion(workspace, model, name) or Side("lab_transfer", title("lab_transfer")))
    if against in _controls():
        return Pair(model, Side(against, title(against)))
    try:
        rival = _package(workspace, against)
    except ValueError as error:
        raise ValueError(f"{error}; controls: {', '.join(_controls())}") from error
    if rival.key == model.key:
        raise ValueError(f"{name} and {against} are the same package; choose another with --against")
    return Pair(model, rival)


def find_model(workspace: Workspace, text: str) -> Side:
    """Return the package that `NAME`, `NAME@VERSION`, `NAME@alias` or a package's folder means.

    A name alone is its challenger, or its champion where there is no challenger.

    Raises:
        ValueError: there is no such package.
    """
    if text in _controls():
        raise ValueError(f"{text} is a control: name the model first, and the control with --against {text}")
    return _package(workspace, text)


def _package(workspace: Workspace, text: str) -> Side:
    from pipeline.registry import CHALLENGER, aliases_of, models, verify
    from pipeline.stylize import find_package

    if text in models(workspace) and CHALLENGER in aliases_of(workspace, text):
        text = f"{text}@{CHALLENGER}"
    found = find_package(workspace, text)
    digest = verify(found.directory, found.expected)
    if found.expected:
        label = found.label.partition(" (")[0]  # without the alias, which moves on
    else:
        label = f"{_recipe(found.directory) or found.directory.resolve().name} ({title(digest)})"
    return Side(digest, label, found.directory)


def _recipe(package: Path) -> str:
    """Return the name of the recipe that a package was made by; empty if it does not say."""
    return str(read_json(package / "config.json").get("recipe") or "")


def _champion(workspace: Workspace, model: Side, text: str) -> Side | None:
    """Return the champion of a side's name where that is another package."""
    from pipeline.registry import champion

    assert model.package is not None
    name = _recipe(model.package) if (Path(text) / "manifest.json").is_file() else text.partition("@")[0]
    found = champion(workspace, name) if name else None
    if found is None or found.package == model.key:
        return None
    return Side(found.package, f"{name} version {found.version}", found.directory)


def _controls() -> tuple[str, ...]:
    from pipeline.metrics.controls import CONTROLS

    return tuple(CONTROLS)
