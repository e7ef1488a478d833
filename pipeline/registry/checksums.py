"""Is a version still what it was when it was registered? Held against the journal, which lies outside of the store.

Loading a version with MLflow runs the code that is stored beside its package, so that code is checked too.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.files import sha256_file
from pipeline.registry.names import RegistryError
from pipeline.registry.record import Known
from pipeline.workspace import Workspace

_CACHES = "__pycache__"  # Python's own, of code that was loaded


def of_folder(folder: Path) -> dict[str, str]:
    """Return path -> sha256 of every file in a folder, Python's caches left out."""
    return {
        path.relative_to(folder).as_posix(): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and _CACHES not in path.relative_to(folder).parts
    }


def verify(package: Path, expected: str | None = None) -> str:
    """Return a package's digest after checking every file against its manifest.

    Args:
        package: folder of the package.
        expected: the digest it must have, from a record kept elsewhere.

    Raises:
        RegistryError: a file is missing or changed, or the package is another one.
    """
    from pipeline.inference import verify_package  # here, because it brings torch, which looking things up needs not

    try:
        return verify_package(package, expected)
    except ValueError as error:
        raise RegistryError(str(error)) from error


def check_package(known: Known | None, directory: Path, digest: str) -> None:
    """Return when a package is the one that was registered.

    Args:
        known: the version as the journal has it; None for one of before that was recorded.
        directory: where the package lies.
        digest: the digest that the registry has.

    Raises:
        RegistryError: registry and journal disagree, or a file is missing or changed.
    """
    if known is not None and known.package != digest:
        raise RegistryError(
            f"{known.name} version {known.version} was registered with package {known.package[:12]}, and the "
            f"registry now says {digest[:12]}: somebody changed it. It is not loaded; `atelier rollback {known.name} "
            f"--reason ...` goes back, `atelier doctor` says more"
        )
    verify(directory, digest)


def changes(workspace: Workspace, known: Known) -> list[str]:
    """Return what is no longer as it was registered in a version's folder, file by file; empty if nothing is.

    Where no files were recorded there is nothing to compare with.
    """
    if not known.files:
        return []
    folder = known.folder(workspace)
    if not folder.is_dir():
        return [f"{folder} is missing"]
    there = of_folder(folder)
    changed = [name for name, digest in sorted(known.files.items()) if there.get(name, digest) != digest]
    return [
        *(f"{name} is missing" for name in sorted(set(known.files) - set(there))),
        *(f"{name} was changed" for name in changed),
        *(f"{name} was added" for name in sorted(set(there) - set(known.files))),
    ]
