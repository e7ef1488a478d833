import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.catalogue import METHODS as FACTS
from pipeline.checkpoints import load_newest, save_checkpoint
from pipeline.data import CropStore
from pipeline.files import read_json
from pipeline.inference import generator_weights
from pipeline.methods import METHODS, build_method
from pipeline.methods.base import Batch
from pipeline.params import read_tree
from pipeline.recipes import load_book
from pipeline.train import choose_device, main, prepare_run, snapshot_steps
from pipeline.trainer import Trainer, learning_rate, scalars, step_randomness
from tests.pipeline.training import ROOT, smoke_params, tiny_workspace

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def _networks(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "networks.npz", allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def test_the_names_of_methods_are_those_that_recipes_accept() -> None:
    assert {name: (one.task, one.photographs) for name, one in METHODS.items()} == {
        name: (facts.task, facts.photographs) for name, facts in FACTS.items()
    }


def test_training_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    folders = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        folders.append(main("dots", tiny_workspace(tmp_path / name)))
    files = sorted(path.relative_to(folders[0]) for path in folders[0].rglob("*") if path.is_file())
    assert {"networks.npz", "config.json", "history.csv"} <= {str(path) for path in files}
    for file in files:
        assert (folders[0] / file).read_bytes() == (folders[1] / file).read_bytes(), file


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = _networks(main("dots", tiny_workspace(tmp_path / "a")))
    two = _networks(main("dots", tiny_workspace(tmp_path / "b", seed=99)))
    assert any(not np.array_equal(one[name], two[name]) for name in one)


_TRAIN = """
import sys
from pathlib import Path

import torch

from pipeline.train import main
from pipeline.workspace import Workspace

torch.set_num_threads(1)
main("dots", Workspace(Path(sys.argv[1])))
"""


def test_a_killed_run_resumes_in_a_new_process_and_ends_bit_for_bit_as_an_undisturbed_one(tmp_path: Path) -> None:
    overlay = {"train": {"steps": 40, "checkpoint_every": 3, "log_every": 2, "sample_every": 20}}
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    undisturbed = main("dots", tiny_workspace(tmp_path / "whole", **overlay))
    workspace = tiny_workspace(tmp_path / "killed", **overlay)
    child = subprocess.Popen([sys.executable, "-c", _TRAIN, str(workspace.root)], cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(workspace.work.rglob("step-*[1-9].ckpt")) and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert list(workspace.work.rglob("step-*[1-9].ckpt"))
    assert not workspace.trained("dots").exists()
    done = subprocess.run(
        [sys.executable, "-c", _TRAIN, str(workspace.root)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "resuming dots after step" in done.stderr
    for name in ("networks.npz", "history.csv", "config.json"):
        assert (workspace.trained("dots") / name).read_bytes() == (undisturbed / name).read_bytes(), name


def test_sigterm_saves_and_the_exit_code_says_so(tmp_path: Path) -> None:
    workspace = tiny_workspace(tmp_path, train={"steps": 5000, "checkpoint_every": 4000})
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(
        [sys.executable, "-m", "pipeline.train", "dots"],
        cwd=workspace.root, env=environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    log = workspace.work / "logs" / "dots.json"
    deadline = time.monotonic() + 120
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    child.terminate()
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 128 + signal.SIGTERM
    assert "the same command continues from there" in errors
    assert list(workspace.work.rglob("step-*.ckpt"))


def test_a_finished_run_leaves_nothing_to_resume(tmp_path: Path) -> None:
    workspace = tiny_workspace(tmp_path)
    main("dots", workspace)
    assert not list(workspace.work.rglob("*.ckpt"))


def test_the_log_holds_each_step_once_and_a_pointer_finds_it(tmp_path: Path) -> None:
    workspace = tiny_workspace(tmp_path)
    main("dots", workspace)
    pointer = read_json(workspace.work / "logs" / "dots.json")
    events = [json.loads(line) for line in (workspace.root / pointer["log"]).read_text().splitlines()]
    assert [event["event"] for event in events if event["event"] in ("start", "finish")] == ["start", "finish"]
    steps = [event["step"] for event in events if event["event"] == "metrics"]
    assert steps == [2, 4, 6]
    history = (workspace.trained("dots") / "history.csv").read_text().splitlines()
    assert len(history) == 1 + len(steps)


def test_no_time_left_is_an_error_that_keeps_the_checkpoint(tmp_path: Path) -> None:
    workspace = tiny_workspace(tmp_path, train={"steps": 100_000, "max_minutes": 0.01, "checkpoint_every": 99_999})
    with pytest.raises(ValueError, match=r"train\.max_minutes.*calibrate"):
        main("dots", workspace)
    assert list(workspace.work.rglob("step-*.ckpt"))


def test_a_loss_that_is_never_finite_stops_the_run_and_leaves_no_result(tmp_path: Path) -> None:
    workspace = tiny_workspace(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.losses.g_texture", lambda *_: torch.tensor(float("nan"), requires_grad=True))
        with pytest.raises(ValueError, match=r"not finite.*train\.learning_rate"):
            main("dots", workspace)
    assert not workspace.trained("dots").exists()


def test_two_trainers_of_one_recipe_keep_apart(tmp_path: Path) -> None:
    from pipeline.process import exclusive

    workspace = tiny_workspace(tmp_path)
    with (
        exclusive(workspace.checkpoints("dots") / "lock", "a test"),
        pytest.raises(ValueError, match="already running"),
    ):
        main("dots", workspace)


def test_the_key_follows_data_params_and_code_but_not_how_the_run_is_operated(tmp_path: Path) -> None:
    workspace = tiny_workspace(tmp_path)
    recipe = load_book(workspace).recipe("dots")
    key = prepare_run(workspace, recipe).key
    text = workspace.params_file.read_text()
    workspace.params_file.write_text(text.replace("max_minutes: 10.0", "max_minutes: 11.0"))
    assert prepare_run(workspace, recipe).key == key
    workspace.params_file.write_text(text.replace("steps: 6", "steps: 7"))
    assert prepare_run(workspace, recipe).key != key
    workspace.params_file.write_text(text)
    crop = next((workspace.prepared("dots") / "train").iterdir())
    crop.write_bytes(crop.read_bytes() + b"x")
    assert prepare_run(workspace, recipe).key != key


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_missing_device_is_an_error_and_never_a_silent_cpu_run() -> None:
    with pytest.raises(ValueError, match=r"train\.device"):
        choose_device(smoke_params(train={"device": "cuda"}).train)
    with pytest.raises(ValueError, match=r"train\.require_device"):
        choose_device(smoke_params(train={"require_device": "cuda"}).train)


def test_the_rate_is_constant_then_linear_to_nothing() -> None:
    settings = smoke_params(train={"steps": 100, "decay_from": 0.5, "learning_rate": 0.01}).train
    rates = [learning_rate(settings, step) for step in range(100)]
    assert rates[:51] == [0.01] * 51
    assert rates[75] == pytest.approx(0.005)
    assert rates[99] == pytest.approx(0.01 / 50)


def test_each_player_is_moved_by_its_own_losses_alone() -> None:
    """The shared forward pass gives the gradients that separate passes would."""
    params = smoke_params(cut={"warmup_steps": 0})
    method = build_method("cut", params)
    trainer = Trainer(method, params.train, CPU)
    batch = Batch(torch.rand(2, 3, 32, 32) * 2 - 1, torch.rand(2, 3, 32, 32) * 2 - 1)
    before = {name: [p.clone() for p in network.parameters()] for name, network in method.networks.items()}
    method.discriminator.eval()  # so that the power iteration of spectral norm does not move between the passes
    separate = {}
    for player in method.players:
        losses = method.step(batch, 0, step_randomness(0, 0))
        total = torch.stack(list(losses[player].values())).sum()
        separate[player] = torch.autograd.grad(total, method.player_parameters(player), allow_unused=True)
    trainer.step(batch, 0, step_randomness(0, 0))
    for player in method.players:
        for parameter, expected in zip(method.player_parameters(player), separate[player], strict=True):
            assert parameter.grad is not None
            torch.testing.assert_close(parameter.grad, expected)
    for name, network in method.networks.items():
        assert any(not torch.equal(a, b) for a, b in zip(before[name], network.parameters(), strict=True)), name


def test_every_loss_can_be_switched_off_and_switches_nothing_else_off() -> None:
    names = set(read_tree(ROOT / "params.yaml")["cut"]["weights"])
    batch = Batch(torch.rand(2, 3, 32, 32) * 2 - 1, torch.rand(2, 3, 32, 32) * 2 - 1)
    everything = dict.fromkeys(names, 1.0)
    for off in sorted(names):
        params = smoke_params(cut={"warmup_steps": 0, "weights": everything | {off: 0.0}})
        losses = build_method("cut", params).step(batch, 0, step_randomness(0, 0))
        assert set(losses["generator"]) == names - {off}


def test_the_warm_up_only_draws_the_photograph() -> None:
    params = smoke_params()
    losses = build_method("cut", params).step(Batch(torch.zeros(2, 3, 32, 32), torch.zeros(2, 3, 32, 32)), 0, DRAW)
    assert set(losses) == {"generator"}
    assert set(losses["generator"]) == {"reconstruction"}


DRAW = torch.Generator().manual_seed(0)


def test_a_step_never_reads_the_global_random_stream() -> None:
    params = smoke_params(cut={"warmup_steps": 0})
    batch = Batch(torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32))
    values = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        values.append(scalars(build_method("cut", params).step(batch, 5, step_randomness(3, 5))))
    assert values[0] == values[1]


def test_batches_are_crops_in_range_and_weights_are_obeyed(tmp_path: Path) -> None:
    crops = torch.zeros(3, 2, 16, 16, 3, dtype=torch.uint8)
    crops[1], crops[2] = 127, 255
    store = CropStore(crops, torch.tensor([1.0, 0.0, 3.0], dtype=torch.float64), CPU)
    batch = store.batch(400, 8, torch.Generator().manual_seed(0))
    assert batch.shape == (400, 3, 8, 8)
    values = batch.mean((1, 2, 3))
    assert set(values.tolist()) == {-1.0, 1.0}  # the image of weight 0 never appears
    assert (values == 1).float().mean().item() == pytest.approx(0.75, abs=0.08)


def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, step, {"step": step, "x": torch.ones(3) * step}, keep=2)
    files = sorted(tmp_path.glob("*.ckpt"))
    assert len(files) == 2
    data = bytearray(files[-1].read_bytes())
    data[len(data) // 2] ^= 1
    files[-1].write_bytes(data)
    state = load_newest(tmp_path, CPU)
    assert state is not None
    assert state["step"] == 2
    assert "damaged" in capsys.readouterr().err


def test_a_full_disk_is_one_sentence_and_keeps_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tmp_path, 1, {"step": 1}, keep=1)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10})())
    with pytest.raises(ValueError, match="free some space"):
        save_checkpoint(tmp_path, 2, {"step": 2}, keep=1)
    state = load_newest(tmp_path, CPU)
    assert state is not None
    assert state["step"] == 1


def test_snapshots_of_the_last_tenths_are_kept_and_the_last_is_near_the_result(tmp_path: Path) -> None:
    assert snapshot_steps(330) == [264, 297]
    assert snapshot_steps(1) == []
    workspace = tiny_workspace(tmp_path, train={"steps": 10})
    folder = main("dots", workspace)
    kept = sorted(path.name for path in (folder / "snapshots").iterdir())
    assert kept == ["step-00000008.npz", "step-00000009.npz"]
    earlier, late, last = (
        generator_weights(path) for path in (*(folder / "snapshots" / name for name in kept), folder / "networks.npz")
    )
    assert earlier.keys() == late.keys() == last.keys()

    def apart(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
        return sum(float((one[name] - other[name]).abs().sum()) for name in one)

    assert 0 < apart(late, last) < apart(earlier, last)
