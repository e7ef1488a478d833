"""The page: everything in one file, whatever names files have, at a bounded cost, and right in a real browser."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.intake.copies import Copy, record_copies
from pipeline.manifest import write_manifest
from pipeline.quality import page, thumbnails
from pipeline.quality.facts import gather
from pipeline.quality.page import MOST_PICTURES
from pipeline.workspace import Workspace
from tests.browser import needs_browser, visit
from tests.outline import Outline
from tests.pipeline.pictures import encoded, make_workspace, texture
from tests.pipeline.quality.stock import HOSTILE, entry, inline_params, picture, refuse, store

PARAMS = inline_params()


def render(workspace: Workspace, collection: str = "monet") -> str:
    return page.render(workspace, gather(workspace, collection, PARAMS), PARAMS)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A style with everything that the page may have to show."""
    workspace = make_workspace(tmp_path / "ws")
    entries = [picture(workspace, number) for number in range(1, 12)]
    entries[0] = replace(entries[0], name=HOSTILE, source=HOSTILE, flags=("greyscale", "a_new_flag"))
    entries[1] = replace(entries[1], group=entries[0].group, split=entries[0].split)
    entries[2] = replace(entries[2], box=(10, 10, 90, 80), width=80, height=70, flags=("border",))
    write_manifest(workspace.collection("monet"), entries)
    store(workspace, "manet", [replace(entries[4], name=HOSTILE)])
    record_copies(workspace, "monet", [Copy(entries[3].sha256, HOSTILE, HOSTILE, "2026-01-01")])
    refuse(workspace, 1, "truncated", b"\x89PNG broken", HOSTILE)
    refuse(workspace, 2, "too_small", encoded(texture(99, 20, 18)))
    refuse(workspace, 3, "a_new_reason")
    workspace.sheet("monet").parent.mkdir(parents=True)
    workspace.sheet("monet").write_bytes(encoded(texture(5), "JPEG"))
    return workspace


def test_the_page_is_whole_and_holds_everything_it_shows(workspace: Workspace) -> None:
    text = render(workspace)
    outline = Outline(text)
    assert outline.open == []
    assert len(outline.all("img")) > 12
    assert all(str(image["src"]).startswith("data:image/jpeg;base64,") for image in outline.all("img"))
    assert all("alt" in image for image in outline.all("img"))
    assert not [tag for tag in ("link", "script", "iframe", "object", "form") if outline.all(tag)]
    assert not re.search(r"https?://|url\(|@import", re.sub(r'"data:[^"]*"', "", text))
    ids = {attributes["id"] for _, attributes in outline.found if "id" in attributes}
    assert all(str(link["href"])[1:] in ids for link in outline.all("a"))
    assert "prefers-color-scheme: dark" in text


def test_names_of_files_are_shown_and_never_obeyed(workspace: Workspace) -> None:
    path = page.write(workspace, gather(workspace, "monet", PARAMS), PARAMS)
    assert path == workspace.quality("monet")
    text = path.read_text("utf-8")  # whatever the names, the file is UTF-8
    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;\\n\\udcff.png") >= 5
    assert "\udcff" not in text


def test_every_part_is_there(workspace: Workspace) -> None:
    text = render(workspace)
    for words in (
        "11 images",
        "What would raise it most",
        "From 10 to 50 artworks",
        "NeurIPS 2020",
        "Short sides of 11 images",
        "2 alike",
        "The same file",
        "Exact copies",
        "Without colour.",
        "a_new_flag",
        "1 × truncated",
        "1 × a_new_reason",
        "because 3",
        'class="sheet"',
    ):
        assert words in text, words
    sheet = base64.b64encode(workspace.sheet("monet").read_bytes()).decode()
    assert sheet in text


def test_figures_that_are_0_share_a_line(workspace: Workspace) -> None:
    text = render(workspace)
    assert "<dt>files refused</dt><dd>3</dd>" in text
    assert "<dd>0</dd>" not in text
    assert "None: excluded." in text


