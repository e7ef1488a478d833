"""The watch sees each way to collapse in a stated number of steps, leaves the healthy alone, and keeps the best."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pipeline.collapse import Watch
from pipeline.data import CropStore
from pipeline.files import read_json
from pipeline.methods import build_method
from pipeline.methods.base import Batch
from pipeline.networks.generators import ResnetGenerator
from pipeline.panels.base import Panel
from pipeline.panels.translation import PANEL, TranslationPanel, Validation, examine
from pipeline.params import Converged, Train
from pipeline.sample_data import STYLES, artwork_bytes, photo_bytes
from pipeline.train import main
from pipeline.trainer import Trainer, step_randomness
from tests.pipeline.training import ROOT, smoke_params, tiny_workspace

SIDE = 48
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def _crops(files: list[bytes]) -> Tensor:
    opened = [Image.open(io.BytesIO(data)).convert("RGB").resize((SIDE, SIDE)) for data in files]
    return torch.from_numpy(np.stack([np.asarray(image) for image in opened]))


def _photos(count: int) -> Tensor:
    return _crops([photo_bytes(i, side=SIDE) for i in range(count)])


def _paintings(style: str, count: int) -> Tensor:
    return _crops([artwork_bytes(style, i, side=SIDE) for i in range(count)])


def _tensor(crops: Tensor) -> Tensor:
    return crops.permute(0, 3, 1, 2).float() / 127.5 - 1


@pytest.fixture(scope="module")
def panel() -> TranslationPanel:
    photos, paintings = _tensor(_photos(PANEL)), _tensor(_paintings("impasto", PANEL))
    return TranslationPanel(photos, paintings, photos[:2], step_randomness(0, -1))


class Fixed(nn.Module):
    """A generator that does one thing; its weight says which it is."""

    def __init__(self, paint: Callable[[Tensor], Tensor], name: float = 0.0) -> None:
        super().__init__()
        self.paint = paint
        self.name = nn.Parameter(torch.tensor(name))

    def forward(self, x: Tensor) -> Tensor:
        return self.paint(x)


def _one_image(x: Tensor) -> Tensor:
    """The same picture for all, with a little noise that is each input's own."""
    ramp = torch.linspace(-0.8, 0.8, x.shape[3]).expand(x.shape)
    return ramp + 0.05 * torch.sin(1000 * x)


PLANTED: dict[str, Callable[[Tensor], Tensor]] = {
    "diversity": _one_image,
    "change": lambda x: (127.5 * x).round() / 127.5,  # as 8 bits copy it
    "light": lambda x: -x,
}


def _settings(**collapse: object) -> Train:
    train = smoke_params().train
    return replace(train, collapse=replace(train.collapse, after=0, **collapse))  # type: ignore[arg-type]


def _watch(panel: TranslationPanel, warmup: int = 0, **collapse: object) -> Watch:
    return Watch(_settings(**collapse), panel, warmup, CPU)


def test_figures_of_what_is_known(panel: TranslationPanel) -> None:
    copied = examine(panel.photos, panel.photos)
    assert copied["diversity"] == pytest.approx(1, abs=0.01)
    assert copied["change"] == 0
    assert copied["light"] == pytest.approx(1)
    assert examine(panel.photos, -panel.photos)["light"] == pytest.approx(-1)
    assert examine(panel.photos, panel.photos[:1].expand_as(panel.photos))["diversity"] == 0
    assert examine(panel.photos, 0.5 * panel.photos)["diversity"] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("name", sorted(PLANTED))
def test_a_collapse_is_told_at_the_watch_that_patience_allows_and_once(panel: TranslationPanel, name: str) -> None:
    watch = _watch(panel, patience=3)
    told = [watch.look(Fixed(PLANTED[name]), step).alarms for step in range(6)]
    (rule,) = (rule for rule in panel.rules if rule.figure == name)
    assert [len([alarm for alarm in alarms if rule.limit in alarm]) for alarms in told] == [0, 0, 1, 0, 0, 0]
    assert {"step": 2, "why": next(alarm for alarm in told[2] if rule.limit in alarm)} in watch.alarms
    assert watch.uneasy


def test_a_discriminator_that_is_always_right_is_told(panel: TranslationPanel) -> None:
    watch = _watch(panel, patience=1)

    def told(*accuracies: float) -> list[str]:
        for accuracy in accuracies:
            watch.count(torch.tensor(accuracy))
        return watch.look(Fixed(lambda x: 0.6 * x.flip(1)), 1).alarms

    assert told(1.0, 0.9) == []
    assert "max_accuracy" in told(1.0, 1.0)[0]
    assert told() == []  # nobody asked it since


