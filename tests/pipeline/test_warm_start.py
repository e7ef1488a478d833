"""Warm starts: what a training begins with is an input like any other, and what it had learnt is not forgotten."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline import package, train, warm_start
from pipeline.files import read_json
from pipeline.methods import build_method
from pipeline.methods.base import Batch
from pipeline.recipes import load_book, set_warm_start
from pipeline.trainer import Trainer, step_randomness
from pipeline.workspace import Workspace
from tests.pipeline.training import smoke_params, tiny_workspace

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with a trained recipe, whose networks are kept as `warm/first`."""
    workspace = tiny_workspace(tmp_path_factory.mktemp("studio"))
    trained = train.main("dots", workspace)
    origin = {"recipe": "dots", "method": "cut", "package": "p" * 64, "trained_on": {"dots": ["a"], "earlier": ["b"]}}
    warm_start.keep(workspace.warm_start("first"), trained / "networks.npz", origin)
    return workspace


def _recipe(workspace: Workspace, begin_with: str) -> train.Run:
    set_warm_start(workspace, "dots", begin_with)
    return train.prepare_run(workspace, load_book(workspace).recipe("dots"))


def test_every_network_and_its_average_begin_with_what_was_learnt(studio: Workspace) -> None:
    method = build_method("cut", smoke_params())
    assert warm_start.begin_with(method.networks, studio.warm_start("first"))
    trainer = Trainer(method, smoke_params().train, CPU)
    with np.load(studio.trained("dots") / "networks.npz") as arrays:
        for name, network in [*method.networks.items(), *((n, a.network) for n, a in trainer.averages.items())]:
            for key, value in network.state_dict().items():
                assert np.array_equal(value.numpy(), arrays[f"{name}.{key}"]), (name, key)


def test_nothing_is_learnt_from_none(studio: Workspace) -> None:
    method = build_method("cut", smoke_params())
    before = {key: value.clone() for key, value in method.networks["generator"].state_dict().items()}
    assert not warm_start.begin_with(method.networks, studio.warm_start("none"))
    assert all(torch.equal(before[key], value) for key, value in method.networks["generator"].state_dict().items())
    assert warm_start.digest(studio.warm_start("none")) is None
    assert warm_start.trained_on(studio.warm_start("none")) == {}


def test_there_is_no_warm_up_after_a_warm_start() -> None:
    images = Batch(*torch.rand(2, 2, 3, 32, 32).mul(2).sub(1))
    method = build_method("cut", smoke_params())
    assert set(method.step(images, 0, step_randomness(1, 0))) == {"generator"}
    method.warmed = True
    assert set(method.step(images, 0, step_randomness(1, 0))) == {"generator", "discriminator"}


def test_other_networks_are_another_run(studio: Workspace) -> None:
    cold, warm = _recipe(studio, "none"), _recipe(studio, "first")
    assert cold.key != warm.key
    assert "warm_start" not in cold.digests
    assert warm.digests["warm_start"] == warm_start.digest(studio.warm_start("first"))
    del warm.digests["warm_start"]
    assert warm.digests == cold.digests


def test_a_warm_training_goes_on_from_there_and_its_package_tells_all_it_learnt(studio: Workspace) -> None:
    cold = (studio.trained("dots") / "networks.npz").read_bytes()
    _recipe(studio, "first")
    trained = train.main("dots", studio)
    assert read_json(trained / "config.json")["warm_start"] == "first"
    assert (trained / "networks.npz").read_bytes() != cold
    again = (trained / "networks.npz").read_bytes()
    assert (train.main("dots", studio) / "networks.npz").read_bytes() == again
    learnt = read_json(package.main("dots", studio) / package.TRAINED_ON)
    assert learnt["earlier"] == ["b"]
    assert "a" in learnt["dots"]
    assert len(learnt["dots"]) == 7  # its own six besides
    assert "photos" in learnt


def test_a_warm_start_never_changes(studio: Workspace) -> None:
    with pytest.raises(ValueError, match="is there already"):
        warm_start.keep(studio.warm_start("first"), studio.trained("dots") / "networks.npz", {})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"channels": 4}, r"'first' does not fit: generator\.\S+ is \(\S.*there and .* here"),
        ({"blocks": 2}, r"is missing there and"),
    ],
)
def test_networks_of_other_sizes_are_refused(studio: Workspace, change: dict[str, int], says: str) -> None:
    generator = {"channels": 8, "blocks": 1, "antialias": False} | change
    method = build_method("cut", smoke_params(cut={"generator": generator}))
    with pytest.raises(ValueError, match=says):
        warm_start.begin_with(method.networks, studio.warm_start("first"))


def test_what_is_not_finite_is_refused(studio: Workspace, tmp_path: Path) -> None:
    with np.load(studio.warm_start("first") / warm_start.NETWORKS) as arrays:
        broken = dict(arrays)
    name = next(key for key in broken if key.startswith("heads."))
    broken[name] = broken[name] * np.nan
    np.savez(tmp_path / "broken.npz", **broken)
    folder = warm_start.keep(studio.warm_start("broken"), tmp_path / "broken.npz", {"trained_on": {}})
    with pytest.raises(ValueError, match=r"'broken' is not finite in heads\."):
        warm_start.begin_with(build_method("cut", smoke_params()).networks, folder)


def test_a_missing_warm_start_says_what_to_do(studio: Workspace) -> None:
    set_warm_start(studio, "dots", "lost")
    with pytest.raises(ValueError, match=r"warm/lost/networks\.npz is missing: `dvc pull`.* or to none"):
        train.main("dots", studio)
