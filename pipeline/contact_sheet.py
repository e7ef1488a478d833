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
_CROPS, _VIEWS = 8, 8  # at most shown of an image; of the held-out images
# px. A crop is shown as it is, or brush texture, which a person is to judge, would be lost: three of the usual size
# stand beside an original. The whole is as wide as a page in a common browser window, that it need not be reduced.
_CROP, _ORIGINAL, _LEAST, _INNER = 256, (384, 340), (214, 160), (860, 1198)
_MARGIN, _GAP, _GUTTER, _CAPTION, _BETWEEN, _HEADER, _LEGEND = 28, 10, 26, 52, 44, 138, 60
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
    rows = [(each, *_original(folder / each.file, each, crop), _crops(made[each.sha256], crop)) for each in shown]
    views = [_opened(made[each.sha256]) for each in held_out]
    data = _encoded(_draw(collection, rows, views, crop))
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


def _original(path: Path, entry: Entry, crop: int) -> tuple[Image.Image, tuple[int, int, int, int] | None]:
    """Return an image reduced to fit its place, and where on it the part lies that is used, if it is a part."""
    shown = min(crop, _CROP) / _CROP  # beside small crops, less of a giant
    width, height = (max(least, round(shown * most)) for least, most in zip(_LEAST, _ORIGINAL, strict=True))
    image, scale = images.preview(path, images.ACCEPTED, max(width, height))
    fit = min(1, width / image.width, height / image.height)
    size = (max(1, round(image.width * fit)), max(1, round(image.height * fit)))
    small = image.resize(size, Image.Resampling.LANCZOS)
    if entry.box is None:
        return small, None
    left, top, right, bottom = (round(edge * scale * fit) for edge in entry.box)
    return small, (left, top, right, bottom)


def _crops(strip: Path, crop: int) -> list[Image.Image]:
    """Return crops as they are shown: each as it is, unless it is larger than its place."""
    image = _opened(strip)
    tops = range(0, min(image.height, _CROPS * crop), crop)
    crops = [image.crop((0, top, crop, top + crop)) for top in tops]
    return [_fitted(each, _CROP) for each in crops] if crop > _CROP else crops


def _opened(path: Path) -> Image.Image:
    """Return an image that the prepare stage wrote."""
    with Image.open(path, formats=["PNG"]) as image:
        return image.convert("RGB")


def _draw(collection: str, rows: Sequence[_Row], views: Sequence[Image.Image], crop: int) -> Image.Image:
    slot = max(original.width for _, original, _, _ in rows)
    side = rows[0][3][0].width
    columns = min(max(len(crops) for *_, crops in rows), (_INNER[1] - slot - _GUTTER + _GAP) // (side + _GAP))
    inner = max(_INNER[0], slot + _GUTTER + columns * (side + _GAP) - _GAP)
    view = (inner + _GAP) // _VIEWS - _GAP
    heights = [_height(row) for row in rows]
    width = 2 * _MARGIN + inner
    height = _HEADER + sum(heights) + len(rows) * _BETWEEN + (_LEGEND + view + _MARGIN if views else 0)
    sheet = Image.new("RGB", (width, height), _WALL)
    draw = ImageDraw.Draw(sheet)
    what = "photograph" if collection == PHOTOS else "artwork"
    _write(draw, (_MARGIN, 26), collection, 40, _INK)
    line = f"Left, the {what} as it came. Right, some crops of it as training is given them, {_scale(crop)}."
    _write(draw, (_MARGIN, 84), line, 18, _FAINT)
    top = _HEADER
    for row, tall in zip(rows, heights, strict=True):
        _draw_row(sheet, draw, (top + tall, slot), (*row[:3], row[3][:columns]))
        top += tall + _BETWEEN
    if views:
        draw.line((_MARGIN, top, width - _MARGIN, top), "#dcd6cb")
        _write(draw, (_MARGIN, top + 20), "Held out: never trained on, to judge the model by.", 18, _FAINT)
        for place, image in enumerate(views):
            sheet.paste(_fitted(image, view), (_MARGIN + place * (view + _GAP), top + _LEGEND))
    return sheet


def _scale(crop: int) -> str:
    if crop <= _CROP:
        return f"pixel for pixel ({crop} px)"
    return f"reduced to {100 * _CROP / crop:.0f} % (from {crop} px)"


def _height(row: _Row) -> int:
    """Return a row's height, px: of original or crops, the caption above whichever is lower."""
    original, side = row[1].height, row[3][0].height
    return max(side, original + _CAPTION) if original <= side else max(original, side + _CAPTION)


def _draw_row(sheet: Image.Image, draw: ImageDraw.ImageDraw, place: tuple[int, int], row: _Row) -> None:
    """Draw an original and its crops, and its caption above the lower of the two.

    place is the row's bottom, on which all stand, and the width of the widest original.
    """
    entry, original, box, crops = row
    bottom, slot = place
    at = (_MARGIN, bottom - original.height)
    sheet.paste(_veiled(original, box) if box else original, at)
    used = f"{entry.width} x {entry.height} px"
    if box:
        outline = (at[0] + box[0], at[1] + box[1], at[0] + box[2] - 1, at[1] + box[3] - 1)
        draw.rectangle(outline, outline=_ACCENT, width=2)
        used += " within its border"
    left, side = _MARGIN + slot + _GUTTER, crops[0].width
    above = _MARGIN if original.height <= side else left
    line = bottom - _CAPTION - min(original.height, side)
    _write(draw, (above, line - 2), _caption(entry), 17, _INK)
    _write(draw, (above, line + 21), used, 15, _FAINT)
    for number, crop in enumerate(crops):
        sheet.paste(crop, (left + number * (side + _GAP), bottom - side))


def _veiled(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """Return the image with what lies outside of `box` faded."""
    faded = Image.blend(image, Image.new("RGB", image.size, _WALL), 0.6)
    faded.paste(image.crop(box), box[:2])
    return faded


def _fitted(image: Image.Image, side: int) -> Image.Image:
    """Return a square image in another size."""
    if image.size == (side, side):
        return image
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
    for quality in (90, 84, 76, 66, 54, 40, 25, 10):
        stream = io.BytesIO()
        sheet.save(stream, "JPEG", quality=quality, optimize=True)
        if stream.tell() <= MAX_BYTES:
            break
    return stream.getvalue()
