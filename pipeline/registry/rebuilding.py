"""A registry's database that was lost is made anew, from the journal, the artifact store, git's tags and DVC's cache.

What MLflow alone had is gone: curves and parameters of trainings. Versions keep their numbers, tags, packages and
aliases. Run again, or on a registry that lacks nothing, it changes nothing.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import databases
from pipeline.dvc import dvc
from pipeline.files import fsync_directory, scratch_folder
from pipeline.registry import checksums, journal, record, store
from pipeline.registry.logged import log_model
from pipeline.registry.names import SETTLER, UNDER_WAY, RegistryError
from pipeline.registry.record import Known
from pipeline.registry.settling import settle_all
from pipeline.terminal import capture
from pipeline.tracking import answering, client, run_of
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

_TAG = re.compile(r"(?P<name>[^/]+)/v(?P<version>[1-9]\d*)")


@dataclass(frozen=True)
class _Source:
    """Where the package of a version lies that git tags, of which the journal does not tell."""

    name: str
    version: int
    tag: str


def rebuild(workspace: Workspace) -> list[str]:
    """Make the registry complete again; return what was done, in sentences.

    Raises:
        RegistryError: a version's package is nowhere to be had whole; all others were rebuilt.
        ValueError: a process has the damaged database open.
    """
    with answering(workspace), store.locked(workspace):
        said = _set_aside(workspace)
        registry = client(workspace)
        known = record.read(workspace)
        tagged = [source for source in _tagged(workspace) if (source.name, source.version) not in known.deleted]
        names = sorted(known.names | {source.name for source in tagged} | set(store.names(registry)))
        problems: list[str] = []
        for name in names:
            said += _rebuild(workspace, registry, name, tagged, problems)
        said += settle_all(workspace, registry)
    if problems:
        raise RegistryError(f"{'; '.join(said) or 'nothing was done'}; not rebuilt: {'; '.join(problems)}")
    return said


def _set_aside(workspace: Workspace) -> list[str]:
    """Move a damaged database away, so that a new one can take its place."""
    path = store.database(workspace)
    if not path.is_file() or databases.damage(path) is None:
        return []
    databases.refuse_while_used([path])
    kept = path.with_name(f"mlflow.db.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    path.rename(kept)
    for suffix in ("-journal", "-wal", "-shm"):  # they belong to what was moved
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    fsync_directory(path.parent)
    return [f"the damaged database is kept as {kept}"]


def _rebuild(
    workspace: Workspace, registry: MlflowClient, name: str, tagged: list[_Source], problems: list[str]
) -> list[str]:
    known = record.read(workspace)
    said = []
    if not store.exists(registry, name):
        registry.create_registered_model(name, tags={UNDER_WAY: "under way"})
    if UNDER_WAY in registry.get_registered_model(name).tags:
        numbers = {version for other, version in known.versions if other == name}
        sources = {source.version: source for source in tagged if source.name == name}
        for number in sorted(numbers | set(sources)):
            try:
                said += _restore(workspace, registry, name, number, sources.get(number))
            except RegistryError as error:
                problems.append(f"{name} version {number}: {error}")
        _clear_gaps(registry, name)
        aliases = record.read(workspace).aliases.get(name, {})
        there = {int(one.version) for one in store.versions(registry, name)}
        store.set_aliases(registry, name, {alias: at for alias, at in aliases.items() if at in there})
        if not aliases:
            said.append(f"{name}: nothing tells which is champion; `atelier promote {name} VERSION --reason ...`")
        registry.delete_registered_model_tag(name, UNDER_WAY)
        if not there:
            registry.delete_registered_model(name)
            return said
        if said:
            journal.begin(workspace, "rebuild", name, by=SETTLER).note(journal.DONE)
    for one in store.versions(registry, name):
        try:
            said += _complete(workspace, registry, name, one)
        except RegistryError as error:
            if int(one.version) in store.aliases(registry, name).values():  # of the others nothing is in use
                problems.append(str(error))
    return said


def _restore(
    workspace: Workspace, registry: MlflowClient, name: str, number: int, source: _Source | None
) -> list[str]:
    """Give a version its place again, if it has none."""
    if store.numbered(registry, name, number) is not None:
        return []
    known = record.read(workspace).versions.get((name, number))
    whole = known is not None and known.model and not checksums.changes(workspace, known)
    if known is not None and whole:
        tags = {**known.tags, "package": known.package}
        _create(registry, name, number, known.folder(workspace).as_uri(), tags)
        return [f"{name} version {number}: from the artifact store"]
    with scratch_folder(workspace.work / "rebuild" / name) as scratch:
        package = _package(workspace, name, source or _Source(name, number, f"{name}/v{number}"), known, scratch)
        digest = checksums.verify(package)
        model = log_model(run_of(workspace, name, digest), name, package)
    folder = store.local_path(registry.get_logged_model(model.model_id).artifact_location)
    tags = {**(known.tags if known else _tags_of(workspace, source)), "package": digest}
    _create(registry, name, number, folder.as_uri(), tags)
    _register(workspace, name, number, digest, folder, tags)
    return [f"{name} version {number}: from {'models/' if package == workspace.package(name) else 'DVC'}"]


def _create(registry: MlflowClient, name: str, number: int, uri: str, tags: dict[str, str]) -> None:
    """Make the version of this number; MLflow counts, so gaps are filled, and emptied by `_clear_gaps`."""
    while True:
        last = max([int(one.version) for one in store.versions(registry, name)], default=0)
        if last >= number - 1:
            break
        registry.create_model_version(name, uri, tags={UNDER_WAY: "a gap"})
    made = registry.create_model_version(name, uri, tags=tags)
    if int(made.version) != number:
        registry.delete_model_version(name, made.version)
        raise RegistryError(f"MLflow gives it number {made.version}; a version behind it was deleted by hand")


def _clear_gaps(registry: MlflowClient, name: str) -> None:
    for one in store.versions(registry, name):
        if UNDER_WAY in one.tags:
            registry.delete_model_version(name, one.version)


def _package(workspace: Workspace, name: str, source: _Source, known: Known | None, scratch: Path) -> Path:
    """Return a folder with the package of a version: the workspace's own, or the one of the version's git tag.

    Raises:
        RegistryError: neither is it.
    """
    here = workspace.package(name)
    if known is not None and (here / "manifest.json").is_file():
        try:
            checksums.verify(here, known.package)
            return here
        except RegistryError:
            pass  # another version's
    target = scratch / name
    relative = here.relative_to(workspace.root).as_posix()
    command = dvc(workspace, "get", str(workspace.root), relative, "--rev", source.tag)
    done = capture(workspace, [*command, "-o", str(target)])
    if done.returncode:
        said = " ".join(done.stderr.partition("ERROR:")[2].split()) or f"`dvc get --rev {source.tag}` failed"
        raise RegistryError(f"neither the artifact store nor DVC has its package ({said}); `dvc pull` may bring it")
    checksums.verify(target, known.package if known else None)
    return target


def _tags_of(workspace: Workspace, source: _Source | None) -> dict[str, str]:
    """Return what a git tag says of the version that it names."""
    assert source is not None
    commit = capture(workspace, ["git", "rev-parse", f"{source.tag}^{{commit}}"]).stdout.strip()
    return {"git_commit": commit, "rebuilt_from": source.tag}


def _register(workspace: Workspace, name: str, number: int, digest: str, folder: Path, tags: dict[str, str]) -> None:
    """Write a version into the journal, with the files that it has now."""
    model = folder.relative_to(workspace.artifacts).as_posix()
    files = checksums.of_folder(folder)
    fields = {"package": digest, "version": number, "model": model, "files": files, "tags": tags}
    writing = journal.begin(workspace, "register", name, reason="recorded by a rebuild", by=SETTLER, **fields)
    writing.note(journal.DONE, after={"aliases": {}, "tags": {}})


def _complete(workspace: Workspace, registry: MlflowClient, name: str, one: ModelVersion) -> list[str]:
    """Give a version its files back if they are gone, and record it if that is of before there was a record."""
    number, folder = int(one.version), store.model_folder(registry, name, int(one.version))
    known = record.read(workspace).versions.get((name, number))
    if not folder.is_dir() and known is not None:
        with scratch_folder(workspace.work / "rebuild" / name) as scratch:
            package = _package(workspace, name, _Source(name, number, f"{name}/v{number}"), known, scratch)
            model = log_model(run_of(workspace, name, known.package), name, package)
        made = store.local_path(registry.get_logged_model(model.model_id).artifact_location)
        folder.parent.mkdir(parents=True, exist_ok=True)
        made.rename(folder)
        _register(workspace, name, number, known.package, folder, dict(one.tags))
        return [f"{name} version {number}: its files were gone, and are back"]
    if known is None:
        found = store.found(workspace, registry, name, number)
        _register(workspace, name, number, found.package, folder, dict(one.tags))
        return [f"{name} version {number}: checksums recorded"]
    return []


def _tagged(workspace: Workspace) -> list[_Source]:
    """Return the versions that git tags as `<model>/v<number>` name, of which the tag's commit has a package."""
    tags = capture(workspace, ["git", "tag", "--list", "*/v*"]).stdout.split()
    found = [_Source(match["name"], int(match["version"]), tag) for tag in tags if (match := _TAG.fullmatch(tag))]
    return [source for source in found if f"models/{source.name}\n" in _lock_at(workspace, source.tag)]


def _lock_at(workspace: Workspace, tag: str) -> str:
    """Return dvc.lock as a tag has it; empty if it has none."""
    return capture(workspace, ["git", "show", f"{tag}:dvc.lock"]).stdout
