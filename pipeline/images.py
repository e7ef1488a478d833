"""Decode any image safely into what a person sees (upright sRGB); PIL <-> tensors in [-1, 1]; views; grids."""

from __future__ import annotations

import io
import stat
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image, ImageChops, ImageCms, ImageDraw, ImageFont

from pipeline.image_files import SUFFIXES as SUFFIXES
from pipeline.image_files import Refused as Refused
from pipeline.image_files import identify, load_failure

if TYPE_CHECKING:
    from torch import Tensor  # ingesting must not wait for torch

    from pipeline.params import Ingest

_ORIENTATION = 0x0112
_TURNS = {  # EXIF orientation -> what makes it upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_STRIP = 1 << 22  # px that are converted at once
_FLAT = 3  # an image whose every channel spans no more than this many levels of 255 shows nothing
_GREY = 2  # levels that channels may differ by in an image that is grey to the eye


@dataclass(frozen=True)
class Limits:
    """What is accepted: shortest side (px), pixels, bytes, and long side / short side.

    Decoding takes, measured, 4 bytes of memory a pixel at best (RGB) and 10 at most (transparency, profiles, or
    progressive JPEG); 13 in AVIF and 17 in WebP, whose libraries hold more copies: 3.4 GB at 200 million pixels.
    """

    min_side: int
    max_pixels: int
    max_bytes: int
    max_aspect: float

    @classmethod
    def of(cls, ingest: Ingest) -> Limits:
        """Return the limits declared under `ingest` in params.yaml."""
        return cls(ingest.min_side, ingest.max_pixels, ingest.max_bytes, ingest.max_aspect)


# For images that were accepted once: a limit lowered since does not make them wrong.
ACCEPTED = Limits(min_side=1, max_pixels=2_000_000_000, max_bytes=20_000_000_000, max_aspect=100_000)


@dataclass(frozen=True)
class Decoded:
    """An upright sRGB image of mode RGB without metadata, the format it was stored in, and what was noticed.

    Flags: oriented, palette, alpha, cmyk, lab, sixteen_bit, greyscale, profile, bad_profile, bad_exif, mpo.
    """

    image: Image.Image
    format: str
    flags: tuple[str, ...]


def decode(source: Path | bytes, limits: Limits) -> Decoded:
    """Return an image as a person sees it.

    EXIF orientation is applied, colours become sRGB (a wrong profile is ignored and flagged), transparency shows
    white, 16 bits become 8. Size is checked before any pixel is decoded.

    Raises:
        Refused: a code of not_regular, unreadable, too_large, not_image, multiframe, float, extreme_aspect,
            too_small, truncated, empty.
    """
    with _stream(source, limits) as stream:
        image, extension = identify(stream)
        with image:
            try:
                return _decode_opened(image, extension, limits)
            except Refused as refusal:
                raise Refused(refusal.code, refusal.detail, extension) from refusal


def decode_mask(source: Path | bytes, limits: Limits) -> Image.Image:
    """Return a mask as mode L, white where it says so: transparency shows black, and one colour all over is allowed.

    As upright and as safely decoded as an image by `decode`.

    Raises:
        Refused: see `decode`; its detail says that the mask is meant.
    """
    try:
        with _stream(source, limits) as stream, identify(stream)[0] as image:
            _check_size(*image.size, limits)
            _check_kind(image)
            try:
                turn = _turn(image, [])
                image.load()
                layer = (_eight_bits(image) if image.mode.startswith("I") else image).convert("LA")
            except (Refused, MemoryError):
                raise
            except Exception as error:  # as in `_decode_opened`
                raise load_failure(error) from error
    except Refused as refusal:
        raise Refused(refusal.code, f"of the mask: {refusal.detail}", refusal.extension) from refusal
    light, alpha = layer.split()
    mask = ImageChops.multiply(light, alpha)
    return mask if turn is None else mask.transpose(turn)


def decode_strictly(source: Path | bytes, limits: Limits) -> Decoded:
    """Return an image as `decode` does, and refuse a part of a file that claims more pixels than `limits` allow.

    Of such a part Pillow would only warn. Its warnings about metadata are silenced. For a process of one thread:
    Python's and Pillow's settings, which belong to the process, are changed meanwhile.

    Raises:
        Refused: see `decode`.
    """
    pillows, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, limits.max_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return decode(source, limits)
    finally:
        Image.MAX_IMAGE_PIXELS = pillows


def preview(source: Path | bytes, limits: Limits, side: int) -> tuple[Image.Image, float]:
    """Return an image as `decode` does, reduced to at most `side` px, and how many of its px one original px is.

    A JPEG is decoded at a size that its coding offers, which takes a fraction of the time and of the memory.

    Raises:
        Refused: see `decode`.
    """
    with _stream(source, limits) as stream:
        image, extension = identify(stream)
        with image:
            whole = max(image.size)
            reduced = _decode_opened(image, extension, limits, side).image
    reduced.thumbnail((side, side), Image.Resampling.LANCZOS)
    return reduced, max(reduced.size) / whole


def _decode_opened(image: Image.Image, extension: str, limits: Limits, side: int = 0) -> Decoded:
    _check_size(*image.size, limits)
    _check_kind(image)
    flags = ["mpo"] if image.format == "MPO" else []
    try:
        if side:
            image.draft(None, (side, side))  # of no effect but on JPEG and HEIC
        if any(";16" in str(tile) for tile in getattr(image, "tile", ())):  # once loaded, 16-bit RGB has 8
            flags.append("sixteen_bit")
        if image.format == "TIFF":
            _turn(image, flags)  # for the flag: Pillow turns a TIFF as it loads it, and forgets that it did
        image.load()  # `verify` would miss a truncated file
        rgb = _as_seen(image, flags)
    except (Refused, MemoryError):
        raise
    except Exception as error:  # decoders raise nearly anything on hostile bytes; each costs this file alone
        raise load_failure(error) from error
    if _is_flat(rgb):
        raise Refused("empty", "all pixels have the same colour")
    if _is_grey(rgb):
        flags.append("greyscale")
    rgb.info.clear()  # or a profile that was applied would be written again with the next save
    return Decoded(rgb, extension, tuple(sorted(set(flags))))


def _stream(source: Path | bytes, limits: Limits) -> BinaryIO:
    """Return a stream of a regular file or of bytes that are not too many."""
    stream: BinaryIO
    if isinstance(source, bytes):
        size, stream = len(source), io.BytesIO(source)
    else:
        try:
            status = source.stat()
            if not stat.S_ISREG(status.st_mode):  # opening a FIFO would wait for ever
                raise Refused("not_regular", "it is not a regular file")
            size, stream = status.st_size, source.open("rb")
        except OSError as error:
            raise Refused("unreadable", error.strerror or str(error)) from error
    if size > limits.max_bytes:
        stream.close()
        raise Refused("too_large", f"{size} bytes, more than max_bytes ({limits.max_bytes})")
    return stream


def _check_size(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.max_pixels:
        raise Refused("too_large", f"{width} x {height} px, more than max_pixels ({limits.max_pixels})")
    if max(width, height) > limits.max_aspect * max(1, min(width, height)):
        raise Refused("extreme_aspect", f"{width} x {height} px, beyond max_aspect ({limits.max_aspect:g})")
    if min(width, height) < limits.min_side:
        raise Refused("too_small", f"{width} x {height} px, the short side below min_side ({limits.min_side})")


def _check_kind(image: Image.Image) -> None:
    if image.mode == "F":
        raise Refused("float", "floating-point samples have no defined white")
    try:
        animated = image.format != "MPO" and bool(getattr(image, "is_animated", False))
    except MemoryError:
        raise
    except Exception as error:  # looking for a second frame reads on in the file
        raise load_failure(error) from error
    if animated:
        raise Refused("multiframe", "it holds several pages or an animation; save the one you mean")


def _as_seen(image: Image.Image, flags: list[str]) -> Image.Image:
    """Return mode RGB in sRGB, upright. The given image is closed, which gives the memory of its pixels back."""
    turn = _turn(image, flags)
    rgb = _to_srgb(image, flags)
    image.close()
    return rgb if turn is None else rgb.transpose(turn)


def _turn(image: Image.Image, flags: list[str]) -> Image.Transpose | None:
    """Return what makes an image upright, None if it is."""
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # metadata is the least reliable part of a file, and the pixels are good
        flags.append("bad_exif")
        return None
    if turn is not None:
        flags.append("oriented")
    return turn


_Convert = Callable[[Image.Image], Image.Image]  # a part of an image -> the same part as mode RGB


def _to_srgb(image: Image.Image, flags: list[str]) -> Image.Image:
    """Return mode RGB in sRGB, on white where the image is transparent."""
    profile = image.info.get("icc_profile")
    if image.mode == "LAB":
        flags.append("lab")
        return _in_strips(image, _from_lab())
    if image.mode == "CMYK":
        flags.append("cmyk")
        inks = _colours("CMYK", profile, flags)
        if image.format == "JPEG" and "adobe" not in image.info:  # Pillow inverts all, and only Adobe's are inverted
            return _in_strips(image, lambda part: inks(ImageChops.invert(part)))
        return _in_strips(image, inks)
    if image.mode in ("P", "PA"):
        flags.append("palette")
    if image.mode.startswith("I"):
        flags.append("sixteen_bit")
    convert = _colours("L" if image.mode[0] in "1LI" else "RGB", profile, flags)
    if image.mode.startswith("I"):
        return _in_strips(image, lambda part: _on_white(_eight_bits(part), convert, flags))
    if image.mode.endswith(("A", "a")) or "transparency" in image.info:
        return _in_strips(image, lambda part: _on_white(part, convert, flags))
    if image.mode == "RGB" and convert is _rgb:
        return _rgb(image)
    return _in_strips(image, convert)


def _in_strips(image: Image.Image, convert: _Convert) -> Image.Image:
    """Return an image converted strip by strip, so that nothing between it and the result is of its size."""
    rows = max(1, _STRIP // image.width)
    if rows >= image.height:
        return convert(image)
    converted = Image.new("RGB", image.size)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        converted.paste(convert(cropped(image, box)), box)
    return converted


def cropped(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """Return a part (left, top, right, bottom) of a loaded image; Pillow's `crop` takes a large part for a bomb."""
    return image._new(image.im.crop(box))


def _on_white(part: Image.Image, convert: _Convert, flags: list[str]) -> Image.Image:
    """Return mode RGB of pixels that may be transparent."""
    layer = part.convert("LA" if part.mode[0] in "1L" else "RGBA")
    rgb, alpha = convert(layer.convert(layer.mode[:-1])), layer.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return rgb
    flags.append("alpha")
    white = Image.new("RGB", rgb.size, "white")
    white.paste(rgb, mask=alpha)
    return white


def _eight_bits(part: Image.Image) -> Image.Image:
    """Return mode L or LA of 16-bit grey, rounded: 65535 becomes 255 (Pillow's own conversion clips to white)."""
    samples = np.asarray(part)
    if samples.dtype.itemsize > 2 and (samples.min() < 0 or samples.max() > 65535):
        raise Refused("float", "32-bit samples beyond 16 bits have no defined white")
    grey = Image.fromarray(((samples.astype(np.uint32) + 128) // 257).astype(np.uint8))
    if "transparency" in part.info:  # one level, all of whose pixels are
        grey.putalpha(Image.fromarray(np.where(samples == part.info["transparency"], 0, 255).astype(np.uint8)))
    return grey


def _from_lab() -> _Convert:
    transform = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
    return lambda part: _transformed(part, transform)


def _colours(mode: str, profile: Any, flags: list[str]) -> _Convert:
    """Return what makes sRGB of parts that are or convert to `mode` (L, RGB, CMYK), by the profile if it is good."""
    if not profile:
        return _rgb
    try:
        embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = embedded.profile.xcolor_space.strip()
        if space == "RGB" and mode == "L":
            mode = "RGB"
        if space != {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}[mode]:
            raise ValueError(f"profile of {space} in an image of {mode}")
        if ImageCms.getProfileDescription(embedded).startswith("sRGB"):
            return _rgb  # through itself it would only cost rounding
        transform = ImageCms.buildTransform(embedded, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        flags.append("bad_profile")
        return _rgb
    flags.append("profile")
    return lambda part: _transformed(part if part.mode == mode else part.convert(mode), transform)


def _transformed(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # it is None only for a transform in place
    return converted


def _is_flat(rgb: Image.Image) -> bool:
    """Return whether no channel spans more than a few levels; every pixel is asked only if a sample says so."""
    if np.ptp(_sample(rgb), axis=(0, 1)).max() > _FLAT:
        return False
    return bool(np.ptp(rgb.getextrema(), axis=1).max() <= _FLAT)


def _is_grey(rgb: Image.Image) -> bool:
    return bool(np.ptp(_sample(rgb), axis=2).max() <= _GREY)


def _sample(rgb: Image.Image) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.asarray(rgb.resize((64, 64), Image.Resampling.NEAREST))


def _rgb(image: Image.Image) -> Image.Image:
    """Return an image as mode RGB and apart from its file; pixels that are RGB are not copied, as by `convert`."""
    return image._new(image.im) if image.mode == "RGB" else image.convert("RGB")


def to_tensor(image: Image.Image) -> Tensor:
    """Return an RGB image as float32 (3, H, W) in [-1, 1]."""
    import torch

    pixels = torch.from_numpy(np.array(image.convert("RGB")))
    return (pixels.permute(2, 0, 1).float() / 127.5 - 1).contiguous()


def to_image(tensor: Tensor) -> Image.Image:
    """Return (3, H, W) in [-1, 1] as an RGB image; beyond the range is clipped, NaN becomes black."""
    import torch

    levels = (torch.nan_to_num(tensor.detach().float().cpu(), nan=-1.0) + 1) * 127.5
    return Image.fromarray(levels.round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy())


def square_view(image: Image.Image, side: int) -> Image.Image:
    """Return the centre square of `image` as side x side px (Lanczos, antialiased; enlarged if it is smaller)."""
    short = min(image.size)
    left, top = (image.width - short) / 2, (image.height - short) / 2
    box = (left, top, left + short, top + short)
    return image.resize((side, side), Image.Resampling.LANCZOS, box=box)


def at_least(image: Image.Image, side: int) -> Image.Image:
    """Return `image`, enlarged (Lanczos) so that its short side has `side` px if it has fewer; never reduced."""
    short = min(image.size)
    if short >= side:
        return image
    size = (max(side, round(image.width * side / short)), max(side, round(image.height * side / short)))
    return image.resize(size, Image.Resampling.LANCZOS)


def grid(rows: Sequence[Sequence[Image.Image]], *, labels: Sequence[str] | None = None, gap: int = 8) -> Image.Image:
    """Return images in rows and columns on white, `gap` px apart, with one label above each column if given.

    Raises:
        ValueError: there is no image.
    """
    if not any(rows):
        raise ValueError("a grid needs at least one image")
    columns = max(map(len, rows))
    widths = [max(row[column].width for row in rows if column < len(row)) for column in range(columns)]
    heights = [max((image.height for image in row), default=0) for row in rows]
    header = 22 if labels else 0
    size = (sum(widths) + gap * (columns + 1), sum(heights) + gap * (len(rows) + 1) + header)
    sheet = Image.new("RGB", size, "white")
    top = gap + header
    for row, height in zip(rows, heights, strict=True):
        left = gap
        for image, width in zip(row, widths, strict=False):
            sheet.paste(image, (left, top))
            left += width + gap
        top += height + gap
    if labels:
        _write_labels(sheet, labels, widths, gap)
    return sheet


def _write_labels(sheet: Image.Image, labels: Sequence[str], widths: Sequence[int], gap: int) -> None:
    draw, font, left = ImageDraw.Draw(sheet), ImageFont.load_default(14), gap
    for label, width in zip(labels, widths, strict=False):
        draw.text((left, gap), label, fill="black", font=font)
        left += width + gap
