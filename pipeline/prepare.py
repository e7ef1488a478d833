"""Stage: a collection -> crops to train on, square views to evaluate on, and a contact sheet to look at.

Everything made of one image is one file, remembered under `work/cache/prepared/` by what it was made of, because DVC
empties the output before each run: adding an image costs one image.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline import augment, contact_sheet, images
from pipeline.entry import run_stage
from pipeline.files import (
    digest_json,
    require_free_space,
    sha256_bytes,
    sha256_file,
    staged_directory,
    write_atomic,
    write_json,
)
from pipeline.manifest import Entry, read_manifest
from pipeline.params import Params, Transform, load_params
from pipeline.verification import Stamp, Verified, stamp_of
from pipeline.workspace import PHOTOS, Workspace, find_workspace

FORMAT = 1
# Decoding, resampling and packing release Python's lock, so threads do; nothing has to be imported twice.
_MAX_THREADS = 8
_LIBRARIES = ("albumentations", "opencv-python-headless", "numpy", "pillow", "pillow-heif")
_PNG_END = b"IEND\xaeB`\x82"
_NOTE_SECONDS = 2.0


@dataclass(frozen=True)
class _Recipe:
    """What one file is made of, besides its image."""

    transforms: tuple[Transform, ...]
    where: str
    crop: int
    crops_per_image: int
    view: int
    seed: int

    def digests(self, code: str) -> dict[str, str]:
        """Return a digest of what decides about the files of each split, besides their images."""
        crops = asdict(self) | {"code": code}
        del crops["view"], crops["where"]
        return {"train": digest_json(crops), "test": digest_json({"view": self.view, "code": code})}


def main(collection: str, workspace: Workspace, params: Params) -> Path:
    """Write `data/prepared/<collection>/` (crops, views, index.json) and the contact sheet; return the folder.

    Args:
        collection: a style, or `photos`.
        workspace: where it lies.
        params: `seed`, `prepare`, `ingest.min_photos` and `ingest.min_artworks` are used.

    Raises:
        ValueError: an unknown or too small collection, nothing held out, a wrong transform, a stored image that is
            missing or damaged, or too little disk space.
    """
    folder = workspace.collection(collection)
    entries = [entry for entry in _entries(collection, workspace) if entry.split != "excluded"]
    if not params.prepare.crop_borders:
        entries = [replace(entry, box=None) for entry in entries]
    _check_enough(collection, entries, params)
    recipe = _recipe(collection, params)
    cache = workspace.work / "cache" / "prepared" / collection
    made = _places(entries, cache, recipe.digests(_code_digest()))
    missing = {entry.sha256: entry for entry in entries if not _whole(made[entry.sha256])}
    verified = Verified(workspace.work / "cache" / "verified" / f"{collection}.json")
    _verify(folder, [entry for entry in entries if entry.sha256 not in missing], verified, collection)
    if missing:
        _make(list(missing.values()), folder, recipe, made, verified, collection)
    verified.save(entries)
    final = workspace.prepared(collection)
    with staged_directory(final) as staging:
        for entry in entries:
            _link(made[entry.sha256], staging / entry.split / f"{entry.sha256}.png")
        write_json(staging / "index.json", _index(collection, entries, recipe))
    sheet = contact_sheet.render(collection, folder, entries, made, recipe.crop, workspace.work / "cache" / "sheets")
    write_atomic(workspace.sheet(collection), sheet)
    write_atomic(workspace.prepared_once(collection), "prepared\n")
    return final


def _entries(collection: str, workspace: Workspace) -> list[Entry]:
    entries = read_manifest(workspace.collection(collection))
    if entries:
        return entries
    if collection == PHOTOS:
        return []  # the count of photographs is refused with its own advice
    known = ", ".join(name for name in workspace.collections() if name != PHOTOS) or "none yet"
    raise ValueError(
        f"there are no artworks of a style {collection!r}; known: {known}; "
        f"add some with `atelier ingest FOLDER --style {collection}`"
    )


def _check_enough(collection: str, entries: Sequence[Entry], params: Params) -> None:
    splits = Counter[str](entry.split for entry in entries)
    if collection == PHOTOS and len(entries) < params.ingest.min_photos:
        raise ValueError(
            f"there are {len(entries)} photographs, fewer than ingest.min_photos ({params.ingest.min_photos}); add "
            f"your own with `atelier ingest FOLDER --photos`, or take the samples: `python -m pipeline.sample_data "
            f"samples`, then `atelier ingest samples/photos --photos`"
        )
    if collection != PHOTOS and len(entries) < params.ingest.min_artworks:
        raise ValueError(
            f"style {collection!r} has {len(entries)} artworks, fewer than ingest.min_artworks "
            f"({params.ingest.min_artworks}); add some with `atelier ingest FOLDER --style {collection}`"
        )
    for split, purpose in (("test", "held out to evaluate on"), ("train", "to train on")):
        if not splits[split]:
            raise ValueError(
                f"collection {collection!r} has no image {purpose}: its {len(entries)} images are too alike; "
                f"add different ones"
            )


def _recipe(collection: str, params: Params) -> _Recipe:
    domain = "photos" if collection == PHOTOS else "paintings"
    chosen = params.prepare.augment.photos if collection == PHOTOS else params.prepare.augment.paintings
    return _Recipe(
        transforms=chosen,
        where=f"prepare.augment.{domain}",
        crop=params.prepare.crop,
        crops_per_image=params.prepare.crops_per_image,
        view=params.prepare.view,
        seed=params.seed,
    )


def _code_digest() -> str:
    """Return a digest of the code and the libraries that decide about the pixels of a file."""
    files = {Path(name).name: sha256_file(Path(name)) for name in (__file__, augment.__file__, images.__file__)}
    return digest_json({"files": files, "libraries": {name: _version(name) for name in _LIBRARIES}})


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:  # an extra that is not installed
        return ""


def _places(entries: Sequence[Entry], cache: Path, digests: Mapping[str, str]) -> dict[str, Path]:
    """Return under which name the file of each image is remembered, by the image's hash.

    That hash comes first in the name, so that all that was ever made of a removed image can be found.
    """
    keys = {entry.sha256: digest_json([digests[entry.split], entry.sha256, entry.box]) for entry in entries}
    return {sha256: cache / f"{sha256}-{key}.png" for sha256, key in keys.items()}


def _whole(path: Path) -> bool:
    """Return whether a remembered file is there to its last byte."""
    try:
        with path.open("rb") as stream:
            stream.seek(-len(_PNG_END), os.SEEK_END)
            return stream.read() == _PNG_END
    except OSError:
        return False


def _verify(folder: Path, entries: Sequence[Entry], verified: Verified, collection: str) -> None:
    """Refuse stored images that are missing, or that changed and are no longer what their name says."""
    for entry in entries:
        path = folder / entry.file
        try:
            stamp = stamp_of(path)
            if verified.holds(entry, stamp):
                continue
            actual = sha256_file(path)
        except OSError as error:
            raise _unreadable(path, error) from error
        _check_hash(path, entry, actual, collection)
        verified.add(entry, stamp)


def _check_hash(path: Path, entry: Entry, actual: str, collection: str) -> None:
    if actual != entry.sha256:
        raise ValueError(
            f"{path} is damaged: its content has the hash {actual[:12]}…, not the one in its name; delete it, then "
            f"run `dvc checkout` or ingest {entry.name!r} into {collection!r} again"
        )


def _unreadable(path: Path, error: OSError) -> ValueError:
    return ValueError(
        f"{path} is in the manifest and cannot be read ({error.strerror}); run `dvc checkout`, or `dvc pull` first"
    )


def _make(
    entries: Sequence[Entry],
    folder: Path,
    recipe: _Recipe,
    made: Mapping[str, Path],
    verified: Verified,
    collection: str,
) -> None:
    """Make the files of `entries` in a few threads, telling how far it is on stderr."""
    new = threading.local()

    def one(entry: Entry) -> None:
        if not hasattr(new, "augmenter"):  # transforms hold their random state: one set a thread
            new.augmenter = augment.Augmenter(recipe.transforms, recipe.crop, recipe.where)
        data, stamp = _stored(entry, folder, collection)
        stream = io.BytesIO()
        _picture(entry, data, recipe, new.augmenter).save(stream, "PNG", compress_level=3)
        write_atomic(made[entry.sha256], stream.getvalue())
        verified.add(entry, stamp)

    augment.Augmenter(recipe.transforms, recipe.crop, recipe.where)  # refuses a wrong one before any work
    strip, view = 3 * recipe.crops_per_image * recipe.crop**2, 3 * recipe.view**2
    needed = sum(view if entry.split == "test" else strip for entry in entries)
    require_free_space(folder, 2 * needed, f"the crops of {collection!r} and DVC's copy of them")
    _tell_enlarged(entries, recipe, collection)
    started = said = time.monotonic()
    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as pool:
        futures = [pool.submit(one, entry) for entry in entries]
        try:
            for done, future in enumerate(as_completed(futures), 1):
                future.result()
                if time.monotonic() - said > _NOTE_SECONDS or done == len(futures):
                    said = time.monotonic()
                    left = (said - started) / done * (len(futures) - done)
                    note = f"prepare {collection}: {done} of {len(futures)} images, about {left:.0f} s left"
                    print(note, file=sys.stderr, flush=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _tell_enlarged(entries: Sequence[Entry], recipe: _Recipe, collection: str) -> None:
    windows = [
        augment.smallest_window(recipe.transforms, recipe.crop, entry.width, entry.height)
        for entry in entries
        if entry.split == "train"
    ]
    small = [window for window in windows if window < recipe.crop]
    if small:
        print(
            f"prepare {collection}: in {len(small)} of {len(windows)} images crops may be enlarged, up to "
            f"{recipe.crop / min(small):.1f} times; a smaller prepare.crop or a larger `scale` avoids it",
            file=sys.stderr,
        )


def _stored(entry: Entry, folder: Path, collection: str) -> tuple[bytes, Stamp]:
    """Return the bytes of a stored image, which are what its name says, and its file's stamp."""
    path = folder / entry.file
    try:
        stamp, data = stamp_of(path), path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    _check_hash(path, entry, sha256_bytes(data), collection)
    return data, stamp


