"""Two packages on the same images: the figures, what they say, the pictures, and the page on them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pipeline import cli, judge, registry
from pipeline.files import read_json
from pipeline.metrics import REGISTRY
from pipeline.params import load_params
from pipeline.reports import comparison
from pipeline.reports.report import render as render_report
from pipeline.stylize import Package, find_package
from pipeline.workspace import Workspace
from tests.browser import needs_browser, visit
from tests.outline import Outline
from tests.pipeline.packages import write_package
from tests.pipeline.training import tiny_workspace


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, mlflow_store: Callable[[Path], None]) -> Workspace:
    """A workspace with a model of two versions, the first of them the champion."""
    workspace = tiny_workspace(tmp_path_factory.mktemp("comparison"))
    judge.main("dots", workspace, load_params(workspace.params_file))
    mlflow_store(workspace.root)
    for seed in (1, 2):
        write_package(workspace, "dots", seed=seed)
        registry.register(workspace, "dots")
    registry.promote(workspace, "dots", 1, "It was first.", "ada")
    return workspace


@pytest.fixture(scope="module")
def found(studio: Workspace) -> tuple[Path, dict[str, object]]:
    a, b = find_package(studio, "dots@2"), find_package(studio, "dots")
    return comparison.any_two(studio, a, b)


def test_versions_are_named_by_number_by_alias_or_by_the_model_alone(studio: Workspace) -> None:
    first, second = registry.version_of(studio, "dots", 1), registry.version_of(studio, "dots", 2)
    for name, version in {"dots": first, "dots@1": first, "dots@champion": first, "dots@challenger": second}.items():
        package = find_package(studio, name)
        assert (package.directory, package.expected) == (version.directory, version.package)
    assert find_package(studio, "dots@champion").label == "dots version 1 (champion)"
    with pytest.raises(ValueError, match="'best' is neither a version's number nor an alias of it; try dots@"):
        find_package(studio, "dots@best")
    with pytest.raises(ValueError, match="version 9"):
        find_package(studio, "dots@9")
    with pytest.raises(ValueError, match="champions: dots"):
        find_package(studio, "lines@1")


def test_the_two_sides_differ_by_what_their_own_figures_say(
    studio: Workspace, found: tuple[Path, dict[str, object]]
) -> None:
    _, ours = found
    _, turned = comparison.any_two(studio, find_package(studio, "dots"), find_package(studio, "dots@2"))
    for name, figure in ours["differences"]["A - B"].items():  # type: ignore[index]
        other = turned["differences"]["A - B"][name]
        assert figure["value"] == pytest.approx(-other["value"], abs=1e-9)
        assert figure["low"] == pytest.approx(-other["high"], abs=1e-9)


def test_a_package_does_not_differ_from_itself(studio: Workspace) -> None:
    same = find_package(studio, "dots@2")
    _, figures = comparison.any_two(studio, same, same)
    assert {figure["value"] for figure in figures["differences"]["A - B"].values()} == {0.0}
    assert "In none of" in comparison.sentence(figures)


def test_the_page_holds_everything_it_shows(found: tuple[Path, dict[str, object]], studio: Workspace) -> None:
    page, figures = found
    assert page.parent == studio.work / "comparisons"
    text = page.read_text()
    outline = Outline(text)
    assert outline.open == []
    images = outline.all("img")
    assert len(images) == 3 * len(figures["pictures"]) == 12  # type: ignore[arg-type]
    assert all(str(image["src"]).startswith("data:image/jpeg;base64,") and image["alt"] for image in images)
    assert "dots version 2" in text
    assert str(figures["A"]) in text
    for name in figures["differences"]["A - B"]:  # type: ignore[index]
        assert REGISTRY[name].title in text


def test_any_folders_will_do_and_their_pictures_keep_their_names(studio: Workspace, tmp_path: Path) -> None:
    folders = {}
    for name in ("photos", "dots"):
        folders[name] = Path(shutil.copytree(studio.prepared(name) / "test", tmp_path / name))
    first = sorted(folders["photos"].iterdir())[0]
    first.rename(folders["photos"] / "my dog.png")
    a, b = find_package(studio, "dots@2"), find_package(studio, "dots@1")
    _, stage = comparison.any_two(studio, a, b)
    page, own = comparison.any_two(studio, a, b, folders["photos"], folders["dots"])
    assert own["differences"]["A - B"]["style/palette"] == stage["differences"]["A - B"]["style/palette"]
    assert "my dog.png, the photograph" in page.read_text()
    with pytest.raises(ValueError, match="--photos and --artworks belong together"):
        comparison.any_two(studio, a, b, folders["photos"])


def test_a_style_that_is_not_here_is_named(studio: Workspace, tmp_path: Path) -> None:
    other = Workspace(tmp_path)
    write_package(other, "lines")
    package = Package(other.package("lines"), None, "lines")
    with pytest.raises(ValueError, match="lines paints in the style 'lines', of which this workspace has no recipe"):
        comparison.any_two(studio, package, package)


def test_the_champion_is_held_against_a_recipes_package_and_hangs_in_its_report(
    studio: Workspace, tmp_path: Path
) -> None:
    from pipeline import evaluate

    champion = registry.version_of(studio, "dots", 1)
    command = [sys.executable, "-m", "pipeline.reports.comparison", "dots", "--champion", str(champion.directory)]
    command += ["--label", "Champion v1", "--out", str(tmp_path / "c")]
    done = subprocess.run(command, cwd=studio.root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = read_json(tmp_path / "c" / "comparison.json")
    assert found["champion"] == champion.package
    evaluate.main("dots", studio)
    metrics = read_json(studio.report("dots") / "metrics.json")
    difference = found["differences"]["champion - model"]["style/palette"]["value"]
    own = metrics["metrics"]["style/palette"]["value"]
    assert difference == pytest.approx(found["metrics"]["style/palette"]["value"] - own, rel=1e-3)
    page = render_report(studio.report("dots"), comparison=tmp_path / "c")
    section = page[page.index('id="champion"') : page.index('id="controls"')]
    assert section.count("painted by Champion v1") == section.count("painted by This model") == 4
    assert 'id="champion"' not in render_report(studio.report("dots"))


def test_a_missing_package_is_one_sentence(studio: Workspace, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline.reports.comparison", "dots", "--champion", str(tmp_path)]
    command += ["--out", str(tmp_path / "c")]
    done = subprocess.run(command, cwd=studio.root, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "c").exists()


def test_the_command_prints_differences_and_where_the_page_lies(
    studio: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["-C", str(studio.root), "compare", "dots@2", "dots@champion", "--json", str(tmp_path / "c.json")]
    try:
        cli.main(arguments)
    except SystemExit as ended:
        assert not ended.code  # noqa: PT017
    text = capsys.readouterr().out
    assert "content/structure ↑" in text
    assert "A: dots version 2\n" in text
    assert "comparisons/dots-version-2-dots-version-1-champion.html" in text.replace("\n", "")
    assert set(json.loads((tmp_path / "c.json").read_text())["differences"]["A - B"]) <= set(REGISTRY)


def test_pictures_are_no_larger_than_three_in_a_row_need(found: tuple[Path, dict[str, object]]) -> None:
    page, _ = found
    for path in page.with_suffix("").glob("*.jpg"):
        with Image.open(path) as image:
            assert max(image.size) <= 640


@needs_browser
@pytest.mark.parametrize("width", [400, 1280])
def test_in_a_real_browser_it_loads_and_fits(found: tuple[Path, dict[str, object]], width: int) -> None:
    page, _ = found
    with visit(page.as_uri(), width) as seen:
        assert seen.broken_images() == []
        assert not seen.is_too_wide()
        assert seen.complaints == seen.asked == []
