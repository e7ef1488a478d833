"""Two processes on the CPU: what they compute equals one process where it must, and none outlives the others."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from pipeline.distributed import ALONE, team
from pipeline.methods.base import Losses
from pipeline.trainer import Health
from pipeline.workspace import Workspace
from tests.pipeline.teamwork import CPU, NAME, SPLIT, WHOLE, arguments, new_trainer, take
from tests.pipeline.training import ROOT, tiny_workspace


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def compare(weights: dict[str, float], method: str = "cut") -> list[tuple[Losses, Losses, float]]:
    """Return the losses of two at 2 and of one at 4, and how far the gradients are apart, step by step."""
    found = []
    with team(2, CPU, NAME, arguments(weights, method=method), ROOT) as own:
        two, one = new_trainer(weights, own, method), new_trainer(weights, ALONE, method)
        for step in range(3):
            state = copy.deepcopy(two.state())
            own.order_state(state)  # so that rounding in one step is no difference in the next
            one.load(copy.deepcopy(state))
            own.order_step(step)
            losses = take(two, step), take(one, step, count=4)
            gradients = [
                [parameter.grad for player in losses[0] for parameter in trainer.method.player_parameters(player)]
                for trainer in (two, one)
            ]
            apart = [
                float((a - b).norm() / b.norm().clamp_min(1e-3))
                for a, b in zip(*gradients, strict=True)
                if a is not None and b is not None
            ]
            assert apart
            for name, memory in two.method.memories.items():
                assert_same(memory.state_dict(), one.method.memories[name].state_dict())
            found.append((*losses, max(apart)))
    return found


def test_of_cut_two_at_two_equal_one_at_four_without_the_losses_of_a_whole_batch() -> None:
    steps = compare(SPLIT | WHOLE)
    assert [set(two) for two, _, _ in steps] == [{"generator"}, *[{"generator", "discriminator"}] * 2]  # warm-up too
    for two, one, apart in steps:
        torch.testing.assert_close(two, one, rtol=1e-5, atol=1e-6)
        assert apart < 1e-3


def assert_same(two: dict[str, torch.Tensor], one: dict[str, torch.Tensor]) -> None:
    torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_of_fastcut_two_at_two_equal_one_at_four() -> None:
    for two, one, apart in compare({"nce": 1.0}, "fastcut"):
        torch.testing.assert_close(two, one, rtol=1e-5, atol=1e-6)
        assert apart < 1e-3


@pytest.mark.slow
def test_of_cyclegan_two_at_two_equal_one_at_four_and_so_do_their_pools() -> None:
    """In step 0 the pools of three are filled with images of both processes; later ones come back from there."""
    for two, one, apart in compare({"cycle": 1.0}, "cyclegan"):
        torch.testing.assert_close(two, one, rtol=1e-5, atol=1e-6)
        assert apart < 1e-3


@pytest.mark.slow
def test_of_stylegan2_two_at_two_equal_one_at_four_and_so_do_augmentation_and_means() -> None:
    """R1 and path lengths are at work in steps 0 and 2; p moves after step 1, by the answers to all paintings."""
    for two, one, apart in compare({}, "stylegan2"):
        torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-5)
        assert apart < 1e-3


@pytest.mark.slow
def test_of_cut_the_losses_of_a_whole_batch_see_each_process_alone() -> None:
    _, (two, one, _), _ = compare(dict.fromkeys([*WHOLE, *SPLIT], 1.0))
    for name in SPLIT:
        torch.testing.assert_close(two["generator"][name], one["generator"][name], rtol=1e-5, atol=1e-6)
    for name in WHOLE:  # at least three times as far apart as what must be equal may be
        assert abs(float(two["generator"][name] - one["generator"][name])) > 2e-5


def test_a_number_that_is_not_finite_in_one_process_makes_all_skip_the_step() -> None:
    weights = SPLIT | WHOLE
    with team(2, CPU, NAME, arguments(weights, poisoned_step=1), ROOT) as own:
        trainer = new_trainer(weights, own)
        for step in range(3):
            before = [p.clone() for p in trainer.method.player_parameters("generator")]
            own.order_step(step)
            take(trainer, step)
            moved = any(
                not torch.equal(a, b)
                for a, b in zip(before, trainer.method.player_parameters("generator"), strict=True)
            )
            assert moved == (step != 1)
            assert trainer.health() == Health(bad_in_a_row=int(step == 1), bad_total=min(step, 1))


@pytest.mark.slow
def test_a_follower_that_dies_ends_the_training_with_a_sentence() -> None:
    def train() -> None:
        with team(2, CPU, NAME, arguments(SPLIT, dies_at=1), ROOT) as own:
            trainer = new_trainer(SPLIT, own)
            for step in range(3):
                own.order_step(step)
                take(trainer, step)

    with pytest.raises(ValueError, match=r"ended with status 9.*same command to continue"):
        train()


_LEAD = """
import sys, time
from tests.pipeline.teamwork import *

