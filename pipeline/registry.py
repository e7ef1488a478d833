"""Registered models: one version a package, and the aliases `champion`, `challenger`, `previous` and `anchor`.

The registered model's name is the recipe's. Only flows and commands change it. Every change of an alias stands in
`var/promotions.jsonl`, before and after it is made.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import chdir
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from pipeline.closure import import_closure, module_file
from pipeline.files import read_json, write_atomic
from pipeline.tracking import client, run_of, store_lock, training_log
from pipeline.workspace import PHOTOS, Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature

CHAMPION, CHALLENGER, PREVIOUS, ANCHOR = "champion", "challenger", "previous", "anchor"
# Tags that bar a version from promotion by the gate until a person promotes it: why it was taken back, or held.
ROLLED_BACK, HELD = "rolled_back", "held"
_BARS: Mapping[str, str] = MappingProxyType({ROLLED_BACK: "was rolled back", HELD: "is held"})
GATE = "gate"  # who promotes when the flow does; anybody else is a person, and only persons move the anchor
TRAINED_ON = "trained_on.json"  # as the package stage writes it, whose module brings torch
_NEEDED = ("torch", "torchvision", "numpy", "pillow", "safetensors", "pandas", "mlflow")


class RegistryError(ValueError):
    """A model or version that is not there, or is not what it was when it was registered."""


@dataclass(frozen=True)
class Registered:
    """The version that holds a package, and whether it is new."""

    name: str
    version: int
    new: bool


@dataclass(frozen=True)
class Version:
    """One version of a registered model, its package lying in the artifact store."""

    name: str
    version: int
    package: str  # digest
    tags: Mapping[str, str]
    directory: Path


@dataclass(frozen=True)
class Lineage:
    """What a version was trained on, of the images that were asked about.

    aliases name the version; images are sha256s, sorted; known is False where nobody can tell, because the package is
    of before that was recorded, or is gone; barred is whether a person took the version back, or holds it.
    """

    name: str
    version: int
    aliases: tuple[str, ...]
    images: tuple[str, ...]
    known: bool
    barred: bool


def register(workspace: Workspace, recipe: str, tags: Mapping[str, str] | None = None) -> Registered:
    """Register the package in `models/<recipe>/` and make it the challenger; a known package keeps its version.

    Args:
        workspace: whose package and registry.
        recipe: name of the recipe, and of the registered model.
        tags: what else to note on a new version; `package` is always noted. A known version's tags stay.

    Raises:
        RegistryError: there is no package, or its files are not what its manifest says.
    """
    package = workspace.package(recipe)
    digest = verify(package)
    store = client(workspace)
    with store_lock(workspace, "registry"):
        known = _with_digest(store, recipe, digest)
        if known is not None:
            return Registered(recipe, int(known.version), new=False)
        log = training_log(workspace, recipe)
        run_id = run_of(workspace, recipe, log.key if log else digest)
        model = _log_model(run_id, recipe, package)
        if not _exists(store, recipe):
            store.create_registered_model(recipe)
        made = store.create_model_version(
            recipe,
            model.model_uri,
            run_id=run_id,
            model_id=model.model_id,
            tags={**(tags or {}), "package": digest},
        )
        store.set_registered_model_alias(recipe, CHALLENGER, str(made.version))
    return Registered(recipe, int(made.version), new=True)


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


def promote(workspace: Workspace, name: str, number: int, reason: str, by: str) -> bool:
    """Make a version the champion and the champion before it `previous`; return False when it was champion.

    The alias moves in one write, so a crash leaves the old champion or the new one.

    Args:
        workspace: whose registry.
        name: registered model, which is the recipe.
        number: version.
        reason: a sentence for the journal and the version's tags.
        by: `GATE`, or who approved; a person's approval moves the anchor too, and lifts what bars the version. The
            gate sets the anchor where there is none yet, and never moves it.

    Raises:
        RegistryError: there is no such model or version, its package is damaged, or a person bars it from the gate.
    """
    store = client(workspace)
    with store_lock(workspace, "registry"):
        chosen = _version(workspace, store, name, number)
        aliases = _aliases(store, name)
        before = aliases.get(CHAMPION)
        if by == GATE and (why := barred(chosen)):
            raise RegistryError(f"{name} version {number} {why}: only a person promotes it")
        if by != GATE:
            store.set_registered_model_alias(name, ANCHOR, str(number))
        elif ANCHOR not in aliases:  # from the first champion on, what the gate lets pass as noise must not add up
            store.set_registered_model_alias(name, ANCHOR, str(before or number))
        if before == number:
            return False
        lifted = {"lifted": bars} if (bars := _bars(chosen.tags)) else {}
        moved = {"action": "promote", "name": name, "from": before, "to": number, "package": chosen.package, **lifted}
        _journal(workspace, {**moved, "phase": "intent", "reason": reason, "by": by})
        if before is not None:
            store.set_registered_model_alias(name, PREVIOUS, str(before))
        _crown(store, name, number, reason, by)
        if _aliases(store, name).get(CHALLENGER) == number:
            store.delete_registered_model_alias(name, CHALLENGER)
        _journal(workspace, {**moved, "phase": "done", "reason": reason, "by": by})
    return True


def hold(workspace: Workspace, name: str, number: int, reason: str, by: str) -> None:
    """Bar a version from promotion by the gate until a person promotes it.

    Args:
        workspace: whose registry.
        name: registered model, which is the recipe.
        number: version.
        reason: a sentence for the journal and the version's tags; a later one takes its place.
        by: who decided.

    Raises:
        RegistryError: there is no such model or version, its package is damaged, or it is the champion.
    """
    store = client(workspace)
    with store_lock(workspace, "registry"):
        chosen = _version(workspace, store, name, number)
        if _aliases(store, name).get(CHAMPION) == number:
            raise RegistryError(
                f"{name} version {number} is the champion, and holding does not take it out of use; "
                f"go back to the one before with `atelier rollback {name} --reason ...`"
            )
        noted = {"action": "hold", "name": name, "version": number, "package": chosen.package}
        _journal(workspace, {**noted, "phase": "intent", "reason": reason, "by": by})
        store.set_model_version_tag(name, str(number), HELD, _tag(reason))
        _journal(workspace, {**noted, "phase": "done", "reason": reason, "by": by})


def barred(one: Version) -> str | None:
    """Return why the gate does not promote a version whatever it finds, as `is held (reason)`, or None."""
    return " and ".join(f"{_BARS[mark]} ({reason})" for mark, reason in _bars(one.tags).items()) or None


def rollback(workspace: Workspace, name: str, reason: str, by: str = "rollback") -> Version:
    """Swap `champion` and `previous`, and return the new champion.

    Raises:
        RegistryError: there is no such model, no previous champion, or a person holds that.
    """
    store = client(workspace)
    with store_lock(workspace, "registry"):
        aliases = _aliases(store, name)
        if PREVIOUS not in aliases or aliases[PREVIOUS] == aliases.get(CHAMPION):
            raise RegistryError(f"model {name!r} has no previous champion to roll back to")
        chosen = _version(workspace, store, name, aliases[PREVIOUS])
        if HELD in chosen.tags:  # what was rolled back may come back this way; what is held was never in question
            raise RegistryError(
                f"{name} version {chosen.version}, the champion before, is held ({chosen.tags[HELD]}); name the "
                f"version that shall be champion: `atelier promote {name} VERSION --reason ...`"
            )
        before = aliases.get(CHAMPION)
        moved = {"action": "rollback", "name": name, "from": before, "to": chosen.version, "package": chosen.package}
        _journal(workspace, {**moved, "phase": "intent", "reason": reason, "by": by})
        if before is not None:  # first, so that no flow finds it promotable in between
            store.set_model_version_tag(name, str(before), ROLLED_BACK, _tag(reason))
        _crown(store, name, chosen.version, reason, by)
        if before is not None:
            store.set_registered_model_alias(name, PREVIOUS, str(before))
            if aliases.get(ANCHOR) == before:  # nothing is held to what a person has just taken down
                store.set_registered_model_alias(name, ANCHOR, str(chosen.version))
        _journal(workspace, {**moved, "phase": "done", "reason": reason, "by": by})
    return chosen


def champion(workspace: Workspace, name: str) -> Version | None:
    """Return the champion with its package checked, or None when the model has none (or does not exist)."""
    return aliased(workspace, name, CHAMPION)


def aliased(workspace: Workspace, name: str, alias: str) -> Version | None:
    """Return the version that an alias names, its package checked, or None.

    Raises:
        RegistryError: the package is damaged or missing.
    """
    if not has_registry(workspace):
        return None
    store = client(workspace)
    if not _exists(store, name):
        return None
    number = _aliases(store, name).get(alias)
    return None if number is None else _version(workspace, store, name, number)


def version_of(workspace: Workspace, name: str, number: int) -> Version:
    """Return one version, its package checked.

    Raises:
        RegistryError: there is no such model or version, or its package is damaged.
    """
    return _version(workspace, client(workspace), name, number)


def aliases_of(workspace: Workspace, name: str) -> dict[str, int]:
    """Return alias -> version of a model; empty when there is no such model."""
    if not has_registry(workspace):
        return {}
    store = client(workspace)
    return _aliases(store, name) if _exists(store, name) else {}


def trained_on(workspace: Workspace, images: Mapping[str, Collection[str]]) -> list[Lineage]:
    """Return which of some images every registered version was trained on, model by model, oldest version first.

    Of each package one file is read and none is checked, so that hundreds of versions take seconds.

    Args:
        workspace: whose registry.
        images: collection -> sha256s. An image that was taken out of one collection says nothing about another's.
    """
    if not has_registry(workspace):
        return []
    store = client(workspace)
    return [
        _lineage(store, one, aliases, images)
        for name, aliases in sorted(models(workspace).items())
        for one in sorted(_all_versions(store, name), key=lambda one: int(one.version))
    ]


def models(workspace: Workspace) -> dict[str, dict[str, int]]:
    """Return every registered model's aliases: name -> alias -> version."""
    if not has_registry(workspace):
        return {}
    store = client(workspace)
    return {model.name: _aliases(store, model.name) for model in store.search_registered_models(max_results=1000)}


