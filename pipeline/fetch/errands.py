"""What is to be fetched, from where, to which collections: decided and checked before any server is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.fetch.datasets import DATASETS, Dataset
from pipeline.fetch.download import check_digest
from pipeline.fetch.web import SCHEMES, check_address, file_name
from pipeline.files import sha256_bytes
from pipeline.params import Params
from pipeline.workspace import PHOTOS, Workspace, check_name

_UNKNOWN = """\
What these images may be used for is not known to this program: find out, and complete this note.
"""


@dataclass(frozen=True)
class Errand:
    """One file to fetch and what becomes of it.

    name names the errand's own files; urls are tried in their order; size (bytes) and sha256 are None where they are
    not known; folders maps the archive's folders to collections, and where it is empty everything goes to
    `collection`; licence says what is known of it.
    """

    name: str
    urls: tuple[str, ...]
    target: Path
    max_bytes: int
    licence: str
    size: int | None = None
    sha256: str | None = None
    folders: Mapping[str, str] = field(default_factory=dict)
    collection: str = ""

    @property
    def collections(self) -> tuple[str, ...]:
        """The collections that it fills, in order, each once."""
        return tuple(dict.fromkeys(self.folders.values())) or (self.collection,)


def downloads(workspace: Workspace) -> Path:
    """Return the folder of downloads: it may be deleted at any time."""
    return workspace.work / "downloads"


def plan(
    workspace: Workspace,
    what: str,
    params: Params,
    *,
    style: str = "",
    photos: bool | None = None,
    sha256: str = "",
    datasets: Mapping[str, Dataset] = DATASETS,
) -> Errand:
    """Return what a person asks for.

    Args:
        workspace: where it goes.
        what: a dataset's name, or the address of an archive or a picture.
        params: `ingest` limits what an address may send.
        style: the style's name; a dataset has one of its own.
        photos: for an address, that it holds photographs; for a dataset, False leaves its photographs out.
        sha256: what the file at an address must hash to.
        datasets: those that are known by name.

    Raises:
        ValueError: an unknown name, a wrong address, style or digest, or options that do not fit together.
    """
    if style:
        check_name(style, "style")
    if what in datasets:
        return _named(workspace, datasets[what], params, style, photos, sha256)
    if what.lower().startswith(tuple(f"{scheme}:" for scheme in SCHEMES)):
        return _address(workspace, what, params, style, bool(photos), sha256)
    raise ValueError(
        f"no dataset is named {what!r}; known: {', '.join(datasets)}; or give an address that begins with https:// "
        f"(files of this machine are for `atelier ingest`)"
    )


def _named(
    workspace: Workspace, dataset: Dataset, params: Params, style: str, photos: bool | None, sha256: str
) -> Errand:
    if photos:
        raise ValueError(f"{dataset.name} brings its photographs by itself: leave --photos out, or say --no-photos")
    if sha256 and dataset.sha256:
        raise ValueError(f"--sha256 is for addresses: that of {dataset.name} is known ({dataset.sha256})")
    return Errand(
        name=dataset.name,
        urls=dataset.urls,
        target=downloads(workspace) / f"{dataset.name}.zip",
        max_bytes=dataset.size or params.ingest.archives.max_bytes,
        licence=dataset.licence,
        size=dataset.size,
        sha256=dataset.sha256 or (check_digest(sha256) if sha256 else None),
        folders=dataset.collections(style, photographs=photos is not False),
    )


def _address(workspace: Workspace, url: str, params: Params, style: str, photos: bool, sha256: str) -> Errand:
    check_address(url)
    if style and photos:
        raise ValueError("--style and --photos exclude each other: images are artworks or photographs")
    if not style and not photos:
        raise ValueError("say what the images are: --style NAME for artworks, or --photos (after the address)")
    name = f"{sha256_bytes(url.encode())[:8]}-{file_name(url)}"  # two addresses may end in the same name
    return Errand(
        name=name,
        urls=(url,),
        target=downloads(workspace) / name,
        max_bytes=params.ingest.archives.max_bytes,
        licence=_UNKNOWN,
        sha256=check_digest(sha256) if sha256 else None,
        collection=PHOTOS if photos else style,
    )
