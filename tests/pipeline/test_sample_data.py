"""The built-in samples: deterministic, in the number and size asked for, distinct, free of overlap."""

from __future__ import annotations

import hashlib
import io
import threading
from itertools import combinations
from pathlib import Path

import imagehash
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline import sample_data
from pipeline.sample_data import STYLES, Samples, artwork_bytes, photo_bytes, write_samples
from pipeline.samples.scenes import real_views, view_boxes

PHOTOS, ARTWORKS, SIDE = 34, 7, 64


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    return write_samples(tmp_path_factory.mktemp("samples"), photos=PHOTOS, artworks=ARTWORKS, side=SIDE)


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), dtype=np.float64) / 255


def test_it_writes_the_number_and_size_asked_for(samples: Samples) -> None:
    assert (samples.photo_count, samples.artwork_count) == (PHOTOS, ARTWORKS)
    assert tuple(samples.styles) == STYLES
    assert len(list(samples.photos.iterdir())) == PHOTOS
    for folder in samples.styles.values():
        assert len(list(folder.iterdir())) == ARTWORKS
    for path in [*samples.photos.iterdir(), *(p for f in samples.styles.values() for p in f.iterdir())]:
        assert pixels(path).shape == (SIDE, SIDE, 3), path.name


def test_a_smaller_set_made_alone_is_the_beginning_of_a_larger_one(samples: Samples, tmp_path: Path) -> None:
    some = write_samples(tmp_path, photos=5, artworks=2, side=SIDE, styles=["ink"], workers=1)
    assert list(some.styles) == ["ink"]
    assert digests(some.photos).items() <= digests(samples.photos).items()
    assert digests(some.styles["ink"]).items() <= digests(samples.styles["ink"]).items()


def test_each_image_can_be_made_alone(samples: Samples) -> None:
    assert photo_bytes(PHOTOS - 1, side=SIDE) == (samples.photos / f"photo-{PHOTOS - 1:03d}.jpg").read_bytes()
    for style in STYLES:
        assert artwork_bytes(style, 3, side=SIDE) == (samples.styles[style] / f"{style}-003.png").read_bytes()


def test_another_seed_gives_other_pictures() -> None:
    assert photo_bytes(1, seed=1, side=SIDE) != photo_bytes(1, side=SIDE)
    assert artwork_bytes("ink", 1, seed=1, side=SIDE) != artwork_bytes("ink", 1, side=SIDE)


def test_no_two_images_of_a_folder_are_near_duplicates(samples: Samples) -> None:
    for folder in (samples.photos, *samples.styles.values()):
        hashes = {path.name: imagehash.phash(Image.open(path)) for path in sorted(folder.iterdir())}
        close = [(a, b) for a, b in combinations(hashes, 2) if hashes[a] - hashes[b] <= 6]
        assert not close, folder.name


def test_no_image_is_blank_or_dark(samples: Samples) -> None:
    for path in [*samples.photos.iterdir(), *(p for f in samples.styles.values() for p in f.iterdir())]:
        values = pixels(path)
        assert values.std() > 0.04, path.name
        assert 0.08 < values.mean() < 0.95, path.name


def look(path: Path) -> np.ndarray:
    """Colourfulness, mean lightness, and the share of contrast that lies between neighbouring pixels."""
    values = pixels(path)
    grey = values.mean(axis=2)
    fine = np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean()
    return np.array([np.ptp(values, axis=2).mean(), grey.mean(), fine])


def test_a_few_statistics_tell_the_hands_apart(samples: Samples) -> None:
    looks = {style: np.array([look(p) for p in sorted(folder.iterdir())]) for style, folder in samples.styles.items()}
    spread = np.concatenate(list(looks.values())).std(axis=0)
    centres = {style: values.mean(axis=0) for style, values in looks.items()}
    right = [
        min(STYLES, key=lambda other: float((((row - centres[other]) / spread) ** 2).sum())) == style
        for style, values in looks.items()
        for row in values
    ]
    assert np.mean(right) > 0.8


@given(width=st.integers(1, 900), height=st.integers(1, 900), across=st.integers(1, 6), down=st.integers(1, 6))
def test_views_lie_inside_the_picture_and_share_no_pixel(width: int, height: int, across: int, down: int) -> None:
    if width < across or height < down:
        with pytest.raises(ValueError, match=f"{width}×{height}"):
            view_boxes(width, height, across, down)
        return
    boxes = view_boxes(width, height, across, down)
    assert len(boxes) == across * down
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        assert right - left == bottom - top
    for a, b in combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_every_real_view_is_used_once_and_shows_that_part_of_the_photograph() -> None:
    views = real_views()
    assert len(set(views)) == len(views) == 7
    for _, (_, _, right, bottom) in views:
        assert right <= 640
        assert bottom <= 427
    with Image.open(io.BytesIO(photo_bytes(0, side=SIDE))) as image:
        shown = np.asarray(image, dtype=float)
    from sklearn.datasets import load_sample_image

    left, top, right, bottom = views[0][1]
    source = Image.fromarray(load_sample_image(views[0][0])[top:bottom, left:right]).resize((SIDE, SIDE))
    assert np.abs(shown - np.asarray(source, dtype=float)).mean() < 4


def test_it_works_without_processes_when_threads_run(samples: Samples, tmp_path: Path) -> None:
    release = threading.Event()
    other = threading.Thread(target=release.wait)
    other.start()
    try:
        calls: list[tuple[int, int]] = []
        done = write_samples(
            tmp_path, photos=5, artworks=0, side=SIDE, styles=[], progress=lambda k, of: calls.append((k, of))
        )
    finally:
        release.set()
        other.join()
    assert calls == [(k, 5) for k in range(1, 6)]
    assert digests(done.photos).items() <= digests(samples.photos).items()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"styles": ["fresco"]}, "'fresco'; choose from impasto, mosaic, ink"),
        ({"photos": -1}, "photos=-1"),
        ({"side": 8}, "side=8 must be between"),
        ({"workers": 0}, "workers=0"),
    ],
)
def test_a_wrong_argument_is_refused_before_anything_is_written(
    wrong: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        write_samples(tmp_path / "out", **wrong)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_an_unknown_style_is_refused_for_a_single_artwork_too() -> None:
    with pytest.raises(ValueError, match="fresco"):
        artwork_bytes("fresco", 0)


def test_the_command_line_says_where_things_lie(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        sample_data.main([str(tmp_path), "--photos", "1", "--artworks", "1", "--side", "48", "--style", "ink"]) == 0
    )
    told = capsys.readouterr().out
    assert str(tmp_path / "photos") in told
    assert str(tmp_path / "styles" / "ink") in told
    with pytest.raises(SystemExit):
        sample_data.main([str(tmp_path), "--style", "fresco"])
    assert "choose from impasto" in capsys.readouterr().err
