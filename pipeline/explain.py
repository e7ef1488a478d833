"""`atelier explain`: what a recipe's discriminator makes of any picture, as a sheet with a legend and a sentence."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.discriminators import chosen, of_training
from pipeline.files import write_atomic
from pipeline.heat_map import HeatMap, heat_map, limit_of, overlay
from pipeline.images import Limits, decode
from pipeline.recipes import load_book, recipe_params
from pipeline.workspace import Workspace

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_GAP = 12
_LEAST, _MOST = 320, 1024  # px of a picture's long side on the sheet
_SCALE = 16  # px: height of the colour scale
_FONT = 14
_REALS = {"painting": "painted by hand", "photograph": "a photograph"}


def explain(workspace: Workspace, recipe: str, given: Path, out: Path, limits: Limits, network: str) -> str:
    """Write the picture beside what a discriminator makes of it, and return that in a sentence.

    Args:
        workspace: where the recipe was trained.
        recipe: its name.
        given: the picture, of any size.
        out: a picture's name: the sheet.
        limits: what is safe to decode.
        network: which discriminator.

    Raises:
        ValueError: `out` cannot be written as a picture or is the picture itself, there is no such recipe or
            discriminator, or the picture cannot be read.
    """
    if out.suffix.lower() not in _FORMATS:
        raise ValueError(f"{out}: choose a name that ends in one of {', '.join(_FORMATS)}")
    if out.resolve() == given.resolve():
        raise ValueError(f"{given}: the map would replace the picture; choose another name for --out")
    trained = workspace.trained(recipe)
    params = recipe_params(workspace, load_book(workspace).recipe(recipe))
    discriminator = chosen(of_training(trained, params), network, trained)
    picture = decode(given, limits).image
    found = heat_map(discriminator, picture)
    real = _REALS[discriminator.judges]
    data = io.BytesIO()
    sheet(picture, found, limit_of([found]), real).save(data, _FORMATS[out.suffix.lower()], quality=93)
    write_atomic(out, data.getvalue())
    how = "of its patches" if found.kind == "patches" else "under occlusion"
    return (
        f"{recipe}'s {discriminator.name}, {how}: {found.share:.0%} of {given.name} speaks for real ({real}); "
        f"score {found.score:+.3g}, 0 being undecided"
    )


def sheet(picture: Image.Image, found: HeatMap, limit: float, real: str) -> Image.Image:
    """Return a picture, the same under its map, and below them the scale of the colours with what its ends mean.

    Args:
        picture: RGB.
        found: its map.
        limit: the value with the full colour.
        real: what a real picture is, as the end of a sentence.
    """
    pair = [_shown(one) for one in (picture, overlay(picture, found, limit))]
    wide = pair[0].width > 1.5 * pair[0].height  # one above the other
    places = [(_GAP, _GAP), (_GAP, 2 * _GAP + pair[0].height) if wide else (2 * _GAP + pair[0].width, _GAP)]
    width = max(places[1][0] + pair[1].width + _GAP, _LEAST + 2 * _GAP)
    bottom = places[1][1] + pair[1].height
    whole = Image.new("RGB", (width, bottom + 2 * _GAP + _SCALE + 3 * _FONT), "white")
    for one, place in zip(pair, places, strict=True):
        whole.paste(one, place)
    whole.paste(_scale(width - 2 * _GAP), (_GAP, bottom + _GAP))
    draw, font = ImageDraw.Draw(whole), ImageFont.load_default(_FONT)
    low, high = bottom + _GAP + _SCALE + 4, bottom + _GAP + _SCALE + 6 + _FONT
    ends = {"la": (_GAP, -limit, "false: by the model"), "ra": (width - _GAP, limit, f"real: {real}")}
    for anchor, (x, value, meaning) in ends.items():
        draw.text((x, low), f"{value:.2g}", "black", font, anchor)
        draw.text((x, high), meaning, "black", font, anchor)
    draw.text((width // 2, low), "0", "black", font, "ma")
    return whole


def _shown(picture: Image.Image) -> Image.Image:
    times = min(_MOST, max(_LEAST, *picture.size)) / max(picture.size)
    size = (max(1, round(picture.width * times)), max(1, round(picture.height * times)))
    return picture if size == picture.size else picture.resize(size, Image.Resampling.LANCZOS)


def _scale(width: int) -> Image.Image:
    """Return the colours from the least to the largest value, on a middle grey."""
    line = Image.new("RGB", (width, _SCALE), (128, 128, 128))
    values = np.tile(np.linspace(-1, 1, width, dtype=np.float32), (_SCALE, 1))
    return overlay(line, HeatMap(values, 0.0, "patches"), 1.0)
