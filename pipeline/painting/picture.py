"""Pictures as files: read with what must not get lost (EXIF, profile, transparency), written with it and a record."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps

from pipeline.image_files import Refused, identify
from pipeline.images import Limits, cropped, decode

WRITERS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
FORMATS = {"jpg": ".jpg", "png": ".png", "webp": ".webp", "tif": ".tif"}  # what --format offers
QUALITY = 93
_LONGEST = {"JPEG": 65_500, "WEBP": 16_383}  # px that a side may have
_STRIP = 1 << 22  # px that are converted at once
_RECORD = ExifTags.Base.ProcessingSoftware
# What an EXIF directory says of a picture, not of how a file stores it: in a TIFF both stand in the same directory.
_KEPT = {
    ExifTags.Base.ImageDescription, ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.XResolution,
    ExifTags.Base.YResolution, ExifTags.Base.ResolutionUnit, ExifTags.Base.Software, ExifTags.Base.DateTime,
    ExifTags.Base.Artist, ExifTags.Base.HostComputer, ExifTags.Base.Copyright, ExifTags.Base.Rating,
    ExifTags.Base.RatingPercent, ExifTags.Base.XPTitle, ExifTags.Base.XPComment, ExifTags.Base.XPAuthor,
    ExifTags.Base.XPKeywords, ExifTags.Base.XPSubject,
}  # fmt: skip
_DIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)


@dataclass(frozen=True)
class Picture:
    """A picture as a person sees it, and what its file says besides.

    Attributes:
        image: upright sRGB of mode RGB, on white where it is transparent.
        suffix: of the format that it is stored in, such as `.jpg`.
        exif: the directory without orientation and without anything about storage.
        profile: an RGB colour profile, or None.
        own: upright pixels of mode RGB as they are stored, in the colours of `profile` and without white behind them;
            None where that is what `image` holds.
        alpha: how opaque pixels are, mode L; None where all are.
    """

    image: Image.Image
    suffix: str
    exif: Image.Exif
    profile: bytes | None = None
    own: Image.Image | None = None
    alpha: Image.Image | None = None

    def stylized(self, paint: Callable[[Image.Image, float], Image.Image], strength: float, opaque: bool) -> Picture:
        """Return the picture painted, with its profile and transparency.

        The mixture is made of the pixels as they are stored, so that a strength of 0 gives just these back.

        Args:
            paint: returns the painting of an sRGB picture at a strength.
            strength: 0 to 1.
            opaque: it goes into a file that has no transparency.
        """
        if self.own is None:
            return Picture(paint(self.image, strength), self.suffix, self.exif, self.profile)
        if opaque and self.alpha is not None:  # white belongs to it then, and that is sRGB
            return Picture(paint(self.image, strength), self.suffix, self.exif)
        if strength == 0:
            return Picture(self.own, self.suffix, self.exif, self.profile, alpha=self.alpha)
        painting = paint(self.image, 1.0)
        if self.alpha is not None:
            painting = _without_white(painting, self.own, self.alpha)
        if self.profile is not None:
            painting = _in_profile(painting, self.profile)
        if strength < 1:
            painting = Image.blend(self.own, painting, strength)
        return Picture(painting, self.suffix, self.exif, self.profile, alpha=self.alpha)


def read(data: bytes, limits: Limits) -> Picture:
    """Return a picture of a file's bytes.

    Raises:
        Refused: see `pipeline.images.decode`.
    """
    decoded = decode(data, limits)
    file, _ = identify(io.BytesIO(data))
    with file:
        exif, profile = _exif(file), file.info.get("icc_profile")
        if profile is not None and not _is_rgb(profile, decoded.flags):
            profile = None
        transparent = "alpha" in decoded.flags and not file.mode.startswith("I")
        own = alpha = None
        if transparent or (profile is not None and "profile" in decoded.flags):
            raw = _upright(file)
            if transparent:
                raw = raw.convert("RGBA")
                alpha = raw.getchannel("A")
            own = raw.convert("RGB")
        return Picture(decoded.image, f".{decoded.format}", exif, profile, own, alpha)


def encoded(picture: Picture, suffix: str, quality: int = QUALITY, record: str = "") -> bytes:
    """Return the bytes of a file.

    Args:
        picture: what to write.
        suffix: of one of `WRITERS`.
        quality: 1 to 100, of JPEG and WebP.
        record: what the file says of how it was made, read back by `record_of`.

    Raises:
        Refused: the format cannot hold so large a picture.
    """
    name = WRITERS[suffix.lower()]
    image = picture.image
    if max(image.size) > _LONGEST.get(name, max(image.size)):
        size = f"{image.width} x {image.height} px"
        raise Refused("too_large", f"{size}, and {name} holds at most {_LONGEST[name]} a side; take png or tif")
    exif = _copy(picture.exif)
    if record:
        exif[_RECORD] = record
    if picture.alpha is not None and name != "JPEG":
        image = image.copy()
        image.putalpha(picture.alpha)
    options: dict[str, object] = {"quality": quality} if name in ("JPEG", "WEBP") else {}
    if picture.profile is not None:
        options["icc_profile"] = picture.profile
    stream = io.BytesIO()
    image.save(stream, name, exif=exif, **options)
    return stream.getvalue()


def record_of(path: Path) -> str:
    """Return what a file written by `encoded` says of how it was made; nothing if it is of somebody else."""
    try:
        with path.open("rb") as stream:
            file, _ = identify(stream)
            return str(file.getexif().get(_RECORD, ""))
    except Exception:  # a file of any kind may lie where a painting will
        return ""


def _exif(file: Image.Image) -> Image.Exif:
    """Return what is worth keeping of a file's EXIF."""
    kept = Image.Exif()
    try:
        found = file.getexif()
        for tag, value in found.items():
            if tag in _KEPT:
                kept[tag] = value
        for directory in _DIRECTORIES:
            if values := found.get_ifd(directory):
                kept[directory] = dict(values)
        return _copy(kept)
    except Exception:  # metadata is the least reliable part of a file, and the pixels are good
        return Image.Exif()