def test_a_watch_before_the_warm_up_is_over_says_nothing_and_is_never_the_best(panel: TranslationPanel) -> None:
    watch = Watch(_settings(patience=1), panel, 100, CPU)
    assert watch.look(Fixed(lambda x: x), 99).alarms == []
    assert not watch.uneasy
    assert not watch.best
    assert watch.look(Fixed(lambda x: x), 101).alarms


def test_validation_is_one_for_photographs_and_less_for_better_pictures(panel: TranslationPanel) -> None:
    validation = Validation(panel.photos, panel.paintings, step_randomness(0, -1))
    assert validation(panel.photos) == pytest.approx(1, abs=0.02)
    assert validation(panel.paintings) > 1  # another subject
    mean, deviation = (f((0, 2, 3), keepdim=True) for f in (panel.photos.mean, panel.photos.std))
    wanted = panel.paintings.mean((0, 2, 3), keepdim=True), panel.paintings.std((0, 2, 3), keepdim=True)
    recoloured = ((panel.photos - mean) / deviation * wanted[1] + wanted[0]).clamp(-1, 1)
    assert validation(recoloured) < 0.95
    for planted in PLANTED.values():
        assert validation(planted(panel.photos)) > validation(recoloured)


def test_the_best_weights_are_kept_and_come_back_with_the_state(panel: TranslationPanel) -> None:
    watch = _watch(panel)
    good, bad = (lambda x: 0.8 * x + 0.1), (lambda x: -x)
    for step, (paint, name) in enumerate([(bad, 1.0), (good, 2.0), (bad, 3.0)]):
        watch.look(Fixed(paint, name), step + 1)
    assert (watch.best["step"], float(watch.best["weights"]["name"])) == (2, 2.0)
    again = _watch(panel)
    again.load(watch.state())
    again.look(Fixed(bad, 4.0), 4)
    assert (again.best["step"], float(again.best["weights"]["name"])) == (2, 2.0)


def test_the_state_says_how_often_a_limit_was_passed_in_a_row(panel: TranslationPanel) -> None:
    watch, again = _watch(panel, patience=2), _watch(panel, patience=2)
    watch.count(torch.tensor(0.5))
    assert not watch.look(Fixed(PLANTED["light"]), 1).alarms
    watch.count(torch.tensor(0.75))
    again.load(watch.state())
    sight = again.look(Fixed(PLANTED["light"]), 2)
    assert sight.alarms
    assert sight.figures["accuracy"] == 0.75


class Scripted(Panel):
    """A panel whose validation is told beforehand."""

    rules = ()

    def __init__(self, *validations: float) -> None:
        self.validations = iter(validations)

    def look(self, network: nn.Module) -> dict[str, float]:
        return {"validation": next(self.validations)}

    def picture(self, network: nn.Module) -> Image.Image:
        raise NotImplementedError


def _converging(*validations: float) -> Watch:
    settings = replace(_settings(), converged=Converged(window=2, tolerance=0.1))
    return Watch(settings, Scripted(*validations), 0, CPU)


def test_training_is_settled_once_a_window_of_watches_has_brought_nothing_better() -> None:
    # 0.8 is better than 1.0 by a fifth; 0.79, 0.75, 0.73 are better than 0.8 by less than a tenth.
    watch = _converging(1.0, 0.8, 0.79, 0.75, 0.73)
    told = [watch.look(Fixed(lambda x: x), step) and watch.settled for step in range(4)]
    assert told == [False, False, False, True]
    again = _converging(0.5)
    again.load(watch.state())
    assert again.settled
    again.look(Fixed(lambda x: x), 4)
    assert not again.settled


def test_by_default_training_is_never_settled(panel: TranslationPanel) -> None:
    watch = _watch(panel)
    for step in range(4):
        watch.look(Fixed(lambda x: x), step)
    assert not watch.settled


