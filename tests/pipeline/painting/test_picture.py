"""What must not get lost between a picture's file and its painting's."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, ImageOps

from pipeline.image_files import Refused
from pipeline.images import Limits
from pipeline.painting.picture import WRITERS, Picture, encoded, read, record_of
from tests.pipeline.painting.networks import picture

LIMITS = Limits(min_side=1, max_pixels=10**8, max_bytes=10**9, max_aspect=float("inf"))
SUFFIXES = [".jpg", ".png", ".webp", ".tif"]


def _file(image: Image.Image, suffix: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, WRITERS[suffix], **options)
    return stream.getvalue()


def _exif(orientation: int = 6) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Artist] = "A painter"
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.DateTimeOriginal: "2020:02:03 04:05:06"}
    exif[ExifTags.IFD.GPSInfo] = {ExifTags.GPS.GPSLatitudeRef: "N"}
    return exif


def _negative(image: Image.Image, strength: float) -> Image.Image:
    return Image.blend(image, ImageOps.invert(image), strength)


def _wide_profile() -> bytes:
    """An RGB profile that is not sRGB's: as sRGB, with red and blue exchanged in its tags."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = bytearray(profile.replace(b"sRGB", b"wide"))
    for i in range(int.from_bytes(data[128:132])):
        start = 132 + 12 * i
        name = bytes(data[start : start + 4])
        data[start : start + 4] = {b"rXYZ": b"bXYZ", b"bXYZ": b"rXYZ"}.get(name, name)
    text = bytes(data)
    described = text.find("sRGB".encode("utf-16-be"))
    return text if described < 0 else text.replace("sRGB".encode("utf-16-be"), "wide".encode("utf-16-be"))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("source", [".jpg", ".png", ".webp"])
def test_metadata_is_kept_and_the_picture_stands_upright(source: str, suffix: str) -> None:
    given = read(_file(picture(24, 16), source, exif=_exif()), LIMITS)
    assert given.image.size == (16, 24)
    made = given.stylized(_negative, 1.0, opaque=True)
    with Image.open(io.BytesIO(encoded(made, suffix, record="made so"))) as file:
        exif = file.getexif()
        assert file.size == (16, 24)
        assert ExifTags.Base.Orientation not in exif
        assert exif[ExifTags.Base.Artist] == "A painter"
        assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] == "2020:02:03 04:05:06"
        assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_record_is_read_back_and_strangers_have_none(tmp_path: Any, suffix: str) -> None:
    given = read(_file(picture(8, 8), ".png"), LIMITS)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(encoded(given, suffix, record="package 1; strength 0.5"))
    assert record_of(path) == "package 1; strength 0.5"
    path.write_bytes(_file(picture(8, 8), suffix))
    assert record_of(path) == ""
    path.write_bytes(b"nothing of the kind")
    assert record_of(path) == ""


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_transparency_is_kept_and_strength_0_gives_every_pixel_back(suffix: str) -> None:
    alpha = Image.fromarray(np.tile(np.linspace(0, 255, 32).astype(np.uint8), (20, 1)))
    stored = picture(32, 20)
    stored.putalpha(alpha)
    given = read(_file(stored, ".png"), LIMITS)
    for strength in (0, 0.5, 1):
        made = given.stylized(_negative, strength, opaque=False)
        with Image.open(io.BytesIO(encoded(made, suffix, 100))) as file:
            assert np.array_equal(file.convert("RGBA").getchannel("A"), alpha)
    back = given.stylized(_negative, 0, opaque=False)
    assert back.alpha is not None
    assert np.array_equal(back.image, stored.convert("RGB"))


def test_a_transparent_painting_lies_on_white_as_it_was_painted() -> None:
    stored = picture(32, 20)
    stored.putalpha(200)
    given = read(_file(stored, ".png"), LIMITS)
    made = given.stylized(
        lambda image, _strength: Image.blend(image, Image.new("RGB", image.size, "white"), 0.3), 1, False
    )
    white = Image.new("RGBA", made.image.size, "white")
    shown = made.image.copy()
    shown.putalpha(made.alpha)  # type: ignore[arg-type]
    seen = np.asarray(Image.alpha_composite(white, shown).convert("RGB"), int)
    wanted = np.asarray(Image.blend(given.image, Image.new("RGB", given.image.size, "white"), 0.3), int)
    assert np.abs(seen - wanted).max() <= 2


def test_a_file_without_transparency_shows_white_behind() -> None:
    stored = picture(16, 16)
    stored.putalpha(0)
    stored.putpixel((0, 0), (10, 20, 30, 255))
    made = read(_file(stored, ".png"), LIMITS).stylized(lambda image, _strength: image, 1, opaque=True)
    assert made.alpha is None
    assert made.image.getpixel((5, 5)) == (255, 255, 255)


def test_an_rgb_profile_is_kept_and_its_pixels_come_back_at_strength_0() -> None:
    stored, profile = picture(32, 20), _wide_profile()
    given = read(_file(stored, ".png", icc_profile=profile), LIMITS)
    assert given.profile == profile
    assert not np.array_equal(given.image, stored)  # the network sees sRGB
    assert np.array_equal(given.stylized(_negative, 0, opaque=True).image, stored)
    same = given.stylized(lambda image, _strength: image.copy(), 1, opaque=True)
    with Image.open(io.BytesIO(encoded(same, ".png"))) as file:
        assert file.info["icc_profile"] == profile
        again = read(encoded(same, ".png"), LIMITS)
    assert np.abs(np.asarray(again.image, int) - np.asarray(given.image, int)).mean() < 2


def test_a_profile_of_another_space_is_left_out() -> None:
    grey = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert read(_file(picture(16, 16), ".png", icc_profile=grey), LIMITS).profile is None


def test_a_picture_that_a_format_cannot_hold_is_refused_in_words() -> None:
    wide = Picture(Image.new("RGB", (16_400, 2)), ".png", Image.Exif())
    with pytest.raises(Refused, match="WEBP holds at most 16383"):
        encoded(wide, ".webp")
    assert encoded(wide, ".png")
