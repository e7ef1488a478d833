"""Thumbnails, palettes and histograms: what they show is what is there."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.params import load_params
from pipeline.quality import histograms, thumbnails
from pipeline.quality.palette import accents, palette
from pipeline.quality.thumbnails import REFUSED, SIDE, STORED, Thumbnail, Wanted
from tests.pipeline.pictures import ROOT, encoded, texture
from tests.pipeline.quality.stock import inline_params

INLINE = inline_params().ingest


def painted(*stripes: tuple[str, int]) -> Thumbnail:
    """Return a picture of vertical stripes, each of a colour and a width."""
    image = Image.new("RGB", (sum(width for _, width in stripes), 48))
    left = 0
    for colour, width in stripes:
        image.paste(colour, (left, 0, left + width, 48))
        left += width
    return Thumbnail(encoded(image, "JPEG", quality=98, subsampling=0), image.width, image.height)


def test_a_thumbnail_shows_the_part_that_is_used(tmp_path: Path) -> None:
    framed = Image.new("RGB", (900, 600), "white")
    framed.paste("navy", (300, 100, 800, 500))
    path = tmp_path / "framed.png"
    path.write_bytes(encoded(framed))
    boxes = {"whole": None, "part": (300, 100, 800, 500)}
    made = thumbnails.make({name: Wanted(path, box, STORED) for name, box in boxes.items()}, INLINE)
    assert (made["whole"].width, made["whole"].height) == (SIDE, 112)
    part = Image.open(io.BytesIO(made["part"].data))
    assert part.size == (made["part"].width, made["part"].height)
    assert np.abs(np.asarray(part)[2:-2, 2:-2].astype(int) - (0, 0, 128)).max() < 40
    assert made["part"].uri.startswith("data:image/jpeg;base64,")


def test_what_shows_nothing_is_left_out(tmp_path: Path) -> None:
    files = {"text": b"hello", "cut": encoded(texture(1))[:60], "good": encoded(texture(2)), "flat": b""}
    files["flat"] = encoded(Image.new("RGB", (50, 50), "red"))
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    wanted = {name: Wanted(tmp_path / name, None, REFUSED) for name in [*files, "absent"]}
    assert list(thumbnails.make(wanted, INLINE)) == ["good"]
    assert thumbnails.make({}, INLINE) == {}


def test_pictures_are_made_in_contained_workers_as_params_say(tmp_path: Path) -> None:
    ingest = load_params(ROOT / "params.yaml").ingest
    assert ingest.executor == "processes"
    (tmp_path / "good.png").write_bytes(encoded(texture(2)))
    (tmp_path / "bad.png").write_bytes(encoded(texture(2))[:99])
    wanted = {name: Wanted(tmp_path / f"{name}.png", None, STORED) for name in ("bad", "good")}
    assert thumbnails.make(wanted, ingest) == thumbnails.make(wanted, INLINE)


def test_a_palette_holds_the_colours_by_share_from_dark_to_light() -> None:
    found = palette([painted(("#101080", 60), ("#e0c020", 36)), painted(("#101080", 24), ("#f8f8f0", 72))])
    big = [swatch for swatch in found if swatch.share > 0.02]
    assert [round(swatch.share, 1) for swatch in big] == [0.4, 0.2, 0.4]
    for swatch, colour in zip(big, ["#101080", "#e0c020", "#f8f8f0"], strict=True):
        channels = [[int(text[at : at + 2], 16) for at in (1, 3, 5)] for text in (swatch.colour, colour)]
        assert np.abs(np.subtract(*channels)).max() < 12
    assert sum(swatch.share for swatch in found) == pytest.approx(1)


def test_a_palette_is_the_same_for_the_same_pictures_and_needs_few_colours() -> None:
    pictures = [painted(("red", 40), ("blue", 60)), painted(("green", 100))]
    assert palette(pictures) == palette(pictures)
    assert len(palette([painted(("#335577", 96))])) == 1
    assert palette([]) == []


def test_colours_are_real_pixels_and_no_mean_of_them() -> None:
    picture = painted(("#d02020", 40), ("#c03838", 16), ("#2030c0", 40))
    with Image.open(io.BytesIO(picture.data)) as image:
        real = {"#" + bytes(pixel).hex() for pixel in np.asarray(image.convert("RGB")).reshape(-1, 3)}
    found = palette([picture])
    assert {swatch.colour for swatch in (*found, *accents([picture]))} <= real


def test_accents_are_vivid_rare_colours_and_greys_have_none() -> None:
    dull, vivid = painted(("#6a6a60", 900), ("#f0d000", 36), ("#1040d0", 24)), painted(("#777770", 96))
    found = accents([dull, vivid, vivid])
    assert len(found) == 2
    assert all(0.005 <= swatch.share < 0.03 for swatch in found)
    assert accents([vivid]) == accents([]) == []
    assert accents([painted(("#6a6a60", 5000), ("#f0d000", 6))]) == []  # too little of it


def bars(svg: str) -> list[tuple[float, int]]:
    """Return the left edge and the count of each bar."""
    edges = [float(x) for x in re.findall(r'class="bar" x="([\d.]+)"', svg)]
    counts = [int(count) for count in re.findall(r'class="figure"[^>]*>(\d+)<', svg)]
    return list(zip(edges, counts, strict=True))


def test_a_histogram_counts_every_image_once_small_ones_left() -> None:
    values = [10, 70, 256, 300, 512, 4000, 100_000]
    drawn = bars(histograms.sides(values, 512))
    assert sum(count for _, count in drawn) == len(values)
    assert [edge for edge, _ in drawn] == sorted(edge for edge, _ in drawn)
    assert drawn[0] == (1.0, 2)  # what is below the scale stands in its first bin


def test_the_line_parts_those_that_are_large_enough() -> None:
    svg = histograms.sides([511, 512], 512)
    line = float(re.findall(r'class="mark" x1="([\d.]+)"', svg)[0])
    (below, _), (above, _) = bars(svg)
    assert below < line <= above + 1
    assert "512 px needed" in svg
    assert "1 have 512 px or more" in svg


def test_shapes_run_from_tall_to_wide() -> None:
    svg = histograms.aspects([0.1, 0.5, 1.0, 1.0, 2.0, 9.0])
    assert [count for _, count in bars(svg)] == [1, 1, 2, 1, 1]
    assert "2 tall, 2 nearly square, 2 wide" in svg


def test_a_single_bar_is_told_in_a_sentence() -> None:
    assert "All 2 images have a short side of 256 px; 512 px are needed." in histograms.sides([256, 256], 512)
    assert "All 2 images have about the same shape: nearly square." in histograms.aspects([1.0, 1.01])
    assert "<svg" not in histograms.sides([256], 512) + histograms.aspects([2.0])


def test_a_histogram_of_nothing_can_be_drawn() -> None:
    assert bars(histograms.sides([], 512)) == bars(histograms.aspects([])) == []
