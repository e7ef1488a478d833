import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pipeline import evaluate, report
from pipeline.charts import curve, intervals, loss_curves
from pipeline.files import write_json
from pipeline.report import markdown_blocks, render, short
from pipeline.workspace import Workspace
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
}


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = tiny_workspace(tmp_path_factory.mktemp("report"))
    write_package(workspace, "dots")
    samples = workspace.trained("dots") / "samples"
    samples.mkdir(parents=True)
    for step in range(0, 100, 10):
        (samples / f"step-{step:08d}.jpg").write_bytes(encoded(texture(step), "JPEG"))
    rows = "".join(f"{i},{1 / (i + 1)},\n" for i in range(5))
    (workspace.trained("dots") / "history.csv").write_text("step,generator/nce,generator/late\n" + rows + "5,.1,.2\n")
    evaluate.main("dots", workspace)
    return workspace


@pytest.fixture
def page(studio: Workspace) -> str:
    return render(studio.report("dots"), studio.trained("dots"), VERDICT)


class _Outline(HTMLParser):
    """Tags with their attributes, ids, and whether every tag is closed."""

    VOID = frozenset({"meta", "img", "input", "link", "br", "line", "circle", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def _outline(page: str) -> _Outline:
    outline = _Outline()
    outline.feed(page)
    assert outline.open == []
    return outline


def test_the_page_holds_everything_it_shows(page: str) -> None:
    outline = _outline(page)
    assert all(str(image["src"]).startswith("data:image/jpeg;base64,") for image in outline.all("img"))
    assert not outline.all("link")
    assert not [script for script in outline.all("script") if "src" in script]
    assert not re.search(r"https?://|url\(|@import", re.sub(r'"data:[^"]*"', "", page))


def test_the_page_can_be_used_without_a_mouse_and_without_eyes(page: str) -> None:
    outline = _outline(page)
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
    assert "it &lt;loses&gt; the subject." in top
    assert page.count("✓ passed") == page.count("✗ failed") == 1
    assert "dots v3" in page


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
    metrics: dict[str, Any] = report.read_json(folder / "metrics.json")
    metrics["metrics"]["style/palette"] = {"value": None, "low": None, "high": None}
    metrics["controls"]["photograph"]["style/patch_swd"] = {"value": None, "low": None, "high": None}
    write_json(folder / "metrics.json", metrics)
    assert "– to –" in render(folder)


def test_a_recipe_that_was_not_evaluated_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape("run `dvc repro evaluate@reports`")):
        render(tmp_path / "reports")


def test_the_flow_renders_the_page_again_with_a_verdict(studio: Workspace, tmp_path: Path) -> None:
    write_json(tmp_path / "verdict.json", VERDICT)
    command = [sys.executable, "-m", "pipeline.report", "dots"]
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


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium")
@pytest.mark.parametrize("width", [400, 1280])
def test_in_a_real_browser_sliders_move_images_load_and_nothing_complains(
    page: str, tmp_path: Path, width: int
) -> None:
    probe = """<script>
    addEventListener("load", () => {
      const slider = document.querySelector(".slider"), input = slider.querySelector("input");
      input.value = 20; input.dispatchEvent(new Event("input"));
      const broken = [...document.images].filter(image => !image.naturalWidth).length;
      const wide = document.documentElement.scrollWidth > innerWidth;
      document.title = `at ${getComputedStyle(slider).getPropertyValue("--at").trim()} broken ${broken} wide ${wide}`;
    });</script>"""
    path = tmp_path / "page.html"
    path.write_text(page.replace("</body>", probe + "</body>"))
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
    command += [f"--window-size={width},900", "--virtual-time-budget=3000", "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert "<title>at 20 broken 0 wide false</title>" in done.stdout
    assert "CONSOLE" not in done.stderr
