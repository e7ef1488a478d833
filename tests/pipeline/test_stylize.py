"""Repainting files: formats, folders, what cannot be read, what must never be overwritten."""

import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from pipeline.stylize import find_package, picture_limits, sources, stylize, target_of

LIMITS = picture_limits(None)


class Negative:
    """Stands for a model: its painting is the negative, so that a test can recognise it."""

    def __call__(self, image: Image.Image, **_options: Any) -> Image.Image:
        return ImageOps.invert(image)


PAINTER: Any = Negative()


class Heard:
    """Stands for a model and remembers what it was asked."""

    def __init__(self) -> None:
        self.options: list[dict[str, Any]] = []

    def __call__(self, image: Image.Image, **options: Any) -> Image.Image:
        self.options.append(options)
        return image


def _picture(path: Path, value: int = 40) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    _grey(20, 12, value).save(path)
    return path


def _grey(width: int, height: int, value: int) -> Image.Image:
    """Return a grey picture with one white pixel: one of a single colour is refused as empty."""
    image = Image.new("RGB", (width, height), (value, value, value))
    image.putpixel((0, 0), (255, 255, 255))
    return image


def _paint(given: Path, out: Path, **options: Any) -> list[tuple[str, str]]:
    return [(result.target.name, result.problem) for result in stylize(PAINTER, given, out, LIMITS, **options)]


def test_one_picture_goes_to_one_file_in_the_format_of_its_name(tmp_path: Path) -> None:
    source = _picture(tmp_path / "a.png")
    for name in ("b.jpg", "b.png", "b.webp", "b.tiff"):
        assert _paint(source, tmp_path / name) == [(name, "")]
        with Image.open(tmp_path / name) as painted:
            assert painted.size == (20, 12)
            assert abs(painted.convert("L").getpixel((15, 10)) - 215) < 4  # type: ignore[operator]


def test_what_is_asked_for_reaches_the_model(tmp_path: Path) -> None:
    heard: Any = Heard()
    asked: dict[str, Any] = {"strength": 0.5, "preserve_color": True, "reverse": True}
    list(stylize(heard, _picture(tmp_path / "a.png"), tmp_path / "b.png", LIMITS, **asked))
    assert heard.options == [asked]


def test_a_picture_goes_into_a_folder_under_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert _paint(_picture(tmp_path / "a.png"), tmp_path / "out") == [("a.png", "")]
    assert _paint(_picture(tmp_path / "a.gif"), tmp_path / "out") == [("a.png", "")]


def test_a_folder_keeps_its_shape_and_a_bad_file_costs_itself_alone(tmp_path: Path) -> None:
    given = tmp_path / "in"
    _picture(given / "a.png")
    _picture(given / "deep" / "b.png")
    (given / "bad.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    _picture(given / ".hidden" / "c.png")
    found = _paint(given, tmp_path / "out")
    assert [name for name, problem in found if not problem] == ["a.png", "b.png"]
    assert [name for name, problem in found if problem] == ["bad.jpg"]
    assert sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")) == [
        "a.png",
        "deep/b.png",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unwritable to root")
def test_an_unwritable_target_is_reported(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o500)
    [(_, problem)] = _paint(_picture(tmp_path / "a.png"), tmp_path / "out")
    assert "cannot be read or written" in problem


def test_a_target_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    [(_, problem)] = _paint(_picture(tmp_path / "a.png"), tmp_path / "file" / "b.png")
    assert "cannot be read or written" in problem


def test_a_picture_is_never_replaced_by_its_painting(tmp_path: Path) -> None:
    source = _picture(tmp_path / "a.png")
    before = source.read_bytes()
    for out in (source, tmp_path):
        with pytest.raises(ValueError, match="would replace the picture"):
            _paint(source, out)
    with pytest.raises(ValueError, match="would replace the picture"):
        _paint(tmp_path, tmp_path)
    assert source.read_bytes() == before


def test_wrong_requests_are_told_before_any_work(tmp_path: Path) -> None:
    source = _picture(tmp_path / "in" / "a.png")
    with pytest.raises(ValueError, match="ends in one of"):
        _paint(source, tmp_path / "out.xyz")
    with pytest.raises(ValueError, match="no such file or folder"):
        sources(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no pictures"):
        sources(tmp_path / "empty")
    with pytest.raises(ValueError, match="needs a folder to go to"):
        _paint(source.parent, source)
    with pytest.raises(ValueError, match=r"strength is 1\.5"):
        _paint(source, tmp_path / "b.png", strength=1.5)


def test_small_and_long_pictures_may_be_painted_though_no_collection_takes_them(tmp_path: Path) -> None:
    _grey(300, 3, 0).save(tmp_path / "long.png")
    assert _paint(tmp_path / "long.png", tmp_path / "out.png") == [("out.png", "")]


def test_targets_of_other_formats_become_png(tmp_path: Path) -> None:
    given = tmp_path / "in"
    given.mkdir()
    assert target_of(given / "x" / "a.bmp", given, tmp_path / "out") == tmp_path / "out" / "x" / "a.png"
    assert target_of(given / "a.JPG", given, tmp_path / "out") == tmp_path / "out" / "a.JPG"


def test_a_package_folder_needs_no_workspace(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    assert find_package(None, str(tmp_path)).directory == tmp_path
    with pytest.raises(ValueError, match="outside of a workspace"):
        find_package(None, "monet")
