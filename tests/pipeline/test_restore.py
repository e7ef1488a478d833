"""`atelier repair`: files and folders, masks by name, and what is wrong in one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.cli import main
from tests.pipeline.restorers import write_restorer
from tests.pipeline.test_restoration import mask, picture


def run(*arguments: object) -> int:
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_restorer(tmp_path / "filling")
    write_restorer(tmp_path / "larger", "super_resolution", 2)
    for folder, made in (("scans", picture()), ("lost", mask())):
        (tmp_path / folder / "deep").mkdir(parents=True)
        made.save(tmp_path / folder / "one.png")
        made.save(tmp_path / folder / "deep" / "two.png")
    return tmp_path


def test_a_picture_is_filled_under_its_mask_and_exact_elsewhere(files: Path) -> None:
    assert run("repair", "scans/one.png", "whole.png", "--model", "filling", "--mask", "lost/one.png") == 0
    made, given = (np.asarray(Image.open(files / name)) for name in ("whole.png", "scans/one.png"))
    holes = np.asarray(mask()) > 0
    assert np.array_equal(made[~holes], given[~holes])
    assert not np.array_equal(made, given)


def test_a_folder_takes_masks_of_its_pictures_names(files: Path) -> None:
    assert run("repair", "scans", "whole", "--model", "filling", "--mask", "lost") == 0
    assert Image.open(files / "whole" / "deep" / "two.png").size == (50, 37)
    assert run("repair", "scans", "large", "--model", "larger") == 0
    assert Image.open(files / "large" / "one.png").size == (100, 74)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["scans/one.png", "w.png", "--model", "filling"], "fills holes (inpaint) and has to be told where"),
        (["scans/one.png", "w.png", "--model", "larger", "--mask", "lost/one.png"], "takes no mask; leave it out"),
        (["scans/one.png", "w.png", "--model", "filling", "--mask", "other.png"], "--mask other.png: no such file"),
        (["scans", "w", "--model", "filling", "--mask", "lost/one.png"], "so name a folder with its masks"),
        (["scans/one.png", "w.png", "--model", "filling", "--mask", "small.png"], "the mask has 20 x 30 px"),
        (["scans", "w", "--model", "filling", "--mask", "empty"], "needs one mask of its name"),
        (["nothing.png", "w.png", "--model", "filling"], "nothing.png: no such file"),
        (["scans/one.png", "w.xyz", "--model", "larger"], "choose a name that ends in"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    files: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    mask(20, 30).save(files / "small.png")
    (files / "empty").mkdir()
    assert run("repair", *arguments) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert not list(files.glob("w*"))


def test_what_has_a_mask_is_written_in_a_format_that_keeps_the_rest(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture().save(files / "scans" / "one.jpg")
    (files / "scans" / "one.png").unlink()
    assert run("repair", "scans", "whole", "--model", "filling", "--mask", "lost") == 0
    made, given = (np.asarray(Image.open(files / name)) for name in ("whole/one.png", "scans/one.jpg"))
    holes = np.asarray(mask()) > 0
    assert np.array_equal(made[~holes], given[~holes])
    assert run("repair", "scans/one.jpg", "w.jpg", "--model", "filling", "--mask", "lost/one.png") == 2
    assert "choose a name that ends in .png" in capsys.readouterr().err
    picture().save(files / "scans" / "one.png")
    assert run("repair", "scans", "twice", "--model", "filling", "--mask", "lost") == 2
    assert "would be written for two pictures" in capsys.readouterr().err


def test_a_mask_may_be_of_one_colour_and_what_is_transparent_in_it_is_not_lost(files: Path) -> None:
    given = np.asarray(picture())
    Image.new("L", (50, 37)).save(files / "nothing.png")
    Image.new("L", (50, 37), 255).save(files / "all.png")
    layer = Image.new("RGBA", (50, 37), (255, 255, 255, 0))
    layer.paste("white", (5, 5, 15, 15))
    layer.save(files / "layer.png")
    lost = np.zeros((37, 50), bool)
    lost[5:15, 5:15] = True
    for name, holes in (("nothing", np.zeros_like(lost)), ("all", np.ones_like(lost)), ("layer", lost)):
        arguments = ("scans/one.png", f"{name}-made.png", "--model", "filling", "--mask", f"{name}.png")
        assert run("repair", *arguments) == 0
        made = np.asarray(Image.open(files / f"{name}-made.png"))
        assert np.array_equal(made[~holes], given[~holes])
        assert not holes.any() or not np.array_equal(made[holes], given[holes])


def test_a_mask_that_cannot_be_read_is_named(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "lost" / "one.png").write_bytes(b"no image")
    assert run("repair", "scans/one.png", "w.png", "--model", "filling", "--mask", "lost/one.png") == 1
    assert "of the mask" in capsys.readouterr().out


def test_a_file_that_cannot_be_read_costs_itself_alone(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "scans" / "broken.png").write_bytes(b"no picture")
    assert run("repair", "scans", "large", "--model", "larger") == 1
    assert "not restored: scans/broken.png" in capsys.readouterr().out.replace("\n", "")
    assert (files / "large" / "one.png").is_file()
