"""A version in the registry -> a warm start: all networks of the training that it came from, tracked by DVC."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from pipeline import warm_start
from pipeline.dvc import dvc
from pipeline.files import read_json, scratch_folder
from pipeline.registry import TRAINED_ON, Version, models, version_of
from pipeline.terminal import capture
from pipeline.workspace import Workspace, check_name


def named(workspace: Workspace, what: str) -> str:
    """Return the name of the warm start that `what` means, after making it of a version if it is one.

    Args:
        workspace: where.
        what: `NAME@3`, `NAME@champion`, or a folder of `warm/`, `none` among them.

    Raises:
        ValueError: it means nothing here; else as `keep_version`.
    """
    name, at, which = what.partition("@")
    if at:
        aliases = models(workspace).get(name)
        if aliases is None or not (which.isdecimal() or which in aliases):
            have = ", ".join(f"{name}@{alias}" for alias in sorted(aliases or ())) or "no version yet"
            raise ValueError(f"{what}: there is no such version; {name} has {have}")
        number = int(which) if which.isdecimal() else aliases[which]
        return keep_version(workspace, version_of(workspace, name, number))
    if not workspace.warm_start(check_name(what, "warm start")).is_dir():
        there = ", ".join(sorted(path.name for path in workspace.warm_start("none").parent.glob("*/")))
        raise ValueError(f"{what}: no folder of warm/; there are {there}, and versions as NAME@3 or NAME@champion")
    return what


def keep_version(workspace: Workspace, version: Version) -> str:
    """Make a version's networks the warm start `<name>-v<number>`, if they are not yet, and return its name.

    Raises:
        ValueError: the networks of its training are neither in the workspace nor in DVC's cache or remote.
    """
    name = f"{version.name}-v{version.version}"
    folder = workspace.warm_start(name)
    if folder.exists():
        return name
    with scratch_folder(workspace.work / "warm" / name) as scratch:
        networks = _networks_of(workspace, version, scratch)
        config = read_json(version.directory / "config.json")
        origin = {
            "recipe": version.name,
            "method": config["method"],
            "package": version.package,
            "trained_on": _learnt(version),
        }
        warm_start.keep(folder, networks, origin)
    track(workspace, folder)
    return name


def track(workspace: Workspace, folder: Path) -> None:
    """Let DVC track a warm start: git is no place for weights.

    Raises:
        ValueError: `dvc add` failed; the message ends with what it said.
    """
    relative = folder.relative_to(workspace.root).as_posix()
    done = capture(workspace, dvc(workspace, "add", relative))
    if done.returncode:
        raise ValueError(f"`dvc add {relative}` failed: {' '.join(done.stderr.split()) or 'it gave no reason'}")


def _networks_of(workspace: Workspace, version: Version, scratch: Path) -> Path:
    """Return the networks.npz of a version's training: the workspace's own, or the one of the version's tag."""
    here = workspace.trained(version.name) / warm_start.NETWORKS
    if here.is_file() and _is_of(here, version):
        return here
    tag, file = f"{version.name}/v{version.version}", here.relative_to(workspace.root).as_posix()
    found = scratch / warm_start.NETWORKS
    command = dvc(workspace, "get", str(workspace.root), file, "--rev", tag, "-o", str(found))
    done = capture(workspace, command)
    if done.returncode or not _is_of(found, version):
        said = " ".join(done.stderr.partition("ERROR:")[2].split()) or "they are not those of the package"
        raise ValueError(
            f"the networks of {version.name} version {version.version} cannot be had from tag {tag}: {said}; "
            f"`dvc pull` brings what a remote has, or begin with another version"
        )
    return found


def _learnt(version: Version) -> dict[str, list[str]]:
    path = version.directory / TRAINED_ON
    if not path.is_file():
        raise ValueError(
            f"which images {version.name} version {version.version} learnt is not recorded, so what begins with it "
            f"could not tell either; begin with a later version"
        )
    return dict(read_json(path))


def _is_of(networks: Path, version: Version) -> bool:
    """Return whether a training's averaged generator is the packaged one."""
    packaged = load_file(version.directory / "generator.safetensors")
    with np.load(networks, allow_pickle=False) as arrays:
        return all(
            f"generator.{key}" in arrays.files and np.array_equal(arrays[f"generator.{key}"], value)
            for key, value in packaged.items()
        )
