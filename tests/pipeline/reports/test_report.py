import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline import evaluate, judge
from pipeline.files import read_json, write_json
from pipeline.metrics import REGISTRY
from pipeline.metrics.controls import CONTROLS
from pipeline.params import load_params
from pipeline.reports.charts import curve, intervals, loss_curves
from pipeline.reports.course import course
from pipeline.reports.figures import reading, short
from pipeline.reports.report import lead, markdown_blocks, render
from pipeline.reports.sources import source
from pipeline.workspace import Workspace
from tests.browser import needs_browser, visit
from tests.outline import Outline
from tests.pipeline.packages import write_package
from tests.pipeline.pictures import encoded, texture
from tests.pipeline.training import tiny_workspace

VERDICT = {
    "accepted": False,
    "sentence": "Refused: it <loses> the subject.",
    "rules": [
        {"name": "style", "passed": True, "sentence": "Closer, by 0.2.", "value": 0.1, "bound": 0.0},
        {"name": "structure", "passed": False, "sentence": "It <loses> the subject.", "value": 0.2, "bound": 0.5},
    ],
    "facts": {"Version": "dots v3"},
    "votes": ["Three painters preferred it to <Lab> transfer."],
}


COURSE = {
    "watch": [{"step": step, "light": step / 100, "accuracy": None, "validation": 0.5} for step in (10, 20, 30)],
    "limits": {"min_light": 0.25, "max_accuracy": 0.9},
    "watched_from": 10,
    "alarms": [{"step": 20, "why": "light & dark are exchanged"}],
    "rollbacks": [{"at": 30, "to": 10, "why": "10 steps in a row were not finite"}],
    "skipped_steps": 12,
}


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = tiny_workspace(tmp_path_factory.mktemp("report"))
    write_package(workspace, "dots")
    judge.main("dots", workspace, load_params(workspace.params_file))
    samples = workspace.trained("dots") / "samples"
    samples.mkdir(parents=True)
    for step in range(0, 100, 10):
        (samples / f"step-{step:08d}.jpg").write_bytes(encoded(texture(step), "JPEG"))
    rows = "".join(f"{i},{1 / (i + 1)},\n" for i in range(5))
    (workspace.trained("dots") / "history.csv").write_text("step,generator/nce,generator/late\n" + rows + "5,.1,.2\n")
    write_json(workspace.trained("dots") / "course.json", COURSE)
    evaluate.main("dots", workspace)
    return workspace


@pytest.fixture
def page(studio: Workspace) -> str:
    return render(studio.report("dots"), studio.trained("dots"), VERDICT)


def test_the_page_holds_everything_it_shows(page: str) -> None:
    outline = Outline(page)
    assert outline.open == []
    assert all(str(image["src"]).startswith("data:image/jpeg;base64,") for image in outline.all("img"))
    assert not outline.all("link")
    assert not [script for script in outline.all("script") if "src" in script]
    assert not re.search(r"https?://|url\((?!#)|@import", re.sub(r'"data:[^"]*"', "", page))


def test_the_page_can_be_used_without_a_mouse_and_without_eyes(page: str) -> None:
    outline = Outline(page)
    sliders = outline.all("input")
    assert sliders
    assert all(slider["type"] == "range" and slider["aria-label"] for slider in sliders)
    assert all(image.get("alt") for image in outline.all("img"))
    assert outline.all("html")[0]["lang"] == "en"
    ids = {attributes["id"] for _, attributes in outline.found if "id" in attributes}
    assert all(str(link["href"])[1:] in ids for link in outline.all("a"))


def test_the_page_is_for_light_and_dark_and_narrow(page: str) -> None:
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_the_verdict_stands_on_top_and_rule_by_rule(page: str) -> None:
    top = page[: page.index('id="gallery"')]
    assert "Refused by the gate" in top
    assert "It &lt;loses&gt; the subject." in top
    assert page.count("✓ passed") == page.count("✗ failed") == 1
    assert "dots v3" in page


