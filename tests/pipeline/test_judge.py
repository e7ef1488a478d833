"""The frozen judge: it tells paintings from photographs it never saw, in colour and in light, and is made once."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from pipeline import judge
from pipeline.colour import transfer_lab
from pipeline.files import read_json, write_json
from pipeline.observers.facts import FACTS, WEIGHTS, read_facts
from pipeline.observers.judge import WINDOW, StyleJudge, WindowClassifier, build, large_enough, seen
from pipeline.params import Judge
from pipeline.workspace import Workspace
from tests.pipeline.scenes import blurred, noisy, painting, photograph
from tests.pipeline.training import smoke_params, tiny_workspace

SIDE = 96
SETTINGS = Judge(steps=80, batch=8, channels=8, learning_rate=0.004)


def _prepare(folder: Path, pictures: list[np.ndarray], held_out: list[np.ndarray]) -> None:
    """Write what the prepare stage would of these squares, one crop an image."""
    index: dict[str, object] = {"format": 1, "kind": folder.name, "crop": SIDE, "crops_per_image": 1, "view": SIDE}
    for part, images in (("train", pictures), ("test", held_out)):
        (folder / part).mkdir(parents=True)
        entries = []
        for number, image in enumerate(images):
            name = f"{part}{number}"
            Image.fromarray(image).save(folder / part / f"{name}.png")
            entries.append({"image": name, "file": f"{part}/{name}.png", "weight": 1.0})
        index[part] = entries
    write_json(folder / "index.json", index)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("judged"))
    _prepare(
        workspace.prepared("strokes"),
        [painting(i, SIDE) for i in range(12)],
        [painting(i, SIDE) for i in range(50, 56)],
    )
    _prepare(
        workspace.prepared("photos"),
        [photograph(i, SIDE) for i in range(12)],
        [photograph(i, SIDE) for i in range(50, 56)],
    )
    judge.main("strokes", workspace, dataclasses.replace(smoke_params(), judge=SETTINGS))
    return workspace


@pytest.fixture
def trained(studio: Workspace) -> StyleJudge:
    return StyleJudge.load(studio.judge("strokes"))


def _mean(found: StyleJudge, pictures: list[np.ndarray]) -> dict[str, float]:
    rates = [found.rates(picture) for picture in pictures]
    return {name: float(np.mean([rate[name] for rate in rates])) for name in rates[0]}


def test_it_tells_paintings_from_photographs_that_it_never_saw(studio: Workspace, trained: StyleJudge) -> None:
    paintings = _mean(trained, [painting(i, SIDE) for i in range(70, 76)])
    photographs = _mean(trained, [photograph(i, SIDE) for i in range(70, 76)])
    for kind in ("judge/colour", "judge/luminance"):
        assert paintings[kind] > 0.8
        assert photographs[kind] < 0.2
    facts = read_facts(studio.judge("strokes"))
    assert facts is not None
    assert facts["held_out"]["strokes"]["judge/colour"] > 0.8 > 0.2 > facts["held_out"]["photos"]["judge/colour"]


def test_a_palette_blur_or_noise_does_not_persuade_it(trained: StyleJudge) -> None:
    photographs = [photograph(i, SIDE) for i in range(70, 76)]
    recoloured = [transfer_lab(photo, [50, 20, 40], [20, 10, 15]) for photo in photographs]
    soft, rough = [blurred(p, 2) for p in recoloured], [noisy(p, 25, i) for i, p in enumerate(recoloured)]
    for made_up in (recoloured, soft, rough):
        assert max(_mean(trained, made_up).values()) < 0.35


def test_the_luminance_judge_sees_no_colour_brightness_or_contrast() -> None:
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) - 0.5
    light = seen(images, "luminance")
    assert torch.allclose(light, seen(images * 0.5 + 0.2, "luminance"), atol=1e-5)
    grey = (images * torch.tensor([0.2126, 0.7152, 0.0722])[:, None, None]).sum(dim=1, keepdim=True)
    assert torch.allclose(light, seen(grey.expand(-1, 3, -1, -1), "luminance"), atol=1e-5)
    assert seen(torch.full((1, 3, 64, 64), 0.3), "luminance").abs().max() < 1e-4  # a blank sheet stays blank


def test_an_answer_rests_on_its_window_alone() -> None:
    torch.manual_seed(0)
    network = WindowClassifier(3, 4).eval()
    image = torch.rand(1, 3, WINDOW + 16, WINDOW)
    other = image.clone()
    other[..., WINDOW:, :] = 0  # outside of the first window, inside of the second
    one, changed = (network(each)[0].flatten() for each in (image, other))
    assert len(one) == 2
    assert one[0] == changed[0]
    assert one[1] != changed[1]


def test_small_pictures_are_extended_and_large_ones_left() -> None:
    small, large = torch.rand(1, 3, 20, 70), torch.rand(1, 3, 70, 70)
    assert large_enough(small).shape == (1, 3, WINDOW, 70)
    assert torch.equal(large_enough(small)[..., :20, :], small)
    assert large_enough(large) is large


def test_it_looks_at_one_picture_at_a_time_whatever_the_threads(trained: StyleJudge) -> None:
    picture = painting(3, SIDE)
    before = torch.get_num_threads()
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append((trained.rates(picture), trained(picture).tolist()))
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    assert found[0] == found[1]


def test_the_same_crops_and_settings_give_the_same_version(studio: Workspace, tmp_path: Path) -> None:
    again = Workspace(tmp_path)
    shutil.copytree(studio.root / "data", again.root / "data")
    short = dataclasses.replace(smoke_params(), judge=dataclasses.replace(SETTINGS, steps=4))
    versions = set()
    for workspace in (studio, again):
        folder = judge.main("strokes", Workspace(workspace.root), short) if workspace is again else None
        if folder:
            versions.add(read_json(folder / FACTS)["version"])
            torch.manual_seed(999)  # the state of the world outside does not matter
            versions.add(read_json(judge.main("strokes", workspace, short) / FACTS)["version"])
    assert len(versions) == 1


def test_training_leaves_the_random_state_outside_alone(tmp_path: Path) -> None:
    workspace = tiny_workspace(tmp_path)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    judge.main("dots", workspace, smoke_params())
    assert torch.equal(torch.rand(3), expected)


def test_changed_weights_are_refused(studio: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "strokes"
    shutil.copytree(studio.judge("strokes"), folder)
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS).write_bytes(data)
    with pytest.raises(ValueError, match=r"is not what judge\.json says"):
        StyleJudge.load(folder)


def test_a_folder_without_a_judge_says_what_trains_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="dvc repro judge@monet"):
        StyleJudge.load(tmp_path / "monet")


def test_a_flattened_picture_is_the_calmest_of_four_windows() -> None:
    image = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(2))
    radius = 2
    found = judge._flattened(image, radius)
    padded = F.pad(image, (radius,) * 4, mode="replicate")[0]
    for y, x in ((0, 0), (5, 7), (11, 11)):
        windows = [
            padded[:, y + dy : y + dy + radius + 1, x + dx : x + dx + radius + 1]
            for dy in (0, radius)
            for dx in (0, radius)
        ]
        unrest = [float(window.flatten(1).var(dim=1, unbiased=False).sum()) for window in windows]
        expected = windows[int(np.argmin(unrest))].flatten(1).mean(dim=1)
        assert torch.allclose(found[0, :, y, x], expected, atol=1e-5)


def test_disguises_leave_paintings_alone_and_stay_pictures() -> None:
    draw = torch.Generator().manual_seed(0)
    photos, paintings = torch.rand(40, 3, 32, 32) * 2 - 1, torch.rand(40, 3, 32, 32) * 0.2 + 0.5
    kept = paintings.clone()
    found = judge.disguised(photos, paintings, draw)
    assert torch.equal(paintings, kept)
    assert found.shape == photos.shape
    assert found.min() >= -1
    assert found.max() <= 1
    same = sum(torch.equal(one, other) for one, other in zip(found, photos, strict=True))
    assert 2 <= same <= 20  # about a sixth stay as they are
    recoloured = (found.mean(dim=(2, 3)) - 0.6).abs().max(dim=1).values < 0.1
    assert 8 <= int(recoloured.sum()) <= 32


def test_the_networks_have_the_window_that_they_declare() -> None:
    for network in build(4).values():
        assert isinstance(network.head, nn.Conv2d)
        channels = next(iter(network.parameters())).shape[1]
        assert network.eval()(torch.zeros(1, channels, WINDOW, WINDOW))[0].shape == (1, 1, 1, 1)


def test_random_phase_noise_has_the_spectrum_of_a_paintings_detail_and_none_of_its_places() -> None:
    picture = torch.from_numpy(painting(5, 64).copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    found = judge.random_phase(picture, 2, torch.Generator().manual_seed(3))
    detail = picture - judge._blurred(picture, 2)
    wanted, got = (torch.fft.rfft2(each).abs() for each in (detail, found))
    # The four frequencies that have no partner must stay real, and lose some.
    inside = torch.ones_like(wanted, dtype=torch.bool)
    inside[..., [0, 32], 0] = inside[..., [0, 32], 32] = False
    assert torch.allclose(wanted[inside], got[inside], atol=1e-2)
    channels = torch.corrcoef(torch.cat([detail, found]).flatten(2).reshape(6, -1))
    assert torch.allclose(channels[:3, :3], channels[3:, 3:], atol=0.05)  # colours vary together as they did
    assert channels[:3, 3:].abs().max() < 0.3  # and elsewhere
