"""Repaint files with a package or a champion: one file or a whole folder, past whatever cannot be read."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.files import write_atomic
from pipeline.images import Limits, Refused, decode
from pipeline.params import load_params
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from PIL.Image import Image

    from pipeline.inference import Stylizer

_WRITERS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
_READABLE = {*_WRITERS, ".bmp", ".gif", ".avif"}


@dataclass(frozen=True)
class Package:
    """Where a model lies, the digest it must have if a registry recorded one, and how to speak of it."""

    directory: Path
    expected: str | None
    label: str


@dataclass(frozen=True)
class Result:
    """One file: where its painting lies, or why there is none."""

    source: Path
    target: Path
    problem: str = ""


def find_package(workspace: Workspace | None, model: str | None) -> Package:
    """Return what a model's name means: a package folder, `NAME` (its champion), `NAME@3`, `NAME@challenger`.

    None means the only champion there is.

    Raises:
        ValueError: it means nothing here; the message says what would.
    """
    if model is not None and (Path(model) / "manifest.json").is_file():
        return Package(Path(model), None, model)
    if workspace is None:
        raise ValueError(f"{model or 'no --model'}: outside of a workspace --model must be a package folder")
    from pipeline.registry import CHAMPION, models

    known = models(workspace)
    champions = [name for name, aliases in known.items() if CHAMPION in aliases]
    if model is None and len(champions) == 1:
        model = champions[0]
    name, at, which = (model or "").partition("@")
    if at and name in known:
        return _version(workspace, name, which, known[name])
    if model is None or model not in champions:
        raise ValueError(_no_champion(workspace, model, champions))
    return _version(workspace, name, CHAMPION, known[name])


def _version(workspace: Workspace, name: str, which: str, aliases: Mapping[str, int]) -> Package:
    """Return a version by its number or by an alias."""
    from pipeline.registry import version_of

    if not which.isdecimal() and which not in aliases:
        have = ", ".join(f"{name}@{alias}" for alias in sorted(aliases)) or f"{name}@1"
        raise ValueError(f"{name}@{which}: {which!r} is neither a version's number nor an alias of it; try {have}")
    found = version_of(workspace, name, int(which) if which.isdecimal() else aliases[which])
    alias = "" if which.isdecimal() else f" ({which})"
    return Package(found.directory, found.package, f"{name} version {found.version}{alias}")


def _no_champion(workspace: Workspace, model: str | None, champions: list[str]) -> str:
    known = ", ".join(champions) or "none yet: `atelier retrain` makes them"
    if model is None:
        return f"name a model with --model; champions: {known}"
    built = workspace.package(model)
    if (built / "manifest.json").is_file():
        return f"{model} has no champion, but a package that was not promoted; name its folder: {built}"
    return f"no champion and no package folder named {model!r}; champions: {known}"


def sources(given: Path) -> list[Path]:
    """Return the pictures of a folder and its subfolders, sorted, or the one file.

    Raises:
        ValueError: there is nothing of that name, or no picture in it.
    """
    if given.is_file():
        return [given]
    if not given.is_dir():
        raise ValueError(f"{given}: no such file or folder")
    found = sorted(
        path
        for path in given.rglob("*")
        if path.suffix.lower() in _READABLE
        and not any(part.startswith(".") for part in path.relative_to(given).parts)
    )
    if not found:
        raise ValueError(f"{given} holds no pictures ({', '.join(sorted(_READABLE))})")
    return found


def target_of(source: Path, given: Path, out: Path) -> Path:
    """Return where the painting of `source` goes, in a format that can be written.

    Raises:
        ValueError: the name given has no such format, or the painting would replace the picture.
    """
    name = source.relative_to(given) if given.is_dir() else Path(source.name)
    target = out / name if given.is_dir() or out.is_dir() else out
    if target.suffix.lower() not in _WRITERS:
        if target == out:
            raise ValueError(f"{out}: choose a name that ends in one of {', '.join(_WRITERS)}")
        target = target.with_suffix(".png")
    if target.resolve() == source.resolve():
        raise ValueError(f"{source}: the painting would replace the picture; choose another name or folder")
    return target


def picture_limits(workspace: Workspace | None) -> Limits:
    """Return what is safe to decode: the workspace's limits, without a smallest size or a longest shape."""
    if workspace is None:
        return Limits(min_side=1, max_pixels=200_000_000, max_bytes=1_000_000_000, max_aspect=float("inf"))
    return replace(Limits.of(load_params(workspace.params_file).ingest), min_side=1, max_aspect=float("inf"))


def read_references(paths: Sequence[Path], limits: Limits) -> list[Image]:
    """Return the pictures of reference files.

    Raises:
        ValueError: one is missing, or no picture that is safe to read.
    """
    for path in paths:
        if not path.is_file():
            raise ValueError(f"{path}: no such file; --reference names one picture")
    try:
        return [decode(path, limits).image for path in paths]
    except Refused as error:
        raise ValueError(f"a reference cannot be read: {error}") from error


def stylize(
    stylizer: Stylizer,
    given: Path,
    out: Path,
    limits: Limits,
    strength: float = 1.0,
    preserve_color: bool = False,
    reverse: bool = False,
    references: Sequence[Image] = (),
    weights: Sequence[float] = (),
    style: str | None = None,
) -> Iterator[Result]:
    """Repaint `given` into `out`, one file at a time; a file that cannot be read or written is reported, not fatal.

    Raises:
        ValueError: nothing to repaint, `out` will not do, `strength` is not between 0 and 1, or `reverse` is asked of
            a model that only paints; or references, weights and style are not what the model takes.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strength is {strength}; it must be between 0 and 1")
    if given.is_dir() and out.is_file():
        raise ValueError(f"{out} is a file; a folder of pictures needs a folder to go to")
    pairs = [(source, target_of(source, given, out)) for source in sources(given)]
    asked = {"reference": references, "weights": weights, "style": style}
    after: dict[str, Any] = {name: value for name, value in asked.items() if value or value == ""}
    for source, target in pairs:
        try:
            picture = decode(source, limits).image
            painting = stylizer(picture, strength=strength, preserve_color=preserve_color, reverse=reverse, **after)
            write(target, painting)
        except Refused as error:
            yield Result(source, target, str(error))
        except OSError as error:
            yield Result(source, target, f"cannot be read or written: {error}")
        else:
            yield Result(source, target)


def write(target: Path, picture: Image) -> None:
    """Write a picture in the format that its name says, which `target_of` has checked."""
    data = io.BytesIO()
    picture.save(data, _WRITERS[target.suffix.lower()], quality=93)
    write_atomic(target, data.getvalue())
