"""Repainting files: formats, folders, what cannot be read, what must never be overwritten."""

import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image, ImageOps

from pipeline.stylize import STREAM, Saving, find_package, picture_limits, sources, stylize, target_of

LIMITS = picture_limits(None)


class Negative:
    """Stands for a model: its painting is the negative, so that a test can recognise it."""

    digest = "5ca1ab1e" * 8

    def __call__(self, image: Image.Image, **_options: Any) -> Image.Image:
        return ImageOps.invert(image)


PAINTER: Any = Negative()


class Heard:
    """Stands for a model and remembers what it was asked."""

    digest = ""

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


def _paint(given: Any, out: Path, **options: Any) -> list[tuple[str, str]]:
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
    asked: dict[str, Any] = {"strength": 0.5, "preserve_color": True, "reverse": True, "scale": 2.0}
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
    with pytest.raises(ValueError, match="scale is 0"):
        _paint(source, tmp_path / "b.png", scale=0)
    with pytest.raises(ValueError, match="--format gif: choose one of jpg, png, webp, tif"):
        Saving("gif")
    with pytest.raises(ValueError, match="--quality 0"):
        Saving(quality=0)
    with pytest.raises(ValueError, match="two formats"):
        _paint(source, tmp_path / "b.png", saving=Saving("jpg"))
    with pytest.raises(ValueError, match="name a folder"):
        _paint([source, source], STREAM)


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


def test_several_files_and_globs_go_into_one_folder(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.jpg", "deep/d.png"):
        _picture(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").touch()
    found = _paint([tmp_path / "in" / "*.png", tmp_path / "in" / "c.jpg"], tmp_path / "out")
    assert found == [("a.png", ""), ("b.png", ""), ("c.jpg", "")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "b.png", "c.jpg"]
    assert [path.name for path in sources(tmp_path / "in" / "**" / "*.png")] == ["a.png", "b.png", "d.png"]
    with pytest.raises(ValueError, match="holds no pictures"):
        sources(tmp_path / "in" / "*.webp")


def test_two_pictures_of_one_name_do_not_replace_each_others_painting(tmp_path: Path) -> None:
    first, second = _picture(tmp_path / "x" / "a.png"), _picture(tmp_path / "y" / "a.png", 200)
    found = _paint([first, second], tmp_path / "out")
    assert found[0] == ("a.png", "")
    assert "would replace that of" in found[1][1]
    with Image.open(tmp_path / "out" / "a.png") as painted:
        assert painted.getpixel((15, 10)) == (215, 215, 215)


def test_a_format_is_for_every_painting(tmp_path: Path) -> None:
    for name in ("a.png", "b.jpg"):
        _picture(tmp_path / "in" / name)
    found = _paint(tmp_path / "in", tmp_path / "out", saving=Saving("webp", 50))
    assert found == [("a.webp", ""), ("b.webp", "")]
    with Image.open(tmp_path / "out" / "a.webp") as painted:
        assert painted.format == "WEBP"


def test_a_lower_quality_makes_a_smaller_file(tmp_path: Path) -> None:
    noise = Image.effect_noise((128, 128), 80).convert("RGB")
    noise.save(tmp_path / "a.png")
    for quality in (20, 95):
        _paint(tmp_path / "a.png", tmp_path / f"{quality}.jpg", saving=Saving(quality=quality))
    assert (tmp_path / "20.jpg").stat().st_size < 0.5 * (tmp_path / "95.jpg").stat().st_size


def test_a_second_run_leaves_finished_paintings_alone_and_makes_the_others(tmp_path: Path) -> None:
    given, out = tmp_path / "in", tmp_path / "out"
    for name in ("a.png", "b.png", "c.png"):
        _picture(given / name)
    list(stylize(PAINTER, given, out, LIMITS))
    (out / "b.png").unlink()
    (out / "c.png").write_bytes(b"cut short")
    before = (out / "a.png").stat()
    again = list(stylize(PAINTER, given, out, LIMITS))
    assert [result.finished for result in again] == [True, False, False]
    assert (out / "a.png").stat() == before
    assert [result.finished for result in stylize(PAINTER, given, out, LIMITS)] == [True] * 3


@pytest.mark.parametrize("what", ["options", "package", "picture", "quality"])
def test_a_painting_of_other_options_package_or_picture_is_not_finished(tmp_path: Path, what: str) -> None:
    source, out = _picture(tmp_path / "a.png"), tmp_path / "b.jpg"
    list(stylize(PAINTER, source, out, LIMITS))
    painter, options = PAINTER, dict[str, Any]()
    if what == "options":
        options["strength"] = 0.5
    elif what == "quality":
        options["saving"] = Saving(quality=50)
    elif what == "picture":
        _picture(source, 90)
        os.utime(source, (0, 0))  # older than its painting: the content decides
    else:
        painter = Negative()
        painter.digest = "0" * 64
    [result] = stylize(painter, source, out, LIMITS, **options)
    assert not result.finished


def test_standard_input_and_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, written = _picture(tmp_path / "a.png").read_bytes(), io.BytesIO()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=written))
    assert _paint(STREAM, STREAM, saving=Saving("jpg")) == [("-", "")]
    with Image.open(written) as painted:
        assert painted.format == "JPEG"
        assert painted.size == (20, 12)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    assert _paint(STREAM, tmp_path / "b.png") == [("b.png", "")]


def test_a_stream_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"x" * 2000)))
    limits = picture_limits(None).__class__(1, 10**6, 1000, 10)
    [result] = stylize(PAINTER, STREAM, STREAM, limits)
    assert "max_bytes" in result.problem
