"""What a report shows of discriminators and of spectra, and what it says where there is nothing to show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import evaluate, judge, package, train
from pipeline.files import read_json
from pipeline.params import load_params
from pipeline.reports.charts import Line, heat_legend, lines
from pipeline.reports.heat import heat
from pipeline.reports.report import render
from pipeline.reports.spectra import spectra, write_spectra
from pipeline.workspace import Workspace
from tests.browser import needs_browser, visit
from tests.outline import Outline
from tests.pipeline.packages import write_package
from tests.pipeline.scenes import paintings, photographs
from tests.pipeline.training import tiny_workspace


@pytest.fixture(scope="module", params=["cyclegan", "dcgan"])
def studio(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = tiny_workspace(tmp_path_factory.mktemp("heat"), request.param, train={"steps": 3})
    judge.main("dots", workspace, load_params(workspace.params_file))
    train.main("dots", workspace)
    package.main("dots", workspace)
    evaluate.main("dots", workspace)
    return workspace


def _page(workspace: Workspace) -> str:
    return (workspace.report("dots") / "report.html").read_text()


@pytest.mark.slow
def test_every_discriminator_is_shown_outputs_and_real_pictures_on_one_scale(studio: Workspace) -> None:
    gallery = studio.report("dots") / "gallery"
    both = "reverse" in {path.stem for path in studio.package("dots").iterdir()}
    groups = read_json(gallery / "heat.json")["groups"]
    assert [(group["name"], group["judges"]) for group in groups] == [
        ("discriminator", "painting"),
        *([("reverse_discriminator", "photograph")] if both else []),
    ]
    for group in groups:
        made = [one["title"] for one in group["shown"] if one["title"].endswith("by the model")]
        real = [one["title"] for one in group["shown"] if f"held-out {group['judges']}" in one["title"]]
        assert (len(made), len(real)) == (4, 2)
        assert group["kind"] == ("patches" if both else "occlusion")
        assert group["limit"] >= 0.05
        for one in group["shown"]:
            assert 0 <= one["share"] <= 1
            for kind in ("picture", "map"):
                with Image.open(gallery / one[kind]) as picture:
                    assert picture.size == (one["width"], one["height"])
    assert (studio.report("dots") / "sheets" / "heat.jpg").is_file()


@pytest.mark.slow
def test_the_page_has_both_sections_with_legends_and_what_the_colours_mean(studio: Workspace) -> None:
    page = _page(studio)
    outline = Outline(page)
    assert outline.open == []
    ids = [attributes["id"] for _, attributes in outline.found if "id" in attributes]
    assert {"heat", "spectra"} < set(ids)
    assert len(ids) == len(set(ids))
    section = page[page.index('id="heat"') : page.index('id="spectra"')]
    assert section.count("what the discriminator makes of it") == section.count("<figure>") / 2
    assert "real: painted by hand" in section
    assert "false: by the model" in section
    spectrum = page[page.index('id="spectra"') : page.index('id="figures"')]
    assert spectrum.count("<svg") == 3
    for title in ("This model", "Held-out paintings", "Held-out photographs"):
        assert spectrum.count(f">{title}</text>") == 3


@pytest.mark.slow
def test_it_makes_the_same_bytes_again(studio: Workspace) -> None:
    gallery = studio.report("dots") / "gallery"
    before = {path.name: path.read_bytes() for path in gallery.glob("heat*")}
    evaluate.main("dots", studio)
    assert before == {path.name: path.read_bytes() for path in gallery.glob("heat*")}


@needs_browser
@pytest.mark.parametrize(("width", "dark"), [(400, True), (1280, False)])
def test_the_sections_fit_into_any_window(studio: Workspace, tmp_path: Path, width: int, dark: bool) -> None:
    (tmp_path / "page.html").write_text(_page(studio), "utf-8")
    with visit((tmp_path / "page.html").as_uri(), width, dark) as seen:
        assert seen.broken_images() == []
        assert not seen.is_too_wide()
        for name in ("heat", "spectra"):
            box = seen.page.locator(f"#{name}").bounding_box()
            assert box is not None
            assert box["width"] <= width
        assert seen.complaints == seen.asked == []


@pytest.mark.slow
@pytest.mark.parametrize("what", ["missing", "older"])
def test_without_a_discriminator_that_fits_the_section_says_so_and_the_rest_is_there(
    tmp_path: Path, what: str
) -> None:
    workspace = tiny_workspace(tmp_path)
    judge.main("dots", workspace, load_params(workspace.params_file))
    if what == "missing":
        write_package(workspace, "dots")  # and no runs/
    else:
        train.main("dots", workspace)
        package.main("dots", workspace)
        config = workspace.trained("dots") / "config.json"
        config.write_text(config.read_text().replace('"scale": 10.0', '"scales": 10.0'))
    evaluate.main("dots", workspace)
    found = heat(workspace.report("dots") / "gallery")
    assert found is not None
    assert found["groups"] == []
    said = {"missing": "runs/dots holds no discriminator", "older": "do not fit this version's method 'cut'"}[what]
    assert said in found["missing"]
    assert "Left out: " in _page(workspace)
    assert 'id="figures"' in _page(workspace)
    assert not (workspace.report("dots") / "sheets" / "heat.jpg").exists()


@pytest.mark.slow
def test_a_report_of_before_there_was_this_renders_without_it(tmp_path: Path) -> None:
    workspace = tiny_workspace(tmp_path)
    judge.main("dots", workspace, load_params(workspace.params_file))
    write_package(workspace, "dots")
    folder = evaluate.main("dots", workspace)
    for name in ("heat.json", "spectra.json"):
        (folder / "gallery" / name).unlink()
    page = render(folder)
    assert 'id="heat"' not in page
    assert 'href="#spectra"' not in page


def test_the_spectra_of_a_mesh_say_so(tmp_path: Path) -> None:
    meshed = []
    for picture in photographs():
        mesh = picture.astype(int)
        mesh[::4] += 30
        mesh[:, ::4] += 30
        meshed.append(mesh.clip(0, 255).astype(np.uint8))
    write_spectra(tmp_path, meshed, paintings(), photographs())
    found = spectra(tmp_path)
    assert found is not None
    assert "wavelength of 4 px stands out in pictures of 64 px" in found["sentence"]
    write_spectra(tmp_path, paintings(6, 50), paintings(), [])
    found = spectra(tmp_path)
    assert found is not None
    assert found["sentence"].startswith("No regular pattern stands out")
    assert "Held-out photographs" not in found["charts"][0]["svg"]
    assert spectra(tmp_path / "nowhere") is None


def test_lines_are_drawn_over_one_axis_in_proportion() -> None:
    one, other = Line("a", "model", [(0, 1.0), (1, 3.0)]), Line("b<", "goal", [(0, 5.0), (1, 1.0)])
    drawn = lines([one, other], "test", {0.5: "half"})
    points = [part.split('"')[0].split(" ") for part in drawn.split('points="')[1:]]
    goal, model = ([tuple(map(float, point.split(","))) for point in each] for each in points)  # the last is on top
    assert model[0][0] == goal[0][0] < model[1][0] == goal[1][0]
    assert goal[0][1] < model[1][1] < model[0][1] == goal[1][1]  # SVG counts downwards
    assert model[1][1] == pytest.approx((goal[0][1] + goal[1][1]) / 2, abs=0.1)
    assert "b&lt;" in drawn
    assert "nan" not in lines([Line("flat", "model", [(0, 1.0), (1, 1.0)])], "test", {})


def test_the_legend_has_the_scale_of_the_maps() -> None:
    legend = heat_legend(0.82, "heat-3", "painted by hand")
    assert 'id="heat-3"' in legend
    assert "url(#heat-3)" in legend
    assert ">−0.82<" in legend
    assert ">0.82<" in legend