def _copy(exif: Image.Exif) -> Image.Exif:
    """Return the same entries, as they are read from a file: Pillow asks only such ones for their directories."""
    copied = Image.Exif()
    copied.load(exif.tobytes())
    return copied


def _is_rgb(profile: bytes, flags: tuple[str, ...]) -> bool:
    """Return whether a profile is one of RGB and its picture was read by it."""
    if {"bad_profile", "cmyk", "lab"} & set(flags):
        return False
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space.strip() == "RGB"
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return False


def _upright(file: Image.Image) -> Image.Image:
    file.load()
    try:
        return ImageOps.exif_transpose(file)
    except Exception:  # as `decode` goes on with a bad orientation
        return file


def _in_profile(image: Image.Image, profile: bytes) -> Image.Image:
    """Return an sRGB image in the colours of a profile."""
    target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    transform = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), target, "RGB", "RGB")
    ImageCms.applyTransform(image, transform, inPlace=True)
    return image


def _without_white(image: Image.Image, own: Image.Image, alpha: Image.Image) -> Image.Image:
    """Return the colours that show `image` when they lie on white, as opaque as `alpha`; `own` where none show."""
    canvas = Image.new("RGB", image.size)
    rows = max(1, _STRIP // image.width)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        seen, stored = (np.asarray(cropped(part, box)) for part in (image, own))
        opaque = np.asarray(cropped(alpha, box))[..., None].astype(np.float32) / 255
        colours = 255 - (255 - seen.astype(np.float32)) / np.maximum(opaque, 1 / 255)
        levels = np.rint(np.clip(colours, 0, 255)).astype(np.uint8)
        canvas.paste(Image.fromarray(np.where(opaque > 0, levels, stored)), box)
    return canvas
