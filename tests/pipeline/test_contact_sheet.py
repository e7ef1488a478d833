"""The contact sheet: the same bytes for the same content, light, bounded in cost, and saying what it shows."""

from __future__ import annotations

import dataclasses
import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline import contact_sheet, images
from pipeline.contact_sheet import MAX_BYTES, ROWS
from pipeline.files import sha256_bytes
from pipeline.manifest import Entry
from tests.pipeline.pictures import encoded, texture

CROP = 32


@dataclasses.dataclass
class Studio:
    """A collection's folder, its entries, and stand-ins for what the prepare stage made of them."""

    folder: Path
    entries: list[Entry]
    made: dict[str, Path]
    cache: Path

    def sheet(self, name: str = "monet") -> bytes:
        return contact_sheet.render(name, self.folder, self.entries, self.made, CROP, self.cache)

    def rows(self, entries: list[Entry], crop: int) -> list[contact_sheet._Row]:
        return [
            (
                each,
                *contact_sheet._original(self.folder / each.file, each, crop),
                contact_sheet._crops(self.made[each.sha256], crop),
            )
            for each in entries
        ]

    def add(self, seed: int, split: str = "train", **changes: Any) -> Entry:
        picture = changes.pop("picture", None) or texture(seed, 120, 90)
        data = encoded(picture)
        sha256 = sha256_bytes(data)
        (self.folder / f"{sha256}.png").write_bytes(data)
        strip = Image.new("RGB", (CROP, 3 * CROP if split == "train" else CROP), (seed % 256, 90, 90))
        self.made[sha256] = self.folder / f"made-{sha256}.png"
        self.made[sha256].write_bytes(encoded(strip))
        entry = Entry(
            sha256=sha256, name=f"{seed}.png", source="s", width=picture.width, height=picture.height,
            bytes=len(data), format="png", phash="0" * 16, group=sha256, split="train", flags=(), added="",
        )  # fmt: skip
        entry = dataclasses.replace(entry, split=split, **changes)
        self.entries.append(entry)
        return entry


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    studio = Studio(tmp_path / "data", [], {}, tmp_path / "cache")
    studio.folder.mkdir()
    for seed in range(12):
        studio.add(seed)
    for seed in range(20, 23):
        studio.add(seed, "test")
    return studio


