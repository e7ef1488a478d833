"""What belongs into a backup, and the list of it that lies in every backup."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.files import read_json, sha256_file
from pipeline.workspace import Workspace

LIST = "backup.json"
FORMAT = 1
STATE, INPUTS = "var", "workspace"  # folders of a backup: what replaces var/, what lies beside it
DATABASES = ("mlflow.db", "prefect/prefect.db", "mlflow-auth.db")
PACKAGES = "mlartifacts"
# Of var/: all but the databases, which are copied in their own way, and what a machine makes for itself.
_LEFT_OUT = ("logs", "prefect", "locks", "backups", "services.json", *(Path(name).name for name in DATABASES))
_NO_STATE = (".lock", ".tmp", ".pid", "-journal", "-wal", "-shm")


@dataclass(frozen=True)
class Contents:
    """The list of a backup."""

    made: str  # ISO-8601 UTC
    root: str  # the workspace's folder, on the machine that it was made on
    commit: str  # that was checked out there; empty if none was
    packages: bool  # whether the registered packages are in it
    files: Mapping[str, str]  # path -> sha256, of everything but this list

    def plain(self) -> dict[str, Any]:
        """Return it as the file has it."""
        return {"format": FORMAT, **asdict(self)}


def read_contents(folder: Path) -> Contents:
    """Return the list of a backup.

    Raises:
        ValueError: there is none, or it is of another format.
    """
    if not (folder / LIST).is_file():
        raise ValueError(f"{folder} is no backup: it has no {LIST}; name a folder that `atelier backup` wrote")
    plain = dict(read_json(folder / LIST))
    if plain.pop("format", None) != FORMAT:
        raise ValueError(f"{folder / LIST} is of another format than {FORMAT}; use the version that wrote it")
    return Contents(**plain)


def state_files(workspace: Workspace, packages: bool) -> Iterator[Path]:
    """Yield the files of var/ that a backup copies as they are, relative to var/."""
    left_out = {*_LEFT_OUT, *(() if packages else (PACKAGES,))}
    for path in sorted(workspace.var.rglob("*")):
        relative = path.relative_to(workspace.var)
        if relative.parts[0] in left_out or not path.is_file() or path.is_symlink():
            continue
        # The models hold what was registered, whatever its name; elsewhere a name tells a lock from state.
        if relative.parts[0] != PACKAGES and (path.name.endswith(_NO_STATE) or ".damaged-" in path.name):
            continue
        yield relative


def input_files(workspace: Workspace) -> Iterator[Path]:
    """Yield the files beside var/ that say what was built from what, relative to the workspace."""
    data = workspace.root / "data"
    for path in (
        workspace.root / "dvc.lock",
        workspace.params_file,
        workspace.recipes_file,
        data / "tombstones.jsonl",
        *sorted(data.glob("*.dvc")),
        *sorted((data / "styles").glob("*.dvc")),
        *sorted((workspace.root / "warm").glob("*.dvc")),
    ):
        if path.is_file():
            yield path.relative_to(workspace.root)


def digests(folder: Path) -> dict[str, str]:
    """Return path -> sha256 of all files of a backup, but its list."""
    return {
        path.relative_to(folder).as_posix(): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / LIST
    }


def differences(folder: Path, wanted: Mapping[str, str]) -> list[str]:
    """Return what of a folder is not as its list says, in words; empty if nothing is."""
    there = digests(folder)
    changed = [name for name, digest in sorted(wanted.items()) if there.get(name, digest) != digest]
    return [
        *(f"{name} is missing" for name in sorted(set(wanted) - set(there))),
        *(f"{name} was changed" for name in changed),
        *(f"{name} was added" for name in sorted(set(there) - set(wanted))),
    ]
