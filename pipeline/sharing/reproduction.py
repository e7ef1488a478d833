"""Is a version what its commit makes? Its tag is checked out beside the workspace, trained again, and compared.

The stages really run: neither DVC's run cache nor a checkpoint of the workspace can stand in for them, and nothing
that they make goes into the workspace or its cache.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.dvc import dvc
from pipeline.files import read_json
from pipeline.params import SeedNoise, load_params
from pipeline.plan import stages_of
from pipeline.process import die_with_parent, exclusive
from pipeline.recipes import Recipe, load_book
from pipeline.registry import Version, version_of
from pipeline.sharing import conditions
from pipeline.sharing.git import commit_of
from pipeline.sharing.scratch import checked_out
from pipeline.terminal import child_environment
from pipeline.workspace import PHOTOS, Workspace

_JUDGES = ("judge@", "group_judge@")  # frozen: what judges is not what is reproduced
# Differences up to gate.seed_noise are what another seed makes; so that is the tolerance.
_MEASURED = {
    "style/patch_swd": "style",
    "style/texture_swd": "texture",
    "content/structure": "structure",
    "restored/psnr": "psnr",
    "restored/ssim": "ssim",
}


@dataclass(frozen=True)
class Difference:
    """A metric of the version and of its reproduction."""

    metric: str
    version: float
    again: float
    tolerance: float

    @property
    def within(self) -> bool:
        """Whether they differ by no more than the tolerance."""
        return abs(self.version - self.again) <= self.tolerance


@dataclass(frozen=True)
class Verdict:
    """Whether a version was reproduced, and how that was found."""

    name: str
    version: int
    commit: str
    reproduced: bool
    sentence: str
    steps: int
    seconds: float  # of the training
    differences: tuple[Difference, ...] = ()
    kept: Path | None = None

    def lines(self) -> list[str]:
        """Return it in words."""
        said = [f"trained {self.steps} steps anew in {self.seconds:.0f} s, from commit {self.commit[:12]}"]
        for one in self.differences:
            within = "within" if one.within else "beyond"
            figures = f"{one.version:.6g} then, {one.again:.6g} now"
            said.append(f"  {one.metric}: {figures}: {within} {one.tolerance:g} (gate.seed_noise)")
        said.append(f"{self.name} version {self.version}: {self.sentence}")
        return said + ([f"everything of it lies in {self.kept}"] if self.kept else [])


def reproduce(workspace: Workspace, name: str, number: int, *, keep: bool = False) -> Verdict:
    """Train a registered version again from its commit and compare; the workspace stays as it is.

    On the CPU, with the requirements.lock and instruction set of then, the package must be the same byte for byte.
    Otherwise the metrics must agree within `gate.seed_noise` of params.yaml.

    Args:
        workspace: whose registry, git history and DVC cache; what the cache lacks comes from DVC's remote.
        name: of the model.
        number: of its version.
        keep: leave the scratch worktree under `work/reproduce/`.

    Raises:
        ValueError: there is no such version, its tag, data or recipe are not to be had, or a stage failed.
    """
    version = version_of(workspace, name, number)
    commit = _commit(workspace, version)
    folder = workspace.work / "reproduce" / f"{name}-v{number}"
    with (
        exclusive(folder.with_name(f"{folder.name}.lock"), f"the reproduction of {name} version {number}"),
        checked_out(workspace, commit, folder, keep=keep) as place,
    ):
        recipe = load_book(place).recipe(name)
        _fetch(place, _inputs(place, recipe))
        env = _environment(place, version)
        for stage in stages_of(recipe):
            if not stage.startswith((*_JUDGES, "evaluate@")):
                _run_stage(place, stage, env)
        verdict = _compare(workspace, place, recipe, version, commit, env)
    return Verdict(**{**vars(verdict), "kept": folder if keep else None})


def _commit(workspace: Workspace, version: Version) -> str:
    """Return the commit that a version was made from: its tag's."""
    tag = f"{version.name}/v{version.version}"
    recorded = version.tags.get("git_commit", "none")
    tagged = commit_of(workspace.root, f"refs/tags/{tag}")
    if tagged is not None and recorded not in ("none", tagged):
        raise ValueError(
            f"the tag {tag} names commit {tagged[:12]}, and the registry says the version was made from "
            f"{recorded[:12]}; put the tag right with `git tag --force {tag} {recorded[:12]}`"
        )
    found = tagged or (commit_of(workspace.root, recorded) if recorded != "none" else None)
    if found is None:
        raise ValueError(
            f"there is no tag {tag} here, so nobody can say what the version was made from; `git fetch --tags` may "
            f"bring it"
        )
    return found