with team(2, CPU, NAME, arguments(SPLIT | WHOLE, pid=sys.argv[1]), ROOT) as own:
    own.order_step(0)
    print("leading", flush=True)
    if sys.argv[2] == "exec":
        os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(60)"])
    time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.parametrize("end", ["killed", "exec"])
def test_followers_end_with_their_leader_even_if_it_lives_on_as_another_program(tmp_path: Path, end: str) -> None:
    file = tmp_path / "pid"
    leader = subprocess.Popen(
        [sys.executable, "-c", _LEAD, str(file), end], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert leader.stdout is not None
    assert leader.stdout.readline() == "leading\n"
    deadline = time.monotonic() + 60
    while not (file.exists() and file.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    follower = int(file.read_text())
    if end == "killed":
        leader.send_signal(signal.SIGKILL)
        leader.wait()
    while _runs(follower) and time.monotonic() < deadline:
        time.sleep(0.05)
    try:
        assert not _runs(follower)
    finally:
        leader.kill()
        leader.wait()


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_another_number_of_processes_than_the_parameters_say_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "WORLD_SIZE", "3")
    refused = pytest.raises(ValueError, match=r"3 processes were started but train\.processes is 2")
    with refused, team(2, CPU, NAME, [], ROOT):
        pass


def test_one_process_is_a_team_that_exchanges_nothing() -> None:
    with team(1, CPU, NAME, [], ROOT) as own:
        assert own is ALONE
        values = [torch.ones(2)]
        own.average(values)
        assert own.gather(values[0]) is values[0]
        own.order_step(0)
        own.order_state({})
        assert torch.equal(values[0], torch.ones(2))


def result(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("networks.npz", "history.csv", "config.json")}


def start(workspace: Workspace, *launcher: str) -> subprocess.Popen[str]:
    command = [sys.executable, *(launcher or ["-m"]), "pipeline.train", "dots"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=workspace.root, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["cut", "cyclegan"])  # what one process remembers of the other must come back too
def test_a_run_of_two_that_was_stopped_goes_on_to_the_result_of_an_undisturbed_one(
    tmp_path: Path, method: str
) -> None:
    """The leader is asked to stop, and then killed; no follower is left, and what comes out is the same."""
    overlay = {"train": {"processes": 2, "steps": 40, "checkpoint_every": 3}}
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    undisturbed = tiny_workspace(tmp_path / "whole", method, **overlay)
    whole = start(undisturbed)
    _, errors = whole.communicate(timeout=300)
    assert whole.returncode == 0, errors
    workspace = tiny_workspace(tmp_path / "stopped", method, **overlay)
    for end, status in ((signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)):
        before = _checkpoints(workspace)
        child = start(workspace)
        while _checkpoints(workspace) <= before + 1 and child.poll() is None:
            time.sleep(0.01)
        child.send_signal(end)
        _, errors = child.communicate(timeout=300)  # followers hold the other end: they are gone, too
        assert child.returncode == status, errors
    last = start(workspace)
    _, errors = last.communicate(timeout=300)
    assert last.returncode == 0, errors
    assert "resuming dots" in errors
    assert result(workspace.trained("dots")) == result(undisturbed.trained("dots"))


def _checkpoints(workspace: Workspace) -> int:
    """The step of the newest checkpoint."""
    names = [path.stem.partition("-")[2] for path in workspace.work.rglob("step-*.ckpt")]
    return max(map(int, names), default=-1)


@pytest.mark.slow
def test_torchrun_starts_the_same_training(tmp_path: Path) -> None:
    for name in ("own", "torchrun"):
        (tmp_path / name).mkdir()
    own, other = (tiny_workspace(tmp_path / name, train={"processes": 2}) for name in ("own", "torchrun"))
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    for child in (start(own), start(other, *launcher)):
        _, errors = child.communicate(timeout=300)
        assert child.returncode == 0, errors
    assert result(own.trained("dots")) == result(other.trained("dots"))