def test_what_painters_said_stands_beside_the_gate(page: str, studio: Workspace) -> None:
    section = page[page.index('id="verdict"') : page.index('id="controls"')]
    assert "Three painters preferred it to &lt;Lab&gt; transfer." in section
    assert "What painters preferred" not in (studio.report("dots") / "report.html").read_text()


def test_every_control_hangs_beside_the_model(page: str) -> None:
    section = page[page.index('id="controls"') : page.index('id="change"')]
    for name in CONTROLS:
        assert f"<figcaption>{source(name).title}</figcaption>" in section
    assert "<figcaption>This model</figcaption>" in section


def test_the_worst_come_with_their_figures_and_with_what_was_changed(page: str, studio: Workspace) -> None:
    worst = read_json(studio.report("dots") / "gallery" / "index.json")["worst"]
    section = page[page.index('id="worst"') : page.index('id="verdict"')]
    assert section.count('class="rank"') == len(worst) == 4
    assert section.count("where the model changed it") == len(worst)
    assert "the gate asks for a mean of 0.50" in section


def test_networks_that_looked_are_named(studio: Workspace, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(studio.report("dots"), tmp_path / "dots"))
    metrics: dict[str, Any] = read_json(folder / "metrics.json")
    write_json(folder / "metrics.json", metrics | {"observers": {"features": "net 7", "perceptual": None}})
    assert "feature distances: net 7; perceptual distance: none at hand." in render(folder)


def test_every_metric_that_judges_has_a_chart_with_its_controls(page: str, studio: Workspace) -> None:
    metrics = read_json(studio.report("dots") / "metrics.json")
    for name, declared in REGISTRY.items():
        if name in metrics["metrics"] and name in metrics["controls"]["photograph"] and declared.direction != "none":
            assert f'aria-label="{declared.title}, {declared.direction} is better: Photograph' in page, name


def test_the_lead_says_how_far_the_model_came() -> None:
    def found(model: float) -> str:
        def style(value: float) -> dict[str, Any]:
            return {"style/patch_swd": {"value": value}}

        controls = {"photograph": style(2.0), "paintings": style(1.0)}
        counts = {"photographs": 9, "paintings": 8}
        return lead({"counts": counts, "controls": controls, "metrics": style(model)})

    assert "come 75 % of the way" in found(1.25)
    assert "all the way" in found(0.9)
    assert "no closer to the artist" in found(2.5)


@pytest.mark.parametrize(
    ("name", "low", "high", "said"),
    [
        ("style/texture_swd", 0.1, 0.2, "B is better"),  # a distance: what is left of A - B is for B
        ("style/texture_swd", -0.2, -0.1, "A is better"),
        ("content/structure", 0.1, 0.2, "A is better"),
        ("content/structure", -0.1, 0.2, "no clear difference"),
        ("distortion/mse", 0.1, 0.2, "differs"),
        ("style/palette", None, None, "not measured"),
    ],
)
def test_a_difference_is_read_by_the_direction_of_its_metric(
    name: str, low: float | None, high: float | None, said: str
) -> None:
    assert reading(name, {"value": low, "low": low, "high": high}, "A", "B") == said


def test_without_a_verdict_the_page_passes_none(studio: Workspace) -> None:
    plain = (studio.report("dots") / "report.html").read_text()
    assert plain == render(studio.report("dots"), studio.trained("dots"))
    assert "by the gate" not in plain
    assert 'id="verdict"' not in plain


def test_figures_controls_training_and_card_are_there(page: str) -> None:
    for text in (
        "Brushwork and colour",
        "Lab transfer",
        "generator/nce",
        "Step 90",
        "Model card",
        "dvc repro evaluate@dots",
    ):
        assert text in page
    assert page.count("Sample at step") == 6
    assert '"Sample at step 0"' in page