def set_tags(workspace: Workspace, name: str, number: int, tags: Mapping[str, str]) -> None:
    """Note `tags` on a version."""
    store = client(workspace)
    for key, value in tags.items():
        store.set_model_version_tag(name, str(number), key, value)


def has_registry(workspace: Workspace) -> bool:
    """Return whether anything was ever tracked or registered here; asking makes no database."""
    return workspace.tracking_uri.startswith("sqlite:///") and (workspace.var / "mlflow.db").is_file()


def requirements() -> list[str]:
    """Return what a registered model needs, each with the version installed here, without build labels."""
    found = []
    for name in _NEEDED:
        try:
            found.append(f"{name}=={version(name).partition('+')[0]}")
        except PackageNotFoundError as error:
            raise RegistryError(f"{name} is not installed, but registering needs it; run `make setup`") from error
    return found


def _log_model(run_id: str, recipe: str, package: Path) -> Any:
    import mlflow

    serving = Path(__file__).with_name("serving_model.py")
    with (
        tempfile.TemporaryDirectory() as scratch,
        mlflow.start_run(run_id=run_id),
        warnings.catch_warnings(record=True),
    ):
        # Recorded, which silences: MLflow advises type hints and an example, and undoes a filter against that.
        code = _stage_code(Path(scratch))
        with chdir(scratch):  # MLflow looks into the current folder for a project to add
            return mlflow.pyfunc.log_model(
                name=recipe,
                python_model=str(serving),
                artifacts={"package": str(package)},
                code_paths=[str(code)],
                signature=_signature(read_json(package / "config.json").get("task", "stylize")),
                pip_requirements=requirements(),
            )


