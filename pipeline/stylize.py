"""Repaint files with a package or a champion: files, folders, globs or a stream, past whatever cannot be read."""

from __future__ import annotations

import glob
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.files import sha256_bytes, write_atomic
from pipeline.image_files import Refused
from pipeline.images import Limits, decode
from pipeline.painting.options import check_scale, check_strength
from pipeline.painting.picture import FORMATS, QUALITY, WRITERS, encoded, read, record_of
from pipeline.params import load_params
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from PIL.Image import Image

    from pipeline.inference import Stylizer

STREAM = Path("-")  # standard input or output, as a name of a file
_READABLE = {*WRITERS, ".bmp", ".gif", ".avif"}
_PAINTING = 1  # to be raised when the same package and options give another painting


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
    finished: bool = False  # an earlier run had painted it


@dataclass(frozen=True)
class Saving:
    """How paintings are written: a format of `FORMATS`, or empty for the picture's own; quality, of lossy ones."""

    format: str = ""
    quality: int = QUALITY

    def __post_init__(self) -> None:
        """Refuse what no writer takes.

        Raises:
            ValueError: an unknown format, or a quality outside of 1 to 100.
        """
        if self.format and self.format not in FORMATS:
            raise ValueError(f"--format {self.format}: choose one of {', '.join(FORMATS)}")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"--quality {self.quality}: it must be between 1 and 100")


AS_GIVEN = Saving()


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
    """Return the pictures of a folder and its subfolders, or of a glob, sorted; the one file; or `-`, standard input.

    Raises:
        ValueError: there is nothing of that name, or no picture in it.
    """
    if given == STREAM or given.is_file():
        return [given]
    if given.is_dir():
        found = [path for path in given.rglob("*") if not _is_hidden(path.relative_to(given))]
    elif glob.has_magic(str(given)):
        found = [Path(name) for name in glob.glob(str(given), recursive=True)]  # noqa: PTH207 (absolute ones too)
    else:
        raise ValueError(f"{given}: no such file or folder")
    found = sorted(path for path in found if path.suffix.lower() in _READABLE and path.is_file())
    if not found:
        raise ValueError(f"{given} holds no pictures ({', '.join(sorted(_READABLE))})")
    return found


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def target_of(source: Path, given: Path, out: Path, extension: str = "") -> Path:
    """Return where the painting of `source` goes, in a format that can be written.

    Args:
        source: the picture.
        given: what the person named: the picture itself, a folder or a glob.
        out: the file or folder that the person named.
        extension: one of `FORMATS`, for every painting; empty for the picture's own where it can be written.

    Raises:
        ValueError: the name given has no such format, or the painting would replace the picture.
    """
    if out == STREAM:
        return STREAM
    many = given != source
    name = source.relative_to(given) if given.is_dir() else Path("painting" if source == STREAM else source.name)
    target = out / name if many or out.is_dir() else out
    if extension and (target != out or target.suffix.lower() not in WRITERS):
        target = target.with_suffix(FORMATS[extension])
    if target.suffix.lower() not in WRITERS:
        if target == out:
            raise ValueError(f"{out}: choose a name that ends in one of {', '.join(WRITERS)}, or --format")
        target = target.with_suffix(".png")
    if extension and WRITERS[target.suffix.lower()] != WRITERS[FORMATS[extension]]:
        raise ValueError(f"{out} and --format {extension} are two formats; leave one out")
    if source != STREAM and target.resolve() == source.resolve():
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
    given: Sequence[Path] | Path,
    out: Path,
    limits: Limits,
    strength: float = 1.0,
    preserve_color: bool = False,
    reverse: bool = False,
    scale: float = 1.0,
    saving: Saving = AS_GIVEN,
    references: Sequence[Image] = (),
    weights: Sequence[float] = (),
    style: str | None = None,
) -> Iterator[Result]:
    """Repaint `given` into `out`, one file at a time; a file that cannot be read or written is reported, not fatal.

    Orientation is applied; EXIF, an RGB colour profile and transparency are kept. Each painting's EXIF says by which
    package, with which options and of which picture it was made (`ProcessingSoftware`). One that says just what it
    would say now is finished, and is left alone.

    Raises:
        ValueError: nothing to repaint, `out` will not do, `strength` or `scale` is out of range, or `reverse` is
            asked of a model that only paints; or references, weights and style are not what the model takes.
    """
    check_strength(strength)
    check_scale(scale)
    asked = {"reference": references, "weights": weights, "style": style}
    options: dict[str, Any] = {
        "strength": strength, "preserve_color": preserve_color, "reverse": reverse, "scale": scale,
        **{name: value for name, value in asked.items() if value or value == ""},
    }  # fmt: skip
    named = [given] if isinstance(given, Path) else list(given)
    for source, target, problem in _pairs(named, out, saving):
        finished = False
        try:
            if not problem:
                finished = _paint(stylizer, source, target, limits, options, saving)
        except Refused as error:
            problem = str(error)
        except OSError as error:
            problem = f"cannot be read or written: {error}"
        yield Result(source, target, problem, finished)