def _inputs(place: Workspace, recipe: Recipe) -> list[str]:
    """Return the `.dvc` files of what the recipe's stages begin with, as far as there are any."""
    folders = [place.collection(PHOTOS), *map(place.collection, recipe.styles), place.warm_start(recipe.warm_start)]
    files = [folder.with_name(f"{folder.name}.dvc") for folder in folders]
    return [path.relative_to(place.root).as_posix() for path in files if path.is_file()]


def _fetch(place: Workspace, targets: list[str]) -> None:
    """Bring data from the workspace's cache, or from DVC's remote where that lacks it."""
    if _call(place, dvc(place, "pull", *targets), child_environment(place)):
        raise ValueError(
            f"its data ({', '.join(targets)}) is neither in DVC's cache nor at its remote; what DVC said stands above"
        )


def _environment(place: Workspace, version: Version) -> dict[str, str]:
    environment = child_environment(place)
    if version.tags.get(conditions.DEVICE) == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""  # a GPU here would train other bytes
    return environment


def _run_stage(place: Workspace, stage: str, env: Mapping[str, str]) -> None:
    """Run one stage's command, whatever DVC knows of it, and leave no trace of it in the cache."""
    command = dvc(place, "repro", "--single-item", "--force", "--no-run-cache", "--no-commit", stage)
    if _call(place, command, env):
        raise ValueError(f"{stage} failed; what it said stands above (`--keep` leaves {place.root} to look at)")


def _call(place: Workspace, command: list[str], env: Mapping[str, str]) -> int:
    """Run a command with its output on stderr, where progress goes; it ends with this process."""
    child = subprocess.Popen(
        command,
        cwd=place.root,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        preexec_fn=die_with_parent,
    )
    try:
        return child.wait()
    except BaseException:
        child.terminate()
        child.wait()
        raise


def _compare(
    workspace: Workspace, place: Workspace, recipe: Recipe, version: Version, commit: str, env: Mapping[str, str]
) -> Verdict:
    cost = read_json(place.root / "runs" / f"{recipe.name}.cost.json")
    steps, seconds = int(cost["steps"]), float(cost["seconds"])
    trained = read_json(place.trained(recipe.name) / "config.json")
    if steps != trained["steps"]:
        raise ValueError(f"only {steps} of {trained['steps']} steps were trained here, so it proves nothing")

    def verdict(reproduced: bool, sentence: str, differences: tuple[Difference, ...] = ()) -> Verdict:
        return Verdict(
            recipe.name, version.version, commit, reproduced, sentence, steps, seconds, differences
        )

    made = read_json(place.package(recipe.name) / "manifest.json")
    if made["package"] == version.package:
        return verdict(True, f"reproduced, byte for byte (package {version.package[:12]})")
    why_not = conditions.obstacles(version.tags, conditions.lock_digest(workspace.root))
    odd = _other_files(made, read_json(version.directory / "manifest.json"))
    if version.tags.get("uncommitted"):
        odd += f" (it was made with uncommitted changes of {version.tags['uncommitted']}, which no commit holds)"
    if not why_not:
        return verdict(False, f"NOT reproduced: the same bytes were due, and {odd} differ")
    _fetch(place, [f"judges/{style}" for style in recipe.styles])
    for stage in stages_of(recipe):
        if stage.startswith(("group_judge@", "evaluate@")):
            _run_stage(place, stage, env)
    found = _differences(version, read_json(place.report(recipe.name) / "summary.json"), _tolerances(workspace))
    told = f"{odd} differ, as they may ({'; '.join(why_not)})"
    if not found:
        return verdict(False, f"NOT reproduced: {told}, and the version has no metric to compare")
    beyond = [one.metric for one in found if not one.within]
    if beyond:
        return verdict(False, f"NOT reproduced: {told}, and {', '.join(beyond)} lie beyond the tolerance", found)
    return verdict(True, f"reproduced within the tolerance; {told}", found)


def _other_files(made: Mapping[str, Any], was: Mapping[str, Any]) -> str:
    """Return the names of a package's files that are not the same, or of its inputs' digests."""
    names = sorted({*made["files"], *was["files"]})
    odd = [name for name in names if made["files"].get(name) != was["files"].get(name)]
    inputs = [name for name in was["digests"] if made["digests"].get(name) != was["digests"][name]]
    return ", ".join([*odd, *(f"the digest of its {name}" for name in inputs)]) or "the manifests"


def _tolerances(workspace: Workspace) -> SeedNoise:
    return load_params(workspace.params_file).gate.seed_noise


def _differences(version: Version, again: Mapping[str, Any], noise: SeedNoise) -> tuple[Difference, ...]:
    found = []
    for metric, kind in _MEASURED.items():
        before = version.tags.get(f"metric/{metric}")
        if before is not None and again.get(metric) is not None:
            found.append(Difference(metric, float(before), float(again[metric]), float(getattr(noise, kind))))
    return tuple(found)