def test_a_model_without_a_training_history_has_no_such_section(studio: Workspace, tmp_path: Path) -> None:
    assert 'id="training"' not in render(studio.report("dots"), tmp_path)
    assert 'id="training"' not in render(studio.report("dots"))


def test_a_figure_that_was_not_measured_is_a_dash(studio: Workspace, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(studio.report("dots"), tmp_path / "dots"))
    metrics: dict[str, Any] = read_json(folder / "metrics.json")
    metrics["metrics"]["style/palette"] = {"value": None, "low": None, "high": None}
    metrics["controls"]["photograph"]["style/patch_swd"] = {"value": None, "low": None, "high": None}
    write_json(folder / "metrics.json", metrics)
    assert "– to –" in render(folder)


def test_a_recipe_that_was_not_evaluated_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape("run `dvc repro evaluate@reports`")):
        render(tmp_path / "reports")


def test_the_flow_renders_the_page_again_with_a_verdict(studio: Workspace, tmp_path: Path) -> None:
    write_json(tmp_path / "verdict.json", VERDICT)
    command = [sys.executable, "-m", "pipeline.reports.report", "dots"]
    command += ["--verdict", str(tmp_path / "verdict.json"), "--out", str(tmp_path / "out" / "page.html")]
    done = subprocess.run(command, cwd=studio.root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Refused by the gate" in (tmp_path / "out" / "page.html").read_text()


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0"), (-0.48123, "−0.481"), (12.44, "12.4"), (-0.00000588, "0"), (0.00042, "0.0004")],
)
def test_short_figures(value: float | None, text: str) -> None:
    assert short(value) == text


def test_a_card_is_headings_lists_and_paragraphs() -> None:
    text = "# A\n\nOne `b`.\n\n## C\n\n- d\n- e\n"
    assert markdown_blocks(text) == [
        ("title", ["A"]), ("paragraph", ["One b."]), ("heading", ["C"]), ("list", ["d", "e"]),
    ]  # fmt: skip


def test_a_history_has_one_curve_a_loss_and_holes_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("step,a,b\n0,1,\n1,nan,2\n2,3,\n")
    assert [name for name, _ in loss_curves(path)] == ["a"]
    assert loss_curves(tmp_path / "none.csv") == []


def test_what_a_training_went_through_is_told_with_the_limits(page: str, studio: Workspace, tmp_path: Path) -> None:
    assert "At step 20: light &amp; dark are exchanged." in page
    assert "At step 30: 10 steps in a row were not finite; it went back to step 10" in page
    assert "12 steps were skipped" in page
    found = course(studio.trained("dots"))
    assert found is not None
    assert [chart["title"] for chart in found["charts"]] == ["Light", "Validation"]  # what has figures
    light, validation = (chart["svg"] for chart in found["charts"])
    assert "limit 0.25" in light
    assert "limit" not in validation
    assert course(tmp_path) is None


def test_a_limit_is_drawn_where_it_is_on_the_curves_scale() -> None:
    drawn = curve([(0, 1.0), (10, 3.0)], "figure", limit=2.0)
    match = re.search(r'class="control" x1="0" y1="([^"]*)"', drawn)
    ends = re.search(r'points="([^"]*)"', drawn)
    assert match
    assert ends
    ys = [float(point.split(",")[1]) for point in ends.group(1).split()]
    assert float(match.group(1)) == pytest.approx(sum(ys) / 2, abs=0.11)
    beyond = curve([(0, 1.0), (10, 3.0)], "figure", limit=5.0)
    assert min(map(float, re.findall(r'y1="([^"]*)"', beyond))) >= 0


def test_a_curve_runs_from_left_to_right_and_from_low_to_high() -> None:
    drawn = curve([(0, 5.0), (10, 1.0), (20, 3.0)], "loss")
    match = re.search(r'points="([^"]*)"', drawn)
    assert match
    points = [tuple(map(float, point.split(","))) for point in match.group(1).split()]
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert points[0][1] < points[2][1] < points[1][1]  # SVG counts downwards
    assert "from 5 to 3 over 20 steps" in drawn