def write(target: Path, picture: Image) -> None:
    """Write a picture in the format that its name says, which `target_of` has checked."""
    data = io.BytesIO()
    picture.save(data, WRITERS[target.suffix.lower()], quality=QUALITY)
    write_atomic(target, data.getvalue())


def _pairs(named: Sequence[Path], out: Path, saving: Saving) -> list[tuple[Path, Path, str]]:
    """Return pictures, where their paintings go, and why one cannot go there.

    Raises:
        ValueError: see `stylize`.
    """
    found = [(source, given) for given in named for source in sources(given)]
    if len(found) > 1 and out == STREAM:
        raise ValueError(f"{len(found)} pictures do not go to standard output; name a folder")
    is_one = len(found) == 1 and found[0][0] == found[0][1]
    if not is_one and out != STREAM and not out.is_dir() and (out.is_file() or out.suffix.lower() in WRITERS):
        raise ValueError(f"{out} is a file; a folder of pictures needs a folder to go to")
    pairs, taken = [], dict[Path, Path]()
    for source, given in found:
        # Of several files each goes into a folder, as if it were all that is in one.
        place = given if is_one or given.is_dir() else source.parent
        target = target_of(source, place, out, saving.format)
        first = taken.setdefault(target, source)
        clash = "" if first == source else f"its painting would replace that of {first}; rename one of the two"
        pairs.append((source, target, clash))
    return pairs


def _paint(
    stylizer: Stylizer, source: Path, target: Path, limits: Limits, options: Mapping[str, Any], saving: Saving
) -> bool:
    """Paint one file unless its painting is there; return whether it was."""
    data = _bytes_of(source, limits)
    suffix = target.suffix if target != STREAM else FORMATS.get(saving.format, "")
    record = _record(stylizer, data, options, saving)
    if target != STREAM and stylizer.digest and target.is_file() and record_of(target) == record:
        return True
    picture = read(data, limits)
    suffix = suffix or (picture.suffix if picture.suffix in WRITERS else ".png")
    rest = {name: value for name, value in options.items() if name != "strength"}
    painted = picture.stylized(
        lambda image, strength: stylizer(image, strength=strength, **rest),
        options["strength"],
        opaque=WRITERS[suffix.lower()] == "JPEG",
    )
    del picture
    made = encoded(painted, suffix, saving.quality, record)
    if target == STREAM:
        sys.stdout.buffer.write(made)
        sys.stdout.buffer.flush()
    else:
        write_atomic(target, made)
    return False


def _bytes_of(source: Path, limits: Limits) -> bytes:
    """Return a file's bytes, of which there are not too many.

    Raises:
        Refused: there are, or it is no regular file.
    """
    if source == STREAM:
        data = sys.stdin.buffer.read(limits.max_bytes + 1)
    elif not source.is_file():  # opening a FIFO would wait for ever
        raise Refused("not_regular", "it is not a regular file")
    else:
        with source.open("rb") as stream:
            data = stream.read(limits.max_bytes + 1)
    if len(data) > limits.max_bytes:
        raise Refused("too_large", f"more than max_bytes ({limits.max_bytes})")
    return data


def _record(stylizer: Stylizer, data: bytes, options: Mapping[str, Any], saving: Saving) -> str:
    """Return what a painting's file says of how it was made."""
    told = {"package": stylizer.digest[:16], "picture": sha256_bytes(data)[:16], **options, "quality": saving.quality}
    if "reference" in options:
        told["reference"] = " ".join(sha256_bytes(each.tobytes())[:16] for each in options["reference"])
    return "; ".join([f"Style Atelier painting {_PAINTING}", *(f"{name} {value}" for name, value in told.items())])
