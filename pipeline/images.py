"""Decode any image safely into what a person sees (upright sRGB); PIL <-> tensors in [-1, 1]; views; grids."""

from __future__ import annotations

import io
import stat
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image, ImageCms, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError

if TYPE_CHECKING:
    from torch import Tensor  # ingesting must not wait for torch

    from pipeline.params import Ingest

# Pillow's names of the formats that are opened at all, and the extension each is stored under. A fixed list:
# otherwise an EPS named .jpg would start Ghostscript.
EXTENSIONS = {
    "JPEG": "jpg",
    "MPO": "jpg",
    "PNG": "png",
    "WEBP": "webp",
    "TIFF": "tif",
    "BMP": "bmp",
    "GIF": "gif",
    "AVIF": "avif",
}
SUFFIXES = {
    "jpg": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "png": (".png", ".apng"),
    "webp": (".webp",),
    "tif": (".tif", ".tiff"),
    "bmp": (".bmp", ".dib"),
    "gif": (".gif",),
    "avif": (".avif", ".avifs"),
}
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"RIFF", b"II*\x00", b"MM\x00*", b"GIF8")
_ORIENTATION = 0x0112
_FLAT = 3  # an image whose every channel spans no more than this many levels of 255 shows nothing
_GREY = 2  # levels that channels may differ by in an image that is grey to the eye


@dataclass(frozen=True)
class Limits:
    """What is accepted: shortest side (px), pixels, bytes, and long side / short side."""

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


class Refused(ValueError):  # noqa: N818 (a decision about an image, as its users read it)
    """An image that is not accepted: a reason `code`, the `detail` in words, the format if it was recognised."""

    def __init__(self, code: str, detail: str, extension: str = "") -> None:
        """Say why: `code` is one of the manifest's reason codes."""
        super().__init__(f"image refused as {code}: {detail}")
        self.code = code
        self.detail = detail
        self.extension = extension


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
        image, extension = _identify(stream)
        with image:
            try:
                return _decode_opened(image, extension, limits)
            except Refused as refusal:
                raise Refused(refusal.code, refusal.detail, extension) from refusal


def preview(source: Path | bytes, limits: Limits, side: int) -> tuple[Image.Image, float]:
    """Return an image as `decode` does, reduced to at most `side` px, and how many of its px one original px is.

    A JPEG is decoded at a size that its coding offers, which takes a fraction of the time and of the memory.

    Raises:
        Refused: see `decode`.
    """
    with _stream(source, limits) as stream:
        image, extension = _identify(stream)
        with image:
            whole = max(image.size)
            reduced = _decode_opened(image, extension, limits, side).image
    reduced.thumbnail((side, side), Image.Resampling.LANCZOS)
    return reduced, max(reduced.size) / whole


def _decode_opened(image: Image.Image, extension: str, limits: Limits, side: int = 0) -> Decoded:
    _check_size(*image.size, limits)
    _check_kind(image)
    try:
        if side:
            image.draft(None, (side, side))  # of no effect but on JPEG
        image.load()  # `verify` would miss a truncated file
    except Exception as error:  # decoders raise nearly anything on hostile bytes; each costs this file alone
        raise _load_failure(error) from error
    flags = ["mpo"] if image.format == "MPO" else []
    rgb = _to_srgb(_upright(image, flags), flags)
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


_OPENING = threading.Lock()


def _identify(stream: BinaryIO) -> tuple[Image.Image, str]:
    """Return the opened, not yet decoded image and its extension."""
    head = stream.read(16)
    stream.seek(0)
    if not head:
        raise Refused("not_image", "it has no bytes")
    try:
        with _OPENING:
            # Pillow's own limit is a global below ours; it is lifted while headers are read, ours follows.
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                Image.init()  # registers the formats; a Pillow built without AVIF lacks that one
                image = Image.open(stream, formats=[name for name in EXTENSIONS if name in Image.OPEN])
            finally:
                Image.MAX_IMAGE_PIXELS = limit
    except UnidentifiedImageError as error:
        if head.startswith(_SIGNATURES):
            raise Refused("truncated", "it begins like an image and its header is broken or cut off") from error
        raise Refused("not_image", "its content is none of the image formats that are read") from error
    except Exception as error:  # as above: a hostile header may raise nearly anything
        raise _load_failure(error) from error
    return image, EXTENSIONS[str(image.format)]


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
    except Exception as error:  # looking for a second frame reads on in the file
        raise _load_failure(error) from error
    if animated:
        raise Refused("multiframe", "it holds several pages or an animation; save the one you mean")


def _load_failure(error: Exception) -> Refused:
    if isinstance(error, Image.DecompressionBombError):
        return Refused("too_large", str(error))
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    signs = ("truncat", "broken data", "unexpected end", "premature", "not enough", "eof", "could not create decoder")
    cut_off = isinstance(error, EOFError) or any(sign in text.lower() for sign in signs)
    return Refused("truncated" if cut_off else "unreadable", text)


def _upright(image: Image.Image, flags: list[str]) -> Image.Image:
    try:
        if image.getexif().get(_ORIENTATION, 1) not in range(2, 9):
            return image
        upright = ImageOps.exif_transpose(image)
    except Exception:  # metadata is the least reliable part of a file, and the pixels are good
        flags.append("bad_exif")
        return image
    flags.append("oriented")
    return upright


def _to_srgb(image: Image.Image, flags: list[str]) -> Image.Image:
    """Return mode RGB in sRGB, on white where the image is transparent."""
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I"):
        flags.append("sixteen_bit")
        return _apply_profile(_eight_bits(image), profile, flags)
    if image.mode == "LAB":
        flags.append("lab")
        return _from_lab(image)
    if image.mode == "CMYK":
        flags.append("cmyk")
        return _apply_profile(image, profile, flags)
    if image.mode in ("P", "PA"):
        flags.append("palette")
    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        alpha = rgba.getchannel("A")
        rgb = _apply_profile(rgba.convert("RGB"), profile, flags)
        if alpha.getextrema() == (255, 255):
            return rgb
        flags.append("alpha")
        return Image.composite(rgb, Image.new("RGB", rgb.size, "white"), alpha)
    return _apply_profile(image if image.mode == "L" else _rgb(image), profile, flags)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return mode L of 16-bit grey, rounded: 65535 becomes 255 (Pillow's own conversion would clip to white)."""
    samples = np.asarray(image).astype(np.int64)
    if samples.min() < 0 or samples.max() > 65535:
        raise Refused("float", "32-bit samples beyond 16 bits have no defined white")
    return Image.fromarray(((samples + 128) // 257).astype(np.uint8))


def _from_lab(image: Image.Image) -> Image.Image:
    transform = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
    return _transformed(image, transform)


def _apply_profile(image: Image.Image, profile: Any, flags: list[str]) -> Image.Image:
    """Return RGB from mode L, RGB or CMYK, through its embedded ICC profile if that is any good."""
    if not profile:
        return _rgb(image)
    try:
        embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = embedded.profile.xcolor_space.strip()
        if space == "RGB" and image.mode == "L":
            image = image.convert("RGB")
        if space != {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}[image.mode]:
            raise ValueError(f"profile of {space} in an image of {image.mode}")
        if ImageCms.getProfileDescription(embedded).startswith("sRGB"):
            return _rgb(image)  # through itself it would only cost rounding
        transform = ImageCms.buildTransform(embedded, ImageCms.createProfile("sRGB"), image.mode, "RGB")
        converted = _transformed(image, transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        flags.append("bad_profile")
        return _rgb(image)
    flags.append("profile")
    return converted


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