def opened(data: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_the_same_content_gives_the_same_bytes(studio: Studio) -> None:
    first = studio.sheet()
    shutil.rmtree(studio.cache)
    studio.entries.reverse()
    assert studio.sheet() == first
    assert Image.open(io.BytesIO(first)).format == "JPEG"


def test_what_is_remembered_is_not_drawn_again(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    first = studio.sheet()
    monkeypatch.setattr(images, "preview", lambda *_: pytest.fail("an original was decoded again"))
    assert studio.sheet() == first


def test_a_large_collection_costs_what_a_small_one_does(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    preview = images.preview

    def counting(*given: Any) -> Any:
        decoded.append(given)
        return preview(*given)

    monkeypatch.setattr(images, "preview", counting)
    some = studio.entries[0]
    for number in range(2000):  # files that are not there: looking at one would fail
        sha256 = f"f{number:063x}"
        studio.entries.append(dataclasses.replace(some, sha256=sha256, group=sha256))
        studio.made[sha256] = studio.folder / "none.png"
    studio.sheet()
    assert len(decoded) == ROWS


def test_it_is_light_whatever_it_shows(studio: Studio) -> None:
    for seed in range(8):
        noise = np.random.default_rng(seed).integers(0, 256, (300, 400, 3), dtype=np.uint8)
        entry = studio.add(seed + 100, picture=Image.fromarray(noise))
        strip = np.random.default_rng(seed).integers(0, 256, (6 * CROP, CROP, 3), dtype=np.uint8)
        studio.made[entry.sha256].write_bytes(
            encoded(Image.fromarray(strip).resize((256, 1536), Image.Resampling.NEAREST))
        )
    studio.entries = studio.entries[-8:]
    sheet = contact_sheet.render("noise", studio.folder, studio.entries, studio.made, 256, studio.cache)
    assert len(sheet) <= MAX_BYTES


def test_a_new_image_changes_at_most_its_own_row(studio: Studio) -> None:
    shown = {entry.sha256 for entry in contact_sheet._first(studio.entries, "train", ROWS)}
    studio.add(300)
    assert len(shown - {entry.sha256 for entry in contact_sheet._first(studio.entries, "train", ROWS)}) <= 1


def test_near_duplicates_share_a_row_and_excluded_images_have_none(studio: Studio) -> None:
    chosen = contact_sheet._first(studio.entries, "train", 3)
    twin = dataclasses.replace(chosen[1], group=chosen[0].group)
    studio.entries = [twin if entry == chosen[1] else entry for entry in studio.entries]
    studio.entries = [
        dataclasses.replace(entry, split="excluded") if entry == chosen[2] else entry for entry in studio.entries
    ]
    now = contact_sheet._first(studio.entries, "train", 3)
    assert chosen[0] in now
    assert not {chosen[1].sha256, chosen[2].sha256} & {entry.sha256 for entry in now}


def test_crops_are_shown_pixel_for_pixel_and_originals_larger(studio: Studio) -> None:
    entry = studio.add(99, picture=texture(99, 900, 800))
    strip = np.random.default_rng(1).integers(0, 8, (8, 256, 256, 1), dtype=np.uint8).repeat(3, -1) * 36
    studio.made[entry.sha256].write_bytes(encoded(Image.fromarray(strip.reshape(-1, 256, 3))))
    rows = studio.rows([entry], 256)
    original, sheet = rows[0][1], contact_sheet._draw("monet", rows, [], 256)
    page = np.asarray(sheet)
    height = contact_sheet._ORIGINAL[1]
    assert (
        sheet.width - 2 * contact_sheet._MARGIN
        == original.width + contact_sheet._GUTTER + 3 * 256 + 2 * contact_sheet._GAP
    )
    assert original.height == 340
    bottom = contact_sheet._HEADER + height
    for number in range(3):
        left = contact_sheet._MARGIN + original.width + contact_sheet._GUTTER + number * (256 + contact_sheet._GAP)
        assert (page[bottom - 256 : bottom, left : left + 256] == strip[number]).all()


def test_larger_crops_are_reduced_and_the_scale_is_told(studio: Studio) -> None:
    entry = studio.add(99)
    studio.made[entry.sha256].write_bytes(encoded(texture(1, 512, 4096)))
    ((*_, crops),) = studio.rows([entry], 512)
    assert {crop.size for crop in crops} == {(256, 256)}
    assert contact_sheet._scale(512) == "reduced to 50 % (from 512 px)"
    assert contact_sheet._scale(256) == "pixel for pixel (256 px)"


@pytest.mark.parametrize("size", [(900, 800), (256, 256), (300, 3000), (3000, 300), (60, 50)])
@pytest.mark.parametrize("crop", [32, 128, 256, 512])
def test_no_row_is_empty_at_its_top_and_nothing_meets(studio: Studio, size: tuple[int, int], crop: int) -> None:
    entry = studio.add(99, picture=texture(99, *size))
    studio.made[entry.sha256].write_bytes(encoded(texture(1, crop, 8 * crop)))
    rows = studio.rows([entry], crop)
    page = np.asarray(contact_sheet._draw("monet", rows, [], crop)).astype(int)
    used = np.abs(page - page[0, 0]).max(axis=2) > 8
    top = contact_sheet._HEADER
    assert used[top : top + 20].any()
    assert not used[:, : contact_sheet._MARGIN].any()
    assert not used[:, -contact_sheet._MARGIN :].any()
    gutter = contact_sheet._MARGIN + rows[0][1].width
    if rows[0][1].width > 200:  # else a caption is wider than what it stands above
        assert not used[top:, gutter : gutter + contact_sheet._GUTTER].any()


def test_the_used_part_of_a_framed_original_is_outlined_and_the_rest_faded(studio: Studio) -> None:
    black = Image.new("RGB", (200, 160))
    black.putpixel((100, 80), (255, 255, 255))  # not empty
    entry = studio.add(7, picture=black, box=(50, 40, 150, 120), width=100, height=80)
    studio.entries = [entry]
    page = opened(studio.sheet()).astype(int)
    top, left = contact_sheet._HEADER, contact_sheet._MARGIN
    row = page[top + 80, left : left + 200]  # through the middle of the original, shown as large as it is
    assert row[20].min() > 100  # faded
    assert np.abs(row[51] - (140, 59, 31)).max() < 60  # the outline
    assert row[75].max() < 40  # what is used stays as it was


@pytest.mark.parametrize(
    ("name", "caption"),
    [
        ("Café at Night.jpg", "Cafe at Night.jpg"),
        ("睡蓮.jpg", "<hash>"),
        ("\udcff\udcfe.jpg", "<hash>"),
        ("two\nlines.jpg", "twolines.jpg"),
        ("a-very-long-name-of-a-painting-by-monet-1899.jpg", "a-very-long-n...net-1899.jpg"),
        ("", "<hash>"),
    ],
)
def test_a_caption_can_be_drawn_with_the_font_that_is_always_there(studio: Studio, name: str, caption: str) -> None:
    entry = dataclasses.replace(studio.entries[0], name=name)
    assert contact_sheet._caption(entry).replace(entry.sha256[:12], "<hash>") == caption
    studio.entries = [entry]
    assert studio.sheet()


def test_only_the_sheet_of_now_is_kept_of_a_collection(studio: Studio) -> None:
    studio.sheet()
    studio.sheet("monet-late")
    studio.entries = studio.entries[1:6]
    studio.sheet()
    assert sorted(path.name[:-69] for path in studio.cache.iterdir()) == ["monet", "monet-late"]


def test_a_preview_is_small_upright_and_tells_its_scale() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    picture = texture(3, 1600, 1200)
    preview, scale = images.preview(encoded(picture, "JPEG", exif=exif, quality=95), images.ACCEPTED, 100)
    assert preview.size == (75, 100)
    assert scale == pytest.approx(1 / 16)
    expected = picture.rotate(-90, expand=True).resize(preview.size, Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(preview).astype(int) - np.asarray(expected)).mean() < 2
    small, scale = images.preview(encoded(texture(4, 60, 50)), images.ACCEPTED, 100)
    assert (small.size, scale) == ((60, 50), 1)