def _stage_code(scratch: Path) -> Path:
    """Copy the modules that serving needs, as the package `pipeline`, and return its folder."""
    root = Path(__file__).parent.parent
    for name in import_closure("pipeline.serving_model", root):
        source = module_file(name, root)
        assert source is not None
        write_atomic(scratch / source.relative_to(root), source.read_bytes())
    return scratch / "pipeline"


def _signature(task: str) -> ModelSignature:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    image = Schema([ColSpec("string", "image")])
    if task == "generate":
        truncation = ParamSchema([ParamSpec("truncation", "double", 1.0)])
        return ModelSignature(inputs=Schema([ColSpec("long", "seed")]), outputs=image, params=truncation)
    switches = [ParamSpec(name, "boolean", False) for name in ("preserve_color", "reverse")]
    params = ParamSchema([ParamSpec("strength", "double", 1.0), *switches, ParamSpec("format", "string", "png")])
    return ModelSignature(inputs=image, outputs=image, params=params)


def _exists(store: MlflowClient, name: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        store.get_registered_model(name)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return True


def _aliases(store: MlflowClient, name: str) -> dict[str, int]:
    if not _exists(store, name):
        known = ", ".join(model.name for model in store.search_registered_models()) or "none yet"
        raise RegistryError(f"no registered model named {name!r}; known: {known}")
    # Not from search_model_versions: it returns no aliases.
    return {alias: int(number) for alias, number in store.get_registered_model(name).aliases.items()}


def _with_digest(store: MlflowClient, name: str, digest: str) -> ModelVersion | None:
    found = store.search_model_versions(f"name = '{name}' and tags.package = '{digest}'", max_results=1)
    return found[0] if found else None


def _all_versions(store: MlflowClient, name: str) -> Iterator[ModelVersion]:
    page = store.search_model_versions(f"name = '{name}'")
    yield from page
    while page.token:
        page = store.search_model_versions(f"name = '{name}'", page_token=page.token)
        yield from page


def _lineage(
    store: MlflowClient, one: ModelVersion, aliases: Mapping[str, int], images: Mapping[str, Collection[str]]
) -> Lineage:
    number = int(one.version)
    record = _training_images(store, one.name, number)
    if record is None and one.tags.get("style") and not {PHOTOS, one.tags["style"]} & set(images):
        record = {}  # whatever its images were, these are of another style
    used = {sha256 for name, asked in images.items() for sha256 in (record or {}).get(name, frozenset()) & set(asked)}
    return Lineage(
        name=one.name,
        version=number,
        aliases=tuple(sorted(alias for alias, at in aliases.items() if at == number)),
        images=tuple(sorted(used)),
        known=record is not None,
        barred=bool(_bars(one.tags)),
    )


def _training_images(store: MlflowClient, name: str, number: int) -> dict[str, frozenset[str]] | None:
    """Return collection -> sha256s of a version's training images; None if that is not recorded, or not readable."""
    from mlflow.exceptions import MlflowException

    try:
        record = read_json(_package_of(store, name, number) / TRAINED_ON)
        return {collection: frozenset(images) for collection, images in record.items()}
    except (OSError, ValueError, TypeError, AttributeError, MlflowException):
        return None  # one broken version must not hide the others


def _version(workspace: Workspace, store: MlflowClient, name: str, number: int) -> Version:
    from mlflow.exceptions import MlflowException

    aliases = _aliases(store, name)
    try:
        found = store.get_model_version(name, str(number))
    except MlflowException as error:
        raise RegistryError(f"model {name!r} has no version {number} (aliases: {aliases or 'none'})") from error
    digest = str(found.tags.get("package", ""))
    directory = _package_of(store, name, number)
    verify(directory, digest)
    return Version(name, number, digest, dict(found.tags), directory)


def _package_of(store: MlflowClient, name: str, number: int) -> Path:
    """Return where a version's package lies; the artifact store is a local folder, so nothing is copied."""
    model = Path(unquote(urlparse(store.get_model_version_download_uri(name, str(number))).path))
    package = model / "artifacts" / name
    if not package.is_dir():
        raise RegistryError(
            f"the files of {name} version {number} are missing from {model}; restore var/ from a backup, "
            f"or run `atelier rollback {name} --reason ...`"
        )
    return package


def _crown(store: MlflowClient, name: str, number: int, reason: str, by: str) -> None:
    """Note who and why, then move the alias: whoever sees the new champion sees the reason too."""
    for mark in _bars(store.get_model_version(name, str(number)).tags):
        store.delete_model_version_tag(name, str(number), mark)
    for key, value in {"promoted_by": by, "promoted_why": _tag(reason)}.items():
        store.set_model_version_tag(name, str(number), key, value)
    store.set_registered_model_alias(name, CHAMPION, str(number))


def _bars(tags: Mapping[str, str]) -> dict[str, str]:
    """Return which tags bar a version from promotion by the gate, and the reason in each."""
    return {mark: tags[mark] for mark in _BARS if mark in tags}


def _tag(reason: str) -> str:
    """Return a reason as long as a tag may be; the journal has all of it."""
    return reason[:4000]


def _journal(workspace: Workspace, entry: Mapping[str, Any]) -> None:
    """Append one line to the journal and sync it."""
    line = json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **entry})
    with (workspace.var / "promotions.jsonl").open("a") as stream:
        stream.write(line + "\n")
        stream.flush()
        os.fsync(stream.fileno())
