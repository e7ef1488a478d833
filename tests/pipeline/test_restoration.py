"""A package that restores, used: exact outside of holes, any size, no seams, one sentence for a mistake."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import restoration
from pipeline.generation import Sampler
from pipeline.inference import Stylizer
from pipeline.restoration import Restorer
from tests.pipeline.packages import empty_workspace, write_package
from tests.pipeline.restorers import write_restorer


def picture(width: int = 50, height: int = 37) -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def mask(width: int = 50, height: int = 37) -> Image.Image:
    lost = np.zeros((height, width), np.uint8)
    lost[height // 3 : height // 2, width // 4 : width // 2] = 255
    return Image.fromarray(lost)


def test_what_the_mask_does_not_name_comes_back_to_the_bit_and_the_rest_does_not(tmp_path: Path) -> None:
    restorer, given, lost = Restorer.load(write_restorer(tmp_path / "p")), picture(), mask()
    made = np.asarray(restorer(given, lost))
    holes = np.asarray(lost) > 0
    assert np.array_equal(made[~holes], np.asarray(given)[~holes])
    assert not np.array_equal(made[holes], np.asarray(given)[holes])
    assert np.array_equal(made, np.asarray(restorer(given, lost)))
    other = np.where(holes[..., None], 7, np.asarray(given)).astype(np.uint8)
    assert np.array_equal(np.asarray(restorer(Image.fromarray(other), lost)), made)  # holes hold nothing


def test_a_grey_mask_is_lost_from_the_middle_on(tmp_path: Path) -> None:
    restorer, given = Restorer.load(write_restorer(tmp_path / "p")), picture()
    dark, light = (Image.new("L", given.size, level) for level in (127, 128))
    assert np.array_equal(np.asarray(restorer(given, dark)), np.asarray(given))
    assert not np.array_equal(np.asarray(restorer(given, light)), np.asarray(given))


@pytest.mark.parametrize("size", [(1, 1), (7, 90), (64, 64), (101, 53)])
@pytest.mark.parametrize(("task", "scale"), [("inpaint", 1), ("restore", 1), ("super_resolution", 2)])
def test_a_picture_of_any_size_comes_back_in_that_size_times_the_scale(
    tmp_path: Path, task: str, scale: int, size: tuple[int, int]
) -> None:
    restorer = Restorer.load(write_restorer(tmp_path / "p", task, scale))
    given = picture(*size)
    made = restorer(given, Image.new("L", size, 255) if task == "inpaint" else None)
    assert made.size == (scale * size[0], scale * size[1])


@pytest.mark.parametrize(("task", "scale"), [("inpaint", 1), ("restore", 1), ("super_resolution", 2)])
def test_tiles_give_nearly_the_whole_and_leave_no_place_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str, scale: int
) -> None:
    restorer = Restorer.load(write_restorer(tmp_path / "p", task, scale))
    given, lost = picture(150, 130), mask(150, 130) if task == "inpaint" else None
    whole = np.asarray(restorer(given, lost)).astype(int)
    monkeypatch.setattr(restoration, "TILE", 64)
    monkeypatch.setattr(restoration, "OVERLAP", 32)
    tiled = np.asarray(restorer(given, lost)).astype(int)
    # Three halvings see some 40 px far: what lies deeper inside of a tile is the same, the rest runs over gently.
    assert np.abs(tiled - whole).max() <= 20
    assert np.abs(tiled - whole).mean() < 0.3


def test_tiles_without_a_hole_are_not_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    restorer = Restorer.load(write_restorer(tmp_path / "p"))
    monkeypatch.setattr(restoration, "TILE", 64)
    monkeypatch.setattr(restoration, "OVERLAP", 16)
    calls, real = [], restorer.network.forward
    monkeypatch.setattr(restorer.network, "forward", lambda *given: calls.append(1) or real(*given))
    lost = np.zeros((200, 200), np.uint8)
    lost[5:9, 5:9] = 255
    restorer(picture(200, 200), Image.fromarray(lost))
    assert len(calls) == 1


@pytest.mark.parametrize("length", [1, 63, 64, 65, 111, 112, 113, 500])
def test_tiles_cover_a_side_and_overlap(monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    monkeypatch.setattr(restoration, "TILE", 64)
    monkeypatch.setattr(restoration, "OVERLAP", 16)
    starts = restoration._starts(length)
    assert starts[0] == 0
    assert starts[-1] + 64 >= length
    assert all(after - before == 48 for before, after in pairwise(starts))


def test_masks_that_are_missing_unwanted_or_of_another_size_get_one_sentence(tmp_path: Path) -> None:
    filling = Restorer.load(write_restorer(tmp_path / "filling"))
    cleaning = Restorer.load(write_restorer(tmp_path / "cleaning", "restore"))
    with pytest.raises(ValueError, match=r"the model filling fills holes \(inpaint\) and has to be told where"):
        filling(picture())
    with pytest.raises(ValueError, match=r"model cleaning \(restore\) works on the whole picture and takes no mask"):
        cleaning(picture(), mask())
    with pytest.raises(ValueError, match="the mask has 20 x 30 px but the picture 50 x 37 px"):
        filling(picture(), mask(20, 30))


def test_models_of_other_tasks_are_refused_both_ways(tmp_path: Path) -> None:
    package = write_restorer(tmp_path / "p")
    with pytest.raises(ValueError, match=r"restores damaged pictures \(`atelier repair`\); it cannot"):
        Stylizer.load(package)
    with pytest.raises(ValueError, match=r"restores damaged pictures \(`atelier repair`\); it cannot"):
        Sampler.load(package)
    workspace = empty_workspace(tmp_path / "other")
    write_package(workspace, "ink")
    with pytest.raises(ValueError, match=r"ink repaints photographs \(`atelier stylize`\); it cannot"):
        Restorer.load(workspace.package("ink"))
