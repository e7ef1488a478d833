"""Restore files with a package or a champion: one file or a whole folder, past whatever cannot be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from pipeline.images import Limits, Refused, decode, decode_mask
from pipeline.stylize import Result, sources, target_of, write

if TYPE_CHECKING:
    from pipeline.restoration import Restorer

_EXACT = {".png", ".tif", ".tiff"}  # formats that give every pixel back

Pairs: TypeAlias = Sequence[tuple[Path, Path | None]]
"""Pictures, each with its mask if there is one."""


def pairs(given: Path, mask: Path | None) -> Pairs:
    """Return the pictures of a file or folder, each with its mask.

    Args:
        given: a picture, or a folder.
        mask: a file for a picture; for a folder, a folder with a mask of each picture's name, whatever its suffix.

    Raises:
        ValueError: there is no picture, no such mask, or a picture of a folder has none, or several.
    """
    found = sources(given)
    if mask is None:
        return [(source, None) for source in found]
    if given.is_dir() != mask.is_dir():
        kind = "folder" if given.is_dir() else "file"
        raise ValueError(f"--mask {mask}: {given} is a {kind}, so name a {kind} with its mask" + "s" * given.is_dir())
    if not mask.exists():
        raise ValueError(f"--mask {mask}: no such file")
    if not given.is_dir():
        return [(found[0], mask)]
    return [(source, _mask_of(source.relative_to(given), mask)) for source in found]


def _mask_of(name: Path, masks: Path) -> Path:
    same = sorted(path for path in (masks / name.parent).glob("*") if path.stem == name.stem and path.is_file())
    if len(same) != 1:
        told = "none" if not same else ", ".join(path.name for path in same)
        raise ValueError(f"{name} needs one mask of its name in {masks / name.parent}; there is {told}")
    return same[0]


def _target(source: Path, mask: Path | None, given: Path, out: Path) -> Path:
    """Return where a restored picture goes: with a mask, in a format that keeps what it does not name."""
    target = target_of(source, given, out)
    if mask is None or target.suffix.lower() in _EXACT:
        return target
    if target == out:
        raise ValueError(
            f"{out}: {target.suffix} changes every pixel, also those that the mask does not name; choose a name that "
            f"ends in .png or .tif"
        )
    return target.with_suffix(".png")


def restore(restorer: Restorer, found: Pairs, given: Path, out: Path, limits: Limits) -> Iterator[Result]:
    """Restore pictures into `out`, one file at a time; one that cannot be read or written is reported, not fatal.

    Args:
        restorer: the model.
        found: what `pairs` returned.
        given: what it was asked for.
        out: a picture's name, or a folder.
        limits: of what is safe to decode.

    Raises:
        ValueError: masks that are missing, not wanted or of another size, or `out` will not do: also where its format
            would change what the mask does not name.
    """
    for _, mask in found:
        restorer.check(mask is not None)
    if given.is_dir() and out.is_file():
        raise ValueError(f"{out} is a file; a folder of pictures needs a folder to go to")
    targets = [_target(source, mask, given, out) for source, mask in found]
    if twice := sorted({target for target in targets if targets.count(target) > 1}):
        raise ValueError(f"{twice[0]} would be written for two pictures; give them names that differ")
    for (source, mask), target in zip(found, targets, strict=True):
        try:
            picture = decode(source, limits).image
            lost = None if mask is None else decode_mask(mask, limits)
            write(target, restorer(picture, lost))
        except Refused as error:
            yield Result(source, target, str(error))
        except OSError as error:
            yield Result(source, target, f"cannot be read or written: {error}")
        else:
            yield Result(source, target)
