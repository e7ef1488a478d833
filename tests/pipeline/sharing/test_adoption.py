"""A training of a bare machine is adopted if it is of exactly this, an edit of code accepted if it is code alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline import registry
from pipeline.files import read_json, write_json
from pipeline.sharing import declared
from pipeline.workspace import Workspace
from tests.conftest import git
from tests.flows.studio import command
from tests.flows.team import stale

TRAIN = "pipeline/train.py"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, old
    path.write_text(text.replace(old, new, 1))


def train_elsewhere(studio: Path, bare: Path) -> Path:
    """Copy a workspace as one would to a machine without git and DVC, and train there."""
    names = ("pipeline", "params.yaml", "recipes.yaml", "dvc.yaml", "data/prepared", "warm")
    for name in names:
        copy = shutil.copytree if (studio / name).is_dir() else shutil.copyfile
        (bare / name).parent.mkdir(parents=True, exist_ok=True)
        copy(studio / name, bare / name)
    subprocess.run(
        [sys.executable, "-P", "-m", "pipeline.train", "ink"],
        cwd=bare,
        env={**os.environ, "PYTHONPATH": str(bare)},
        check=True,
        capture_output=True,
    )
    return bare


def adopt(studio: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return command(studio, "pipeline.cli", "adopt", "ink", str(folder))


def changed(path: Path, change: Callable[[Path], object]) -> Callable[[], None]:
    """Change a file and return what puts it back."""
    before = path.read_bytes()
    change(path)
    return lambda: void(path.write_bytes(before))


def void(_: object) -> None:
    return None


def with_field(path: Path, *keys: str, value: object) -> None:
    tree = read_json(path)
    inner = tree
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    write_json(path, tree)


def not_finite(path: Path) -> None:
    with np.load(path) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    first = next(name for name, array in found.items() if array.dtype.kind == "f")
    np.savez(path, **{**found, first: np.full_like(found[first], np.nan)})


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_training_of_a_bare_machine_is_adopted_if_it_is_of_exactly_this(studio: Path, tmp_path: Path) -> None:
    edit(studio / "params.yaml", "decay_from: 0.5", "decay_from: 0.6")
    bare = train_elsewhere(studio, tmp_path / "bare")
    result, before = bare / "runs" / "ink", (studio / "dvc.lock").read_bytes()
    comment = "# a comment\n"
    cases: dict[str, tuple[Path, Callable[[Path], object]]] = {
        "its parameters (train.decay_from 0.6 there, 0.5 here) differ": (
            studio / "params.yaml", lambda path: edit(path, "decay_from: 0.6", "decay_from: 0.5"),
        ),
        "its code (pipeline/train.py) differ": (
            studio / TRAIN, lambda path: path.write_text(path.read_text() + comment),
        ),
        "its prepared images differ": (
            result / "config.json", lambda path: with_field(path, "digests", "data", value="0"),
        ),
        "prepare_photos is not up to date here (prepare.crops_per_image 2 -> 3)": (
            studio / "params.yaml", lambda path: edit(path, "crops_per_image: 2", "crops_per_image: 3"),
        ),
        "a training of 'oil', not of 'ink'": (
            result / "config.json", lambda path: with_field(path, "recipe", value="oil"),
        ),
        "lacks best.npz": (result / "best.npz", lambda path: path.unlink()),
        "networks.npz is not finite in ": (result / "networks.npz", not_finite),
        "networks.npz cannot be read": (result / "networks.npz", lambda path: path.write_bytes(b"PK")),
    }  # fmt: skip
    for says, (path, harm) in cases.items():
        put_back = changed(path, harm)
        done = adopt(studio, bare)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert says in done.stderr
        put_back()
    assert (studio / "dvc.lock").read_bytes() == before

    done = adopt(studio, bare)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ink: 6 steps, trained on cpu, are in ")
    for name in ("networks.npz", "best.npz", "history.csv"):
        assert (studio / "runs" / "ink" / name).read_bytes() == (result / name).read_bytes()

    done = command(studio, "flows", "retrain")
    assert done.returncode == 0, done.stderr
    last = read_json(studio / "var" / "last_retrain.json")["recipes"][0]
    states = {row["stage"]: row["state"] for row in last["stages"]}
    assert [states[f"{stage}@ink"] for stage in ("train", "package", "evaluate")] == ["unchanged", "done", "done"]
    version = registry.version_of(Workspace(studio), "ink", 2)
    assert f"trained elsewhere on cpu, 6 steps, from {bare}" in version.tags["adopted"]
    assert read_json(version.directory / "config.json")["training"]["train"]["decay_from"] == 0.6
    assert declared.pending(Workspace(studio), "ink") == {}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_edit_of_code_is_accepted_if_code_alone_is_stale(studio: Path) -> None:
    def accept(*arguments: str) -> subprocess.CompletedProcess[str]:
        return command(studio, "pipeline.cli", "accept-code", *arguments)

    done = accept()
    assert (done.returncode, done.stderr) == (
        2, "error: nothing is stale in ink; there is nothing to accept\n",
    )  # fmt: skip
    networks = (studio / "runs" / "ink" / "networks.npz").read_bytes()
    head = git(studio, "rev-parse", "HEAD")
    (studio / TRAIN).write_text((studio / TRAIN).read_text() + "# a comment\n")
    put_back = changed(studio / "params.yaml", lambda path: edit(path, "bootstrap: 30", "bootstrap: 29"))
    before = (studio / "dvc.lock").read_bytes()
    done = accept("ink")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "ink is not stale for its code alone: evaluate@ink: evaluate.bootstrap 30 -> 29 (params)" in done.stderr
    assert (studio / "dvc.lock").read_bytes() == before
    put_back()

    done = accept("ink", "--reason", "Only a comment.")
    assert done.returncode == 0, done.stderr
    assert "accepted: pipeline/train.py modified\n" in done.stdout
    assert "commit dvc.lock with pipeline/train.py\n" in done.stdout  # the edit is in no commit yet
    assert git(studio, "rev-parse", "HEAD") == head
    assert (studio / "runs" / "ink" / "networks.npz").read_bytes() == networks
    assert "Running stage" not in stale(studio).stdout
    git(studio, "commit", "-q", "-a", "-m", "A comment")

    (studio / "pipeline/evaluate.py").write_text((studio / "pipeline/evaluate.py").read_text() + "# another\n")
    git(studio, "commit", "-q", "-a", "-m", "Another comment")
    done = accept()
    assert done.returncode == 0, done.stderr
    assert git(studio, "show", "--format=%s", "--name-only", "HEAD").split("\n") == [
        "Accept code of ink", "", "dvc.lock",
    ]  # fmt: skip
    clone = studio.parent / "clone"
    git(studio.parent, "clone", "-q", str(studio), str(clone))
    assert stale(clone).returncode == 0

    edit(studio / "params.yaml", "seed: 20", "seed: 21")
    assert "pipeline/evaluate.py modified" in declared.pending(Workspace(studio), "ink")["accepted_code"]
    done = command(studio, "flows", "retrain")
    assert done.returncode == 0, done.stderr
    tag = registry.version_of(Workspace(studio), "ink", 2).tags["accepted_code"]
    assert "pipeline/train.py modified: declared harmless: Only a comment.; " in tag
    assert tag.endswith("pipeline/evaluate.py modified: declared harmless")
    assert declared.pending(Workspace(studio), "ink") == {}


def test_what_was_declared_stands_until_a_version_has_told_it(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    assert declared.pending(place, "ink") == {}
    declared.declare(place, declared.ACCEPTED, "ink", "a.py: declared harmless")
    with declared.declared_file(place).open("a") as stream:
        stream.write('{"what": "acc')  # a power cut
    declared.declare(place, declared.ACCEPTED, "ink", "b.py: declared harmless")
    declared.declare(place, declared.ADOPTED, "oil", "from elsewhere")
    found = declared.pending(place, "ink")
    assert list(found) == [declared.ACCEPTED]
    assert found[declared.ACCEPTED].count("declared harmless") == 2
    declared.told(place, "ink", 2)
    assert declared.pending(place, "ink") == {}
    assert list(declared.pending(place, "oil")) == [declared.ADOPTED]