def test_without_a_contact_sheet_it_is_told_how_to_make_one(workspace: Workspace) -> None:
    workspace.sheet("monet").unlink()
    assert "dvc repro prepare@monet" in render(workspace)
    store(workspace, "photos", [entry(n) for n in range(30)])
    assert "dvc repro prepare_photos" in render(workspace, "photos")


def test_nothing_but_refusals_can_be_shown(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws")
    refuse(workspace, 1, "not_image")
    text = render(workspace)
    assert Outline(text).open == []
    assert "Training would refuse it" in text
    assert 'id="palette"' not in text


def test_images_that_are_not_there_cost_their_pictures(workspace: Workspace) -> None:
    for path in workspace.collection("monet").glob("*.png"):
        path.unlink()
    assert Outline(render(workspace)).open == []


Wanted = dict[str, thumbnails.Wanted]


@pytest.fixture
def wanted(monkeypatch: pytest.MonkeyPatch) -> Wanted:
    """Return what pictures are made of, as a page asks for them."""
    seen: Wanted = {}
    make: Callable[..., Any] = thumbnails.make

    def watching(each: Wanted, ingest: object) -> Any:
        seen.update(each)
        return make(each, ingest)

    monkeypatch.setattr(thumbnails, "make", watching)
    return seen


def test_files_that_were_refused_as_broken_are_not_opened(workspace: Workspace, wanted: Wanted) -> None:
    render(workspace)
    opened = [each for each in wanted.values() if each.path.is_relative_to(workspace.quarantine("monet"))]
    assert [Image.open(each.path).size for each in opened] == [(20, 18)]
    assert opened[0].limits.max_pixels <= 50_000_000


def test_a_huge_collection_opens_no_more_files_than_it_says(tmp_path: Path, wanted: Wanted) -> None:
    workspace = make_workspace(tmp_path / "ws")
    entries = [entry(number, group=entry(number // 20).group) for number in range(4000)]
    store(workspace, "monet", entries)
    for style in ("manet", "morisot"):
        store(workspace, style, [replace(each, name="x") for each in entries[:500]])
    folder = workspace.quarantine("monet")
    folder.mkdir(parents=True)
    for number, reason in enumerate(["too_small", "extreme_aspect", "removed", "not_image"] * 10):
        refuse(workspace, number, reason, b"%d" % number)
    text = render(workspace)
    assert len(wanted) <= MOST_PICTURES <= 150
    assert len(text) < 300_000


def test_the_heaviest_page_stays_light(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8))
    data = thumbnails._encoded(noise.resize((thumbnails.SIDE, thumbnails.SIDE)))
    assert len(data) <= thumbnails.MAX_BYTES
    assert (MOST_PICTURES * thumbnails.MAX_BYTES + 480_000) * 4 / 3 + 100_000 < 3_000_000


@needs_browser
@pytest.mark.parametrize(("width", "dark"), [(400, False), (400, True), (1280, False)])
def test_in_a_real_browser_it_fits_complains_of_nothing_and_asks_nobody(
    workspace: Workspace, tmp_path: Path, width: int, dark: bool
) -> None:
    (tmp_path / "page.html").write_text(render(workspace), "utf-8")
    with visit((tmp_path / "page.html").as_uri(), width, dark) as seen:
        assert seen.page.locator("img").count() > 12
        assert seen.broken_images() == []
        assert not seen.is_too_wide()
        assert seen.complaints == seen.asked == []


@needs_browser
def test_the_test_above_sees_what_it_looks_for(tmp_path: Path) -> None:
    body = '<img alt="a" src="http://pictures.invalid/a.png"><pre>' + "w" * 400 + "</pre><script>nowhere()</script>"
    (tmp_path / "page.html").write_text(f"<!doctype html><body>{body}")
    with visit((tmp_path / "page.html").as_uri(), 400) as seen:
        assert seen.broken_images() == ["a"]
        assert seen.is_too_wide()
        assert seen.asked == ["http://pictures.invalid/a.png"]
        assert any("nowhere" in complaint for complaint in seen.complaints)
