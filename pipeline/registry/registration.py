"""A package becomes a version, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.registry import checksums, journal, store
from pipeline.registry.logged import log_model
from pipeline.registry.settling import changing
from pipeline.registry.steps import complete_registration
from pipeline.tracking import run_of, training_log
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class Registered:
    """The version that holds a package, and whether it is new."""

    name: str
    version: int
    new: bool


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
    digest = checksums.verify(package)
    with changing(workspace, recipe) as registry:
        known = store.with_digest(registry, recipe, digest) if store.exists(registry, recipe) else None
        if known is not None:
            return Registered(recipe, int(known.version), new=False)
        log = training_log(workspace, recipe)
        run_id = run_of(workspace, recipe, log.key if log else digest)
        noted = {**(tags or {}), "package": digest}
        writing = journal.begin(workspace, "register", recipe, package=digest, run=run_id, tags=noted)
        model = log_model(run_id, recipe, package)
        folder = store.local_path(registry.get_logged_model(model.model_id).artifact_location)
        checked = {
            "package": digest,
            "model_id": model.model_id,
            "run": run_id,
            "tags": noted,
            "model": folder.relative_to(workspace.artifacts).as_posix(),
            "files": checksums.of_folder(folder),
        }
        writing.note(journal.CHECKED, **checked)
        number = complete_registration(workspace, registry, writing, recipe, checked)
    return Registered(recipe, number, new=True)
