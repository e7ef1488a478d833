"""The studio in a real browser: a whole visit by hand and by keys, on a wide screen and on a telephone."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops

from pipeline.generation import Sampler
from pipeline.images import grid
from pipeline.inference import Stylizer
from pipeline.serve.shelf import Shelf
from pipeline.studio.pages import pages
from pipeline.workspace import Workspace
from tests.browser import Visit, needs_browser, visit
from tests.pipeline.packages import empty_workspace, write_package
from tests.pipeline.pictures import encoded, texture
from tests.pipeline.serve.serving import (
    Easel,
    generating,
    other_package,
    referring,
    served,
    settings,
    shelf_of,
    shelf_with,
)
from tests.pipeline.studio.test_pages import Versions

PATIENCE = 60_000  # ms


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    place = empty_workspace(tmp_path / "studio")
    write_package(place, "one", 1)
    write_package(place, "two", 2)
    return place


@contextmanager
def _studio(workspace: Workspace, width: int = 1280, shelf: Shelf | None = None, **changes: Any) -> Iterator[Visit]:
    """Open the page; it must leave nothing on the console and ask for nothing from elsewhere."""
    shelf = shelf or Versions(workspace, "one", "two")
    with (
        served(shelf, settings(max_bytes=20_000_000, **changes), extend=pages(workspace)) as client,
        visit(f"{str(client.base_url).rstrip('/')}/", width=width) as seen,
    ):
        seen.page.set_default_timeout(PATIENCE)
        yield seen
        assert not seen.asked


def _file(name: str, data: bytes) -> dict[str, Any]:
    return {"name": name, "mimeType": "application/octet-stream", "buffer": data}


def _hung(page: Any, place: str = "champion") -> Any:
    page.locator(f"#{place}.hung").wait_for()
    return page.locator(f"#{place}")


def _download(page: Any, button: Any) -> tuple[str, Image.Image]:
    with page.expect_download() as begun:
        button.click()
    path = begun.value.path()
    return begun.value.suggested_filename, Image.open(io.BytesIO(Path(path).read_bytes()))


@needs_browser
def test_a_whole_visit(workspace: Workspace) -> None:
    photo = texture(9, 300, 200)
    with _studio(workspace) as seen:
        page = seen.page
        assert not seen.broken_images()
        page.locator("#file").set_input_files(_file("my garden.png", encoded(photo)))
        work = _hung(page)
        assert "The photograph my garden.png" in work.locator(".before").get_attribute("alt")
        assert work.locator("figcaption").inner_text() == "ink version 1"

        page.locator("#format").select_option("png")
        name, picture = _download(page, page.locator("#download"))
        assert name == "my garden-ink.png"
        expected = Stylizer.load(workspace.package("one"))(photo)
        assert ImageChops.difference(picture, expected).getbbox() is None  # of the photograph itself, in its own size

        page.locator("#strength").fill("40")
        assert page.locator("#strong").inner_text() == "40 %"
        assert float(work.locator(".after").evaluate("one => getComputedStyle(one).opacity")) == 0.4
        page.locator("#keep").check()
        _hung(page)
        _, picture = _download(page, page.locator("#download"))
        expected = Stylizer.load(workspace.package("one"))(photo, strength=0.4, preserve_color=True)
        assert ImageChops.difference(picture, expected).getbbox() is None

        page.locator("#compare").check()
        other = _hung(page, "challenger")
        assert other.locator("figcaption").inner_text() == "ink version 2, the challenger"
        name, picture = _download(page, page.locator("#second"))
        assert name == "my garden-ink-challenger.png"
        expected = Stylizer.load(workspace.package("two"))(photo, strength=0.4, preserve_color=True)
        assert ImageChops.difference(picture, expected).getbbox() is None

        page.locator("#another").click()
        page.get_by_role("button", name="A dahlia").click()
        _hung(page)
        assert "A dahlia" in page.locator("#champion .before").get_attribute("alt")
        for title in ("Styles", "State", "Paint"):
            page.get_by_role("link", name=title, exact=True).click()
            page.get_by_role("link", name=title, exact=True).and_(page.locator("[aria-current=page]")).wait_for()
            assert not seen.broken_images()
        page.goto(page.url.rstrip("/") + "/styles/ink")
        page.get_by_role("link", name="Paint with it").click()
        assert page.locator("input[name=model]:checked").get_attribute("value") == "ink"
        assert not seen.complaints


@needs_browser
def test_the_brush_is_made_finer_and_the_download_is_painted_with_it(workspace: Workspace) -> None:
    photo = texture(9, 300, 200)
    with _studio(workspace) as seen:
        page = seen.page
        page.locator("#file").set_input_files(_file("garden.png", encoded(photo)))
        _hung(page)
        with page.expect_response(lambda answer: "scale=2.000" in answer.url and answer.ok):
            page.locator("#brush").fill("2")
        assert page.locator("#brushed").inner_text() == "half as wide"
        assert page.locator("#brush").get_attribute("aria-valuetext") == "half as wide"
        _hung(page)
        page.locator("#format").select_option("png")
        _, picture = _download(page, page.locator("#download"))
        stylizer = Stylizer.load(workspace.package("one"))
        assert ImageChops.difference(picture, stylizer(photo, scale=2)).getbbox() is None
        assert ImageChops.difference(picture, stylizer(photo)).getbbox() is not None
        assert not seen.complaints


@needs_browser
def test_a_painter_brings_pictures_of_her_own_to_paint_after(workspace: Workspace, tmp_path: Path) -> None:
    folder, photo, others = referring(tmp_path), texture(9, 120, 80), [texture(n, 64, 64) for n in (31, 32)]
    stylizer = Stylizer.load(folder)
    with _studio(workspace, shelf=shelf_of(workspace.package("one"), folder)) as seen:
        page = seen.page
        page.locator("label").filter(has_text="one").click()
        assert page.locator(".manner").is_hidden()  # until a model is chosen that paints after pictures
        page.locator("#file").set_input_files(_file("garden.png", encoded(photo)))
        _hung(page)
        with page.expect_response(lambda answer: "style=dots" in answer.url and answer.ok):
            page.locator("label").filter(has_text="any-hand").click()
        _hung(page)
        assert not seen.broken_images()
        page.locator("#format").select_option("png")
        _, picture = _download(page, page.locator("#download"))
        assert ImageChops.difference(picture, stylizer(photo, style="dots")).getbbox() is None
        with page.expect_response(lambda answer: "style=lines" in answer.url and answer.ok):
            page.locator("label").filter(has_text="lines").click()
        with page.expect_response(lambda answer: "strength=0.5" in answer.url and answer.ok):
            page.locator("#strength").fill("50")  # of features, so it is painted anew
        assert page.locator("#champion .after").evaluate("one => getComputedStyle(one).opacity") == "1"
        page.locator("#strength").fill("100")

        page.locator(".references").set_input_files([_file("notes.txt", b"not a picture")])
        page.get_by_role("alert").wait_for()
        assert "no picture that can be read" in page.get_by_role("alert").inner_text()
        assert page.locator(".own").is_hidden()
        page.locator(".references").set_input_files([_file(f"{n}.png", encoded(texture(n))) for n in range(5)])
        assert "At most 4 pictures" in page.get_by_role("alert").inner_text()
        with page.expect_request(lambda asked: asked.method == "POST" and "api/stylize" in asked.url) as begun:
            files = [_file(f"mine-{number}.png", encoded(one)) for number, one in enumerate(others)]
            page.locator(".references").set_input_files(files)
        assert begun.value.headers["content-type"].startswith("multipart/form-data")
        _hung(page)
        assert page.locator(".own").inner_text() == "2 of your own"
        assert page.locator(".own img").count() == 2
        _, picture = _download(page, page.locator("#download"))
        expected = stylizer(photo, reference=others)
        assert _distance(picture, expected) < 3 < _distance(picture, stylizer(photo, style="lines"))
        seen.complaints = [one for one in seen.complaints if "415" not in one]  # the browser notes the refusal
        assert not seen.complaints


@contextmanager
def _drawing(workspace: Workspace, *folders: Path, width: int = 1280) -> Iterator[Visit]:
    with _studio(workspace, width, shelf_of(workspace.package("one"), *folders)) as seen:
        seen.page.get_by_role("link", name="Draw", exact=True).click()
        _drawn(seen.page)
        yield seen


def _drawn(page: Any) -> Any:
    """Wait until all images of the sheet are there that was asked for last."""
    page.locator("#download:enabled").wait_for()
    return page.locator(".study")


@needs_browser
def test_a_sheet_of_images_is_drawn_out_of_noise_and_downloaded(workspace: Workspace, tmp_path: Path) -> None:
    folder = generating(tmp_path)
    sampler = Sampler.load(folder)
    with _drawing(workspace, folder) as seen:
        page = seen.page
        assert _drawn(page).count() == 16
        assert not seen.broken_images()
        assert page.locator("#caption").inner_text() == "studies: seeds 0 to 15"
        name, sheet = _download(page, page.locator("#download"))
        assert name == "studies-seeds-0-15.png"
        images = list(sampler(range(16)))
        expected = grid([images[row : row + 4] for row in range(0, 16, 4)], gap=4)  # as `atelier generate` lays it
        assert ImageChops.difference(sheet.convert("RGB"), expected).getbbox() is None

        page.locator("label[for=many-4]").click()
        page.locator("label[for=k1-1-2]").click()
        page.locator("#c1-1").fill("-0.5")
        assert page.locator("#c1-1").get_attribute("aria-valuetext") == "-0.5"
        with page.expect_response(lambda one: "seed=103" in one.url and "c1%3D-0.5" in one.url and one.ok):
            page.locator("#seed").fill("100")
        assert _drawn(page).count() == 4
        name, sheet = _download(page, page.locator("#download"))
        assert name == "studies-k1=2-c1=-0.5-seeds-100-103.png"
        images = list(sampler(range(100, 104), code={"k1": 2, "c1": -0.5}))
        expected = grid([images[:2], images[2:]], gap=4)
        assert ImageChops.difference(sheet.convert("RGB"), expected).getbbox() is None

        with page.expect_request(lambda asked: "seed=107" in asked.url and "c1" not in asked.url):
            page.get_by_role("button", name="leave c1 to the seed").click()
            page.get_by_role("button", name="Next sheet").click()
        _drawn(page)
        assert page.locator("#seed").input_value() == "104"
        page.locator(".study").nth(1).click()
        page.get_by_role("heading", name="Seed 105").wait_for()
        name, picture = _download(page, page.locator("#save"))
        assert name == "studies-k1=2-seed-105.png"
        [expected] = sampler([105], code={"k1": 2})
        assert ImageChops.difference(picture, expected).getbbox() is None
        assert not seen.complaints


@needs_browser
def test_the_sheet_is_looked_at_by_keys_alone(workspace: Workspace, tmp_path: Path) -> None:
    with _drawing(workspace, generating(tmp_path)) as seen:
        page = seen.page
        page.locator(".study").nth(2).focus()
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Seed 2").wait_for()
        page.keyboard.press("ArrowRight")
        page.get_by_role("heading", name="Seed 3").wait_for()
        page.keyboard.press("Escape")
        page.locator("dialog[open]").wait_for(state="detached")
        assert page.evaluate("document.activeElement.dataset.seed") == "3"
        reached = []
        for _ in range(40):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.id"))
        wanted = ("model-1", "seed", "next", "chance", "k1-1-any", "c1-1", "many-16", "download")
        assert [one for one in wanted if one not in reached] == []
        page.locator("#k1-1-any").focus()
        with page.expect_response(lambda answer: "k1%3D0" in answer.url and answer.ok):
            page.keyboard.press("ArrowRight")
        assert not seen.complaints


@needs_browser
def test_each_model_shows_the_handles_that_it_has(workspace: Workspace, tmp_path: Path) -> None:
    arguments = {"latent": 8, "side": 16, "channels": 4, "most": 8, "layers": 2}
    network = {"name": "stylegan2", "arguments": arguments}
    style = other_package(tmp_path / "a", "waves", network, method="stylegan2", task="generate")
    with _drawing(workspace, style, generating(tmp_path / "b")) as seen:
        page = seen.page
        assert page.locator("#k1-1-any + label").is_visible()
        assert not page.locator("#truncation-2").is_visible()
        with page.expect_response(lambda answer: "model=waves" in answer.url and answer.ok):
            page.locator("label").filter(has_text="waves").click()
        assert page.locator("#truncation-2").is_visible()
        assert not page.locator("#k1-1-any + label").is_visible()
        with page.expect_response(lambda answer: "truncation=0.5" in answer.url and answer.ok):
            page.locator("#truncation-2").fill("50")
        page.locator("label[for=many-4]").click()
        _, sheet = _download(page, page.locator("#download:enabled"))
        images = list(Sampler.load(style)(range(4), truncation=0.5))
        expected = grid([images[:2], images[2:]], gap=4)
        assert ImageChops.difference(sheet.convert("RGB"), expected).getbbox() is None
        page.route("**/api/generate*", lambda route: route.abort())
        page.get_by_role("button", name="Next sheet").click()
        page.get_by_role("alert").wait_for()
        assert "does not answer" in page.get_by_role("alert").inner_text()
        assert page.locator("#download").is_disabled()


@needs_browser
def test_the_challenger_draws_the_same_seeds(workspace: Workspace, tmp_path: Path) -> None:
    champion, challenger = generating(tmp_path / "a"), generating(tmp_path / "b", gain=2.0)
    with _studio(workspace, shelf=Versions(workspace, champion, challenger)) as seen:
        page = seen.page
        page.get_by_role("link", name="Draw", exact=True).click()
        page.locator("label[for=many-4]").click()
        for folder, ticked, whose in ((challenger, True, "ink-challenger"), (champion, False, "ink")):
            page.locator("#compare").set_checked(ticked)
            page.locator("#sheet:not([aria-busy])").wait_for()
            assert ("the challenger" in page.locator("#caption").inner_text()) == ticked
            name, sheet = _download(page, page.locator("#download:enabled"))
            assert name == f"{whose}-seeds-0-3.png"
            images = list(Sampler.load(folder)(range(4)))
            expected = grid([images[:2], images[2:]], gap=4)
            assert ImageChops.difference(sheet.convert("RGB"), expected).getbbox() is None
        assert not seen.complaints


@needs_browser
@pytest.mark.parametrize("width", [400, 1280])
def test_no_part_of_the_sheet_is_cut_off(workspace: Workspace, tmp_path: Path, width: int) -> None:
    with _drawing(workspace, generating(tmp_path), width=width) as seen:
        page = seen.page
        assert not seen.is_too_wide()
        boxes = [page.locator(".study").nth(place).bounding_box() for place in (0, 3, 15)]
        assert boxes[0]["y"] == boxes[1]["y"]  # four in a row
        assert all(box["x"] >= 0 and box["x"] + box["width"] <= width for box in boxes)
        assert boxes[0]["width"] == pytest.approx(boxes[0]["height"], abs=1)
        page.locator(".study").first.click()
        for name in ("Download", "Close"):
            box = page.locator("dialog").get_by_role("button", name=name).bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
            assert box["y"] + box["height"] <= 900


def _distance(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, int) - np.asarray(other, int)).mean())


@needs_browser
def test_a_visit_by_keys_alone(workspace: Workspace) -> None:
    with _studio(workspace) as seen:
        page = seen.page
        page.keyboard.press("Tab")
        assert page.locator(":focus").inner_text() == "To the content"
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.dataset.title") == "Apples on a cloth":
                break
        page.keyboard.press("Enter")
        work = _hung(page)
        slider = work.locator("input")
        assert slider.evaluate("one => one === document.activeElement")
        assert work.locator(".slider").evaluate("one => getComputedStyle(one).outlineStyle") == "solid"
        for _ in range(5):
            page.keyboard.press("ArrowRight")
        assert slider.get_attribute("aria-valuetext") == "60 % photograph"
        assert work.locator(".slider").evaluate("one => one.style.getPropertyValue('--at')") == "60"
        reached = []
        for _ in range(12):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.id"))
        assert [
            one
            for one in ("model-1", "brush", "strength", "keep", "compare", "download", "another")
            if one not in reached
        ] == []
        assert not seen.complaints


@needs_browser
def test_the_slider_follows_the_pointer_and_both_move_as_one(workspace: Workspace) -> None:
    with _studio(workspace) as seen:
        page = seen.page
        page.get_by_role("button", name="A lake").click()
        _hung(page)
        page.locator("#compare").check()
        _hung(page, "challenger")
        box = page.locator("#champion .slider").bounding_box()
        assert box
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] / 2)
        page.mouse.up()
        values = [page.locator(f"#{place} input").input_value() for place in ("champion", "challenger")]
        assert values == ["20", "20"]


@needs_browser
@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_is_cut_off(workspace: Workspace, width: int) -> None:
    with _studio(workspace, width) as seen:
        page = seen.page
        assert not seen.is_too_wide()
        page.locator("#file").set_input_files(_file("tall.png", encoded(texture(2, 200, 500))))
        _hung(page)
        page.locator("#compare").check()
        _hung(page, "challenger")
        assert not seen.is_too_wide()
        boxes = [page.locator(f"#{place} .slider").bounding_box() for place in ("champion", "challenger")]
        for box in boxes:
            assert box["width"] / box["height"] == pytest.approx(0.4, rel=0.02)
        assert (boxes[0]["y"] == boxes[1]["y"]) == (width == 1280)  # side by side where there is room
        for path in ("styles", "styles/ink", "state", "docs"):
            page.goto(page.url.split("/", 3)[0] + "//" + page.url.split("/", 3)[2] + f"/{path}")
            assert not seen.is_too_wide(), path


@needs_browser
def test_a_file_that_is_dropped_is_painted_and_a_bad_one_is_told(workspace: Workspace) -> None:
    with _studio(workspace) as seen:
        page = seen.page
        _drop(page, "notes.txt", b"not a picture")
        page.get_by_role("alert").wait_for()
        assert "no picture that can be read" in page.get_by_role("alert").inner_text()
        assert page.locator("#drop").is_visible()
        _drop(page, "garden.jpg", encoded(texture(3, 120, 90), "JPEG"))
        _hung(page)
        assert not page.get_by_role("alert").is_visible()
        _drop(page, "cut.png", encoded(texture(4))[:200])
        page.get_by_role("alert").wait_for()
        assert "ends too early" in page.get_by_role("alert").inner_text()
        assert page.locator("#champion").is_visible()  # what was there stays


def _drop(page: Any, name: str, data: bytes) -> None:
    page.evaluate(
        """([name, text]) => {
            const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], name));
            document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
        }""",
        [name, base64.b64encode(data).decode()],
    )


@needs_browser
def test_a_server_that_is_busy_slow_or_gone_is_told_in_words(workspace: Workspace) -> None:
    easel = Easel()
    easel.go.set()
    with ExitStack() as browser:
        with _studio(workspace, shelf=shelf_with(easel), paint_seconds=8.0) as seen:
            page = seen.page
            page.get_by_role("button", name="A dahlia").click()
            _hung(page)  # so that what opens pictures has started, and only the painting can be slow
            easel.go.clear()
            page.locator("#brush").fill("2")
            page.locator("#champion.painting").wait_for()
            assert page.locator("#champion").get_attribute("aria-busy") == "true"
            page.get_by_role("alert").wait_for()
            assert "longer than 8 s to paint" in page.get_by_role("alert").inner_text()
            easel.go.set()
            page.locator("#keep").check()
            _hung(page)
            page.route("**/api/stylize*", lambda route: route.abort())
            page.locator("#keep").uncheck()
            page.get_by_role("alert").wait_for()
            assert "does not answer" in page.get_by_role("alert").inner_text()
        browser.close()


@needs_browser
def test_it_can_be_read_without_script_and_in_the_dark(workspace: Workspace) -> None:
    with served(Versions(workspace, "one"), extend=pages(workspace)) as client:
        with visit(str(client.base_url), script=False) as seen:
            assert "needs JavaScript" in seen.page.inner_text("noscript")
        with visit(f"{str(client.base_url).rstrip('/')}/styles", dark=True) as seen:
            assert seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 21, 19)"