@pytest.mark.parametrize("method", ["cut", "dcgan"])
def test_a_training_that_has_converged_ends_and_says_at_which_step(
    method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = {"collapse": LENIENT | {"after": 0}, "converged": {"window": 1, "tolerance": 1.0}}
    folder = main("dots", tiny_workspace(tmp_path, method, train=RUN | ends))
    config = read_json(folder / "config.json")
    assert config["steps"] == config["validation"]["last"]["step"] == 4
    assert "converged after step 4 of 14" in capsys.readouterr().err
    assert (folder / "samples" / "step-00000004.jpg").is_file()


RUN = {"steps": 14, "checkpoint_every": 2, "log_every": 2, "sample_every": 14, "watch_every": 2}
COLLAPSED_FROM, WITHIN = 6, 2 * 2  # steps: patience times watch_every
LENIENT = {"min_diversity": 0.0, "min_change": 0.0, "min_light": -1.0, "max_accuracy": 1.0}
STRICT = {"diversity": ("min_diversity", 0.2), "change": ("min_change", 0.005), "light": ("min_light", -0.9)}


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Return what lets the generator collapse from a step on, while the pace is above `pace`; it notes the steps."""

    def collapse(paint: Callable[[Tensor], Tensor], pace: float = 0.0) -> list[int]:
        made: list[int] = []
        step, forward = Trainer.step, ResnetGenerator.forward
        now = {"collapsed": False}

        def watched(self: Trainer, batch: Batch, number: int, draw: torch.Generator) -> object:
            made.append(number)
            now["collapsed"] = number >= COLLAPSED_FROM and self.pace > pace
            return step(self, batch, number, draw)

        monkeypatch.setattr(Trainer, "step", watched)
        monkeypatch.setattr(
            ResnetGenerator, "forward", lambda self, x: paint(x) if now["collapsed"] else forward(self, x)
        )
        return made

    return collapse


def _run(root: Path, name: str, action: str) -> Path:
    limit, bound = STRICT[name]
    collapse = LENIENT | {limit: bound, "after": 0, "patience": 2, "action": action}
    return main("dots", tiny_workspace(root, train=RUN | {"collapse": collapse}))


@pytest.mark.parametrize("name", sorted(PLANTED))
def test_a_planted_collapse_is_told_within_the_stated_steps_of_a_training(
    tmp_path: Path, plant: Callable[..., list[int]], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(PLANTED[name])
    course = read_json(_run(tmp_path, name, "warn") / "course.json")
    assert [alarm["step"] for alarm in course["alarms"]] == [COLLAPSED_FROM + WITHIN]
    assert course["alarms"][0]["why"] in capsys.readouterr().err
    assert [row["step"] for row in course["watch"]] == [2, 4, 6, 8, 10, 12, 14]
    assert course["limits"][STRICT[name][0]] == STRICT[name][1]


def test_a_collapse_may_lead_back_to_before_it_was_seen(tmp_path: Path, plant: Callable[..., list[int]]) -> None:
    made = plant(PLANTED["light"], pace=0.5)
    course = read_json(_run(tmp_path, "light", "rollback") / "course.json")
    # The watch at 8 saw it first, so what was saved then is not gone back to; the alarm came at 10.
    assert [(one["at"], one["to"]) for one in course["rollbacks"]] == [(10, 6)]
    assert made == [*range(10), *range(6, 14)]
    assert course["alarms"] == []  # of what remained


def test_a_collapse_may_stop_the_training(tmp_path: Path, plant: Callable[..., list[int]]) -> None:
    plant(PLANTED["light"])
    with pytest.raises(ValueError, match=r"stopped at step 10: light and dark.*min_light.*is kept"):
        _run(tmp_path, "light", "stop")
    assert list((tmp_path / "work").rglob("step-00000008.ckpt"))


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES)
def test_a_healthy_training_raises_no_alarm(style: str) -> None:
    """The demo's settings, smaller; the limits as they are in params.yaml."""
    from pipeline.params import merge, parse, read_tree

    sizes = {
        "prepare": {"crop": SIDE},
        "train": {"steps": 80, "crop": SIDE, "watch_every": 10, "collapse": {"after": 0}},
        "cut": {"generator": {"channels": 12, "blocks": 2}, "discriminator": {"channels": 16}, "warmup_steps": 20},
    }
    params = parse(merge(merge(read_tree(ROOT / "params.yaml"), read_tree(ROOT / "presets" / "demo.yaml")), sizes))
    cpu = torch.device("cpu")
    crops = (_photos(16)[:, None], _paintings(style, 10)[:, None])
    stores = [CropStore(some, torch.ones(len(some)), cpu) for some in crops]
    method = build_method("cut", params)
    trainer = Trainer(method, params.train, cpu)
    draw = step_randomness(params.seed, -1)
    photos, paintings = (store.batch(PANEL, SIDE, draw) for store in stores)
    panel = TranslationPanel(photos, paintings, photos[:1], draw)
    watch = Watch(params.train, panel, method.warmup_steps, cpu)
    told = {}
    for step in range(params.train.steps):
        draw = step_randomness(params.seed, step)
        trainer.step(Batch(*(store.batch(4, SIDE, draw) for store in stores)), step, draw)
        watch.count(method.accuracy)
        if (step + 1) % params.train.watch_every == 0:
            sight = watch.look(trainer.averages["generator"].network, step + 1)
            told[step + 1] = sight.alarms
            print(json.dumps(sight.figures))
    assert not watch.alarms, told
    assert not watch.uneasy  # and not even once in a row
    assert watch.best["step"] > 30  # and it learns
