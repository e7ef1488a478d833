"""A collection's contact sheet: a few originals, each beside crops as training is given them, on one page.

Which images it shows is decided by their hashes, so nobody picked them and a growing collection changes little of it;
its cost is that of those few images, whatever the collection's size.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from pipeline import images
from pipeline.files import digest_json, sha256_file, write_atomic
from pipeline.manifest import Entry
from pipeline.workspace import PHOTOS

ROWS = 8
MAX_BYTES = 480_000  # a page that holds the sheet must stay light
_CROPS, _VIEWS = 6, 8  # shown of an image; of the held-out images
# px
_CROP, _ORIGINAL, _VIEW = 160, (214, 160), 148
_MARGIN, _GAP, _GUTTER, _CAPTION, _HEADER, _LEGEND = 56, 10, 28, 72, 150, 68
_WALL, _INK, _FAINT, _ACCENT = "#f5f2ec", "#23211e", "#716b62", "#8c3b1f"
_NAME = 29  # letters of a file name


def render(
    collection: str,
    folder: Path,
    entries: Sequence[Entry],
    made: Mapping[str, Path],
    crop: int,
    cache: Path,
) -> bytes:
    """Return the sheet as JPEG, of at most MAX_BYTES: the same bytes for the same images, crops and code.

    Args:
        collection: its name.
        folder: holds its images.
        entries: its images in use, at least one to train on.
        made: sha256 -> what the prepare stage made of it: a vertical strip of crops, or a view. A file's name
            must tell one content from another.
        crop: side of a crop in the strips, px.
        cache: folder where sheets are remembered; only the one of now is kept for each collection.
    """
    shown = _first(entries, "train", ROWS)
    held_out = _first(entries, "test", _VIEWS)
    content = [[made[each.sha256].name, each.name, each.width, each.height] for each in (*shown, *held_out)]
    known = cache / f"{collection}-{digest_json([sha256_file(Path(__file__)), collection, crop, content])}.jpg"
    if known.is_file():
        return known.read_bytes()
    rows = [(each, *_original(folder / each.file, each), _crops(made[each.sha256], crop)) for each in shown]
    views = [_opened(made[each.sha256]) for each in held_out]
    data = _encoded(_draw(collection, rows, views))
    for old in cache.glob(f"{collection}-{'?' * 64}.jpg"):
        old.unlink()
    write_atomic(known, data)
    return data


_Row = tuple[Entry, Image.Image, tuple[int, int, int, int] | None, list[Image.Image]]


def _first(entries: Sequence[Entry], split: str, count: int) -> list[Entry]:
    """Return the images of a split with the smallest hashes, one of each group of near duplicates."""
    chosen: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda entry: entry.sha256):
        if entry.split == split:
            chosen.setdefault(entry.group, entry)
    return list(chosen.values())[:count]


def _original(path: Path, entry: Entry) -> tuple[Image.Image, tuple[int, int, int, int] | None]:
    """Return an image reduced to fit its place, and where on it the part lies that is used, if it is a part."""
    image, scale = images.preview(path, images.ACCEPTED, max(_ORIGINAL))
    fit = min(1, _ORIGINAL[0] / image.width, _ORIGINAL[1] / image.height)
    size = (max(1, round(image.width * fit)), max(1, round(image.height * fit)))
    small = image.resize(size, Image.Resampling.LANCZOS)
    if entry.box is None:
        return small, None
    left, top, right, bottom = (round(edge * scale * fit) for edge in entry.box)
    return small, (left, top, right, bottom)


def _crops(strip: Path, crop: int) -> list[Image.Image]:
    image = _opened(strip)
    tops = range(0, min(image.height, _CROPS * crop), crop)
    return [image.crop((0, top, crop, top + crop)) for top in tops]


def _opened(path: Path) -> Image.Image:
    """Return an image that the prepare stage wrote."""
    with Image.open(path, formats=["PNG"]) as image:
        return image.convert("RGB")


def _draw(collection: str, rows: Sequence[_Row], views: Sequence[Image.Image]) -> Image.Image:
    columns = max(len(crops) for *_, crops in rows)
    inner = max(_ORIGINAL[0] + _GUTTER + columns * (_CROP + _GAP), _VIEWS * (_VIEW + _GAP)) - _GAP
    width = 2 * _MARGIN + inner
    height = _HEADER + len(rows) * (_CROP + _CAPTION) + (_LEGEND + _VIEW + _MARGIN if views else 0)
    sheet = Image.new("RGB", (width, height), _WALL)
    draw = ImageDraw.Draw(sheet)
    what = "photograph" if collection == PHOTOS else "artwork"
    _write(draw, (_MARGIN, 44), collection, 40, _INK)
    line = f"Left, the {what} as it came. Right, crops of it as training is given them."
    _write(draw, (_MARGIN, 100), line, 18, _FAINT)
    top = _HEADER
    for row in rows:
        _draw_row(sheet, draw, top, row)
        top += _CROP + _CAPTION
    if views:
        draw.line((_MARGIN, top, width - _MARGIN, top), "#dcd6cb")
        _write(draw, (_MARGIN, top + 26), "Held out: never trained on, to judge the model by.", 18, _FAINT)
        for place, view in enumerate(views):
            sheet.paste(_fitted(view, _VIEW), (_MARGIN + place * (_VIEW + _GAP), top + _LEGEND))
    return sheet


def _draw_row(sheet: Image.Image, draw: ImageDraw.ImageDraw, top: int, row: _Row) -> None:
    entry, original, box, crops = row
    at = (_MARGIN, top + (_CROP - original.height) // 2)
    sheet.paste(_veiled(original, box) if box else original, at)
    used = f"{entry.width} x {entry.height} px"
    if box:
        outline = (at[0] + box[0], at[1] + box[1], at[0] + box[2] - 1, at[1] + box[3] - 1)
        draw.rectangle(outline, outline=_ACCENT, width=2)
        used += " within its border"
    _write(draw, (_MARGIN, top + _CROP + 7), _caption(entry), 15, _INK)
    _write(draw, (_MARGIN, top + _CROP + 27), used, 14, _FAINT)
    for place, crop in enumerate(crops):
        left = _MARGIN + _ORIGINAL[0] + _GUTTER + place * (_CROP + _GAP)
        sheet.paste(_fitted(crop, _CROP), (left, top))


def _veiled(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """Return the image with what lies outside of `box` faded."""
    faded = Image.blend(image, Image.new("RGB", image.size, _WALL), 0.6)
    faded.paste(image.crop(box), box[:2])
    return faded


def _fitted(image: Image.Image, side: int) -> Image.Image:
    """Return a square image in another size."""
    kind = Image.Resampling.LANCZOS if image.width > side else Image.Resampling.BICUBIC
    return image.resize((side, side), kind)


def _caption(entry: Entry) -> str:
    """Return the image's file name, shortened in its middle; the start of its hash where little can be drawn of it.

    The font that comes with Pillow, which alone is the same everywhere, has no letters but ASCII's.
    """
    plain = unicodedata.normalize("NFKD", entry.name).encode("ascii", "ignore").decode()
    drawn = "".join(letter for letter in plain if letter.isprintable())
    if 4 * len(drawn) < 3 * len(entry.name) or not drawn:
        return entry.sha256[:12]
    return drawn if len(drawn) <= _NAME else f"{drawn[: _NAME // 2 - 1]}...{drawn[2 - _NAME // 2 :]}"


def _write(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, colour: str) -> None:
    draw.text(at, text, fill=colour, font=ImageFont.load_default(size))


def _encoded(sheet: Image.Image) -> bytes:
    """Return the JPEG of the highest quality that is not too large."""
    for quality in (86, 78, 68, 56, 42, 25):
        stream = io.BytesIO()
        sheet.save(stream, "JPEG", quality=quality, optimize=True)
        if stream.tell() <= MAX_BYTES:
            break
    return stream.getvalue()
