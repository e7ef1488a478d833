"""The page in a real browser: a whole visit by keys, by clicks, by Tab; nothing on the console; nothing cut off."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pipeline.vote.ballots import read, standing
from pipeline.vote.booth import Booth
from tests.browser import needs_browser, visit
from tests.pipeline.vote.studio import OURS, THEIRS, exhibits, served


@pytest.fixture
def booth(tmp_path: Path) -> Booth:
    return Booth(exhibits(tmp_path / "pictures", 4, 300, 200), tmp_path / "votes" / "pair.jsonl")


@pytest.fixture
def page(booth: Booth) -> Iterator[Any]:
    """The page, opened; it must leave nothing on the console and ask for nothing from elsewhere."""
    with served(booth) as address, visit(address, height=800) as seen:
        seen.page.locator("#welcome").wait_for()
        yield seen.page
    assert not seen.complaints
    assert not seen.asked


def _at(page: Any, number: int) -> None:
    page.locator("#count", has_text=f"{number} of 4").wait_for()


def _choices(booth: Booth) -> list[str]:
    return [one.choice for one in standing(read(booth.file).ballots)]


@needs_browser
def test_a_whole_visit_by_keys(page: Any, booth: Booth) -> None:
    page.keyboard.type("Ana")  # the field has the focus
    page.keyboard.press("Enter")
    for number, key in enumerate(("ArrowLeft", "ArrowRight", "ArrowDown", "Space"), 1):
        _at(page, number)
        page.keyboard.press(key)
    page.locator("#thanks").wait_for()
    assert "Thank you, Ana." in page.inner_text("#thanks")
    assert "4 pairs" in page.inner_text("#thanks")
    assert _choices(booth) == ["left", "right", "neither", "neither"]
    assert {one.voter for one in read(booth.file).ballots} == {"Ana"}
    page.keyboard.press("Backspace")
    _at(page, 4)
    page.keyboard.press("ArrowLeft")
    page.locator("#thanks").wait_for()
    assert _choices(booth) == ["left", "right", "neither", "left"]
    page.reload()
    page.locator("#thanks").wait_for()
    page.get_by_role("button", name="Another painter").click()
    page.locator("#welcome").wait_for()
    page.reload()
    assert page.input_value("#voter") == "Ana"  # kept for the next time


@needs_browser
def test_clicks_taps_and_undo(page: Any, booth: Booth) -> None:
    page.get_by_role("button", name="Begin").click()
    _at(page, 1)
    assert not page.get_by_role("button", name="Undo").is_visible()
    page.locator("#right img").click()
    _at(page, 2)
    page.get_by_role("button", name="Neither").click()
    _at(page, 3)
    page.keyboard.press("Space")  # must not press again the button that was clicked last, but mean neither
    _at(page, 4)
    page.get_by_role("button", name="Undo").click()
    _at(page, 3)
    page.reload()
    _at(page, 3)
    page.locator("#left img").click()
    _at(page, 4)
    assert _choices(booth) == ["right", "neither", "left"]


@needs_browser
def test_tab_reaches_everything_and_shows_where_it_is(page: Any, booth: Booth) -> None:
    page.keyboard.press("Enter")
    _at(page, 1)
    page.keyboard.press("Tab")
    focused = page.locator(":focus")
    assert focused.get_attribute("id") == "left"
    assert focused.evaluate("one => getComputedStyle(one).outlineStyle") == "solid"
    page.keyboard.press("Tab")
    page.keyboard.press("Space")  # on a button it presses the button
    _at(page, 2)
    assert page.locator(":focus").get_attribute("id") == "right"  # the place is kept
    assert _choices(booth) == ["right"]
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    _at(page, 3)
    assert _choices(booth) == ["right", "neither"]


@needs_browser
def test_a_key_held_down_votes_once(page: Any, booth: Booth) -> None:
    page.keyboard.press("Enter")
    _at(page, 1)
    page.keyboard.down("ArrowLeft")
    for _ in range(3):
        _at(page, 2)
        page.keyboard.down("ArrowLeft")  # repeats
    assert _choices(booth) == ["left"]


@needs_browser
@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("shape", [(300, 200), (200, 400), (768, 240)])
@needs_browser
def test_both_paintings_and_every_button_are_in_sight(tmp_path: Path, width: int, shape: tuple[int, int]) -> None:
    shown = Booth(exhibits(tmp_path, 2, *shape), tmp_path / "votes.jsonl")
    with served(shown) as address, visit(address, width=width, height=800) as seen:
        page = seen.page
        page.keyboard.press("Enter")
        page.locator("#count", has_text="1 of 2").wait_for()
        page.keyboard.press("ArrowDown")
        page.locator("#count", has_text="2 of 2").wait_for()
        names = {name: f"#{name}" for name in ("left", "right", "neither", "photograph")} | {"undo": "#vote .undo"}
        boxes: dict[str, Any] = {name: page.locator(place).bounding_box() for name, place in names.items()}
        for name, box in boxes.items():
            assert box["x"] >= 0, name
            assert box["x"] + box["width"] <= width, name
            assert box["y"] + box["height"] <= 800, name
        left, right = (page.locator(f"#{name} img").bounding_box() for name in ("left", "right"))
        assert left
        assert right
        assert (left["width"], left["height"]) == (right["width"], right["height"])
        assert left["width"] / left["height"] == pytest.approx(shape[0] / shape[1], rel=0.02)
        assert (left["x"] == right["x"]) == (width == 400)  # stacked where it is narrow


@needs_browser
def test_the_page_as_a_person_sees_it_tells_nothing(page: Any, booth: Booth) -> None:
    page.keyboard.press("Enter")
    _at(page, 1)
    alts = [page.locator(f"#{side} img").get_attribute("alt") for side in ("left", "right")]
    assert alts[0] == alts[1] == "A painting of the photograph"
    source = page.content()
    assert not [word for word in (OURS, THEIRS, booth.shown[0].photograph) if word in source]
    shapes = [
        re.sub(r"[A-Za-z0-9_-]{22}", "ID", page.locator(f"#{side} img").get_attribute("src"))
        for side in ("left", "right")
    ]
    assert shapes == ["/pictures/ID", "/pictures/ID"]


@needs_browser
def test_a_server_that_was_stopped_is_told(booth: Booth) -> None:
    with ExitStack() as browser:
        with served(booth) as address:
            page = browser.enter_context(visit(address)).page
            page.keyboard.press("Enter")
            _at(page, 1)
        page.keyboard.press("ArrowLeft")
        page.get_by_role("alert").wait_for()
        assert "Every vote cast until then is kept" in page.get_by_role("alert").inner_text()