def test_a_long_curve_is_thinned_and_keeps_its_end() -> None:
    drawn = curve([(i, float(i)) for i in range(10_000)], "loss")
    assert len(drawn) < 6_000
    assert ">1e+04<" in drawn


def test_a_flat_curve_can_be_drawn() -> None:
    assert "nan" not in curve([(0, 1.0), (1, 1.0)], "flat")


def test_dots_stand_in_proportion() -> None:
    rows = {"one": {"value": 1.0, "low": 0.5, "high": 1.5}, "two": {"value": 2.0, "low": 1.0, "high": 4.0}}
    centres = [float(x) for x in re.findall(r'cx="([^"]*)"', intervals(rows, "one", "test"))]
    assert centres[1] - 112 == pytest.approx(2 * (centres[0] - 112))
    assert intervals({"none": {"value": None, "low": None, "high": None}}, "one", "test") == ""


@needs_browser
@pytest.mark.parametrize(("width", "dark"), [(400, True), (1280, False)])
def test_in_a_real_browser_everything_loads_fits_and_nothing_complains(
    page: str, tmp_path: Path, width: int, dark: bool
) -> None:
    (tmp_path / "page.html").write_text(page, "utf-8")
    with visit((tmp_path / "page.html").as_uri(), width, dark) as seen:
        assert seen.broken_images() == []
        assert not seen.is_too_wide()
        for landmark in ("header", "nav", "main", "footer", "h1"):
            assert seen.page.locator(landmark).count() == 1
        assert seen.page.locator("img:not([alt]), img[alt='']").count() == 0
        assert seen.complaints == seen.asked == []


@needs_browser
@pytest.mark.parametrize("width", [400, 1280])
def test_sliders_follow_the_pointer_and_the_arrow_keys(page: str, tmp_path: Path, width: int) -> None:
    (tmp_path / "page.html").write_text(page, "utf-8")
    with visit((tmp_path / "page.html").as_uri(), width) as seen:
        sliders = seen.page.locator(".slider")
        assert sliders.count() >= 4
        for number in range(sliders.count()):
            slider = sliders.nth(number)
            slider.scroll_into_view_if_needed()
            box = slider.bounding_box()
            assert box is not None
            assert box["width"] > 300  # large enough to enjoy
            middle = box["y"] + box["height"] / 2
            seen.page.mouse.move(box["x"] + box["width"] / 2, middle)
            seen.page.mouse.down()
            seen.page.mouse.move(box["x"] + box["width"] * 0.2, middle, steps=4)
            seen.page.mouse.up()
            seen.page.mouse.move(box["x"] + box["width"] * 0.9, middle)  # let go: it stays
            assert abs(_shown(slider) - 20) <= 2
            before = _shown(slider)
            slider.locator("input").focus()
            seen.page.keyboard.press("ArrowRight")
            assert before < _shown(slider) <= before + 5
            seen.page.keyboard.press("Home")
            assert _shown(slider) == 0
        assert seen.complaints == []


def _shown(slider: Any) -> float:
    """Return how much of the photograph really is uncovered, in percent of the width."""
    clip = str(slider.locator(".before").evaluate("image => getComputedStyle(image).clipPath"))
    plain = clip.replace("calc(", "").replace("%)", "%").replace("px", "%")
    match = re.fullmatch(r"inset\(0% ([\d.]+)% 0% 0%\)", plain)
    assert match, clip
    return 100 - float(match.group(1))


@needs_browser
def test_without_scripts_both_pictures_stand_beside_each_other(page: str, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(page, "utf-8")
    with visit((tmp_path / "page.html").as_uri(), script=False) as seen:
        one, other = (seen.page.locator(f".slider {part}").first.bounding_box() for part in (".after", ".before"))
        assert one
        assert other
        assert one["x"] + one["width"] <= other["x"]
