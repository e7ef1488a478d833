"""What hangs: the same held-out photographs painted by both sides, once, at most 768 px, under opaque names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.images import decode
from pipeline.inference import Stylizer
from pipeline.metrics.controls import CONTROLS
from pipeline.stylize import picture_limits
from pipeline.vote.pictures import exhibits
from pipeline.vote.sides import Pair, Side
from pipeline.workspace import PHOTOS, Workspace
from tests.pipeline.packages import empty_workspace, write_package
from tests.pipeline.vote.studio import hold_out


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return empty_workspace(tmp_path / "studio")


def _pair(place: Workspace, rival: str = "lab_transfer", **package: object) -> Pair:
    digest = write_package(place, "ink", **package)  # type: ignore[arg-type]
    return Pair(Side(digest, "ink version 1", place.package("ink")), Side(rival, rival))


def _pixels(path: Path) -> np.ndarray:  # type: ignore[type-arg]
    with Image.open(path) as image:
        assert image.format == "JPEG"
        assert not image.getexif()
        return np.asarray(image.convert("RGB"), int)


def test_both_sides_paint_the_original_and_neither_is_larger_than_768_px(place: Workspace) -> None:
    photos = hold_out(place, 3)
    pair = _pair(place)
    [first, second] = exhibits(place, pair, 2)
    assert [first.photograph, second.photograph] == photos[:2]  # by hash: nobody picked them
    assert (first.width, first.height) == (768, 538)
    [original] = place.collection(PHOTOS).glob(f"{photos[0]}.*")
    photo = decode(original, picture_limits(None)).image
    photo.thumbnail((768, 768), Image.Resampling.LANCZOS)
    stylizer = Stylizer.load(place.package("ink"))
    expected = {
        first.before: photo,
        first.paintings[pair.model.key]: stylizer(photo),
        first.paintings["lab_transfer"]: Image.fromarray(
            CONTROLS["lab_transfer"](np.asarray(photo), stylizer.config["palette"])
        ),
    }
    for path, picture in expected.items():
        assert np.abs(_pixels(path) - np.asarray(picture, int)).mean() < 3  # JPEG
    assert np.abs(_pixels(first.before) - _pixels(first.paintings["lab_transfer"])).mean() > 10


def test_borders_are_left_out_and_a_lost_original_shows_its_view(place: Workspace) -> None:
    photos = hold_out(place, 2, box=(100, 0, 900, 700))
    [original] = place.collection(PHOTOS).glob(f"{photos[1]}.*")
    original.write_bytes(original.read_bytes()[:-1] + b"?")  # not what its name says
    first, second = exhibits(place, _pair(place), 9)
    assert (first.width, first.height) == (768, 672)
    assert (second.width, second.height) == (48, 48)


@pytest.mark.parametrize("control", sorted(CONTROLS))
def test_every_control_can_be_voted_against(place: Workspace, control: str) -> None:
    hold_out(place, 1)
    [one] = exhibits(place, _pair(place, control), 1)
    assert _pixels(one.paintings[control]).shape == (one.height, one.width, 3)


def test_pictures_are_painted_once_and_what_is_missing_is_painted_again(place: Workspace) -> None:
    hold_out(place, 3)
    pair = _pair(place)
    told: list[tuple[int, int]] = []

    def advance(done: int, total: int) -> None:
        told.append((done, total))

    made = exhibits(place, pair, 2, advance)
    assert told == [(n, 6) for n in range(1, 7)]
    stamps = {path: path.stat().st_mtime_ns for path in pair.pictures(place).iterdir()}
    assert len(stamps) == 6
    told.clear()
    made[0].before.unlink()
    made[1].paintings[pair.model.key].unlink()
    again = exhibits(place, pair, 3, advance)
    assert again[:2] == made
    assert told == [(n, 5) for n in range(1, 6)]
    kept = [path for path in stamps if path not in (made[0].before, made[1].paintings[pair.model.key])]
    assert all(path.stat().st_mtime_ns == stamps[path] for path in kept)
    told.clear()
    assert exhibits(place, pair, 3, advance) == again
    assert told == []


def test_another_package_is_not_shown_the_pictures_of_the_one_before(place: Workspace) -> None:
    hold_out(place, 1)
    [one] = exhibits(place, _pair(place), 1)
    [other] = exhibits(place, _pair(place, seed=4), 1)
    assert not set(one.paintings.values()) & set(other.paintings.values())


def test_file_names_tell_nothing(place: Workspace) -> None:
    photos = hold_out(place, 1)
    pair = _pair(place)
    [one] = exhibits(place, pair, 1)
    for path in (one.before, *one.paintings.values()):
        assert len(path.name) == 28
        assert not any(word in path.name for word in (photos[0][:8], pair.model.key[:8], "lab", "before"))


def test_what_a_package_was_trained_on_is_not_voted_on(place: Workspace) -> None:
    photos = hold_out(place, 3)
    trained = {"photos": [photos[0]], "ink": [photos[1]]}
    assert [each.photograph for each in exhibits(place, _pair(place, trained_on=trained), 9)] == photos[1:]
    with pytest.raises(ValueError, match="3 are held out, and these models were trained on 3 of them"):
        exhibits(place, _pair(place, trained_on={"photos": photos}), 9)


def test_a_package_that_was_changed_is_not_painted_with(place: Workspace) -> None:
    hold_out(place, 1)
    pair = _pair(place)
    write_package(place, "ink", seed=9)
    with pytest.raises(ValueError, match="digest"):
        exhibits(place, pair, 1)


def test_photographs_that_were_not_prepared_are_named(place: Workspace) -> None:
    with pytest.raises(ValueError, match="dvc repro"):
        exhibits(place, _pair(place), 1)