def _picture(entry: Entry, data: bytes, recipe: _Recipe, augmenter: augment.Augmenter) -> Image.Image:
    """Return the view of a held-out image, or the vertical strip of crops of a training image."""
    image = images.decode(data, images.ACCEPTED).image
    if entry.box:
        image = images.cropped(image, entry.box)
    if entry.split == "test":
        return images.square_view(image, recipe.view)
    pixels = np.asarray(images.at_least(image, recipe.crop))
    crops = augmenter.crops(pixels, seed=recipe.seed, sha256=entry.sha256, count=recipe.crops_per_image)
    return Image.fromarray(crops.reshape(-1, recipe.crop, 3))


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, or one without hard links
        write_atomic(target, source.read_bytes())


def _index(collection: str, entries: Sequence[Entry], recipe: _Recipe) -> dict[str, object]:
    sizes = Counter(entry.group for entry in entries if entry.split == "train")
    parts: dict[str, list[dict[str, object]]] = {"train": [], "test": []}
    for entry in sorted(entries, key=lambda entry: entry.sha256):
        record: dict[str, object] = {"image": entry.sha256, "file": f"{entry.split}/{entry.sha256}.png"}
        if entry.split == "train":
            record["weight"] = 1 / sizes[entry.group]  # near duplicates share one image's weight
        parts[entry.split].append(record)
    return {
        "format": FORMAT,
        "kind": "photos" if collection == PHOTOS else "paintings",
        "crop": recipe.crop,
        "crops_per_image": recipe.crops_per_image,
        "view": recipe.view,
        **parts,
    }


def _command() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.prepare",
        description="Make crops and views of a collection. Example: python -m pipeline.prepare photos",
    )
    parser.add_argument("collection", help="a style, or `photos`")
    collection = parser.parse_args().collection
    workspace = find_workspace(Path.cwd())
    started = time.monotonic()
    final = main(collection, workspace, load_params(workspace.params_file))
    print(f"{final.relative_to(workspace.root)} made in {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    run_stage(_command)
