"""Every kind of file, and what becomes of its colours and geometry."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from pipeline import images
from pipeline.images import Limits, Refused
from tests.pipeline.pictures import encoded, texture

LIMITS = Limits(min_side=16, max_pixels=100_000, max_bytes=1_000_000, max_aspect=4.0)
RED, BLUE = (230, 30, 40), (20, 40, 210)


def halves(
    left: object = RED, right: object = BLUE, mode: str = "RGB", size: tuple[int, int] = (60, 40)
) -> Image.Image:
    """Return an image of two flat halves."""
    image = Image.new(mode, size, left)  # type: ignore[arg-type]
    image.paste(right, (size[0] // 2, 0, *size))  # type: ignore[arg-type]
    return image


def colours(decoded: images.Decoded) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the colours in the middle of the left and of the right half."""
    image = decoded.image
    assert image.mode == "RGB"
    at = [image.getpixel((image.width // 4 + image.width // 2 * side, image.height // 2)) for side in (0, 1)]
    return tuple(at[0]), tuple(at[1])  # type: ignore[arg-type]


def near(actual: tuple[tuple[int, ...], ...], expected: tuple[tuple[int, ...], ...], tolerance: int) -> bool:
    return int(np.abs(np.array(actual) - np.array(expected)).max()) <= tolerance


def sixteen_bit_grey() -> bytes:
    samples = np.full((40, 60), 65535 * 51 // 255, np.uint16)
    samples[:, 30:] = 65535
    return encoded(Image.fromarray(samples))


def sixteen_bit_rgb_png() -> bytes:
    """Return a PNG with 16 bits a channel, which Pillow can read and not write."""
    import struct
    import zlib

    row = (
        struct.pack(">HHH", *(level * 257 for level in RED)) * 30 + struct.pack(">HHH", *(b * 257 for b in BLUE)) * 30
    )

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 60, 40, 16, 2, 0, 0, 0)
    pixels = zlib.compress((b"\0" + row) * 40)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def palette(transparent: bool = False) -> bytes:
    image = Image.new("P", (60, 40), 0)
    image.putpalette([*RED, *BLUE])
    image.paste(1, (30, 0, 60, 40))
    return encoded(image, transparency=1) if transparent else encoded(image)


def lab() -> bytes:
    # L* 255 is white; a and b are stored with 128 added in Pillow's mode.
    return encoded(halves((128, 128, 128), (255, 128, 128), "LAB"), "TIFF")


def mpo() -> bytes:
    return encoded(halves(), "MPO", save_all=True, append_images=[halves((0, 0, 0), (9, 200, 9))], quality=95)


def oriented(kind: str, value: int, **options: object) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = value
    return encoded(halves(), kind, exif=exif, **options)


def profile(space: str = "sRGB") -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()  # type: ignore[arg-type]


def gbr_profile() -> bytes:
    """Return an RGB profile whose channels stand for blue, red and green, so that a conversion cannot be missed."""
    data = bytearray(profile())
    table = {bytes(data[at : at + 4]): at for at in range(132, 132 + 12 * int.from_bytes(data[128:132]), 12)}
    offsets = [bytes(data[table[name] + 4 : table[name] + 12]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    for name, offset in zip((b"gXYZ", b"bXYZ", b"rXYZ"), offsets, strict=True):
        data[table[name] + 4 : table[name] + 12] = offset
    return bytes(data).replace("sRGB".encode("utf-16-be"), "xGBR".encode("utf-16-be"))


WHITE = (255, 255, 255)
GREY = lambda level: (level, level, level)  # noqa: E731 (a table reads better with it)

ACCEPTED: dict[str, tuple[Callable[[], bytes], str, tuple[tuple[int, ...], ...], int, set[str]]] = {
    "png": (lambda: encoded(halves()), "png", (RED, BLUE), 0, set()),
    "jpeg": (lambda: encoded(halves(), "JPEG", quality=95), "jpg", (RED, BLUE), 4, set()),
    "webp": (lambda: encoded(halves(), "WEBP", lossless=True), "webp", (RED, BLUE), 0, set()),
    "tiff": (lambda: encoded(halves(), "TIFF"), "tif", (RED, BLUE), 0, set()),
    "tiff lzw": (lambda: encoded(halves(), "TIFF", compression="tiff_lzw"), "tif", (RED, BLUE), 0, set()),
    "bmp": (lambda: encoded(halves(), "BMP"), "bmp", (RED, BLUE), 0, set()),
    "gif": (lambda: encoded(halves(), "GIF"), "gif", (RED, BLUE), 0, {"palette"}),
    "avif": (lambda: encoded(halves(), "AVIF", quality=95), "avif", (RED, BLUE), 6, set()),
    "mpo": (mpo, "jpg", (RED, BLUE), 4, {"mpo"}),
    "palette": (palette, "png", (RED, BLUE), 0, {"palette"}),
    "palette, transparent": (lambda: palette(True), "png", (RED, WHITE), 0, {"palette", "alpha"}),
    "1 bit": (lambda: encoded(halves(0, 1, "1")), "png", (GREY(0), WHITE), 0, {"greyscale"}),
    "grey": (lambda: encoded(halves(70, 200, "L")), "png", (GREY(70), GREY(200)), 0, {"greyscale"}),
    "grey in rgb": (lambda: encoded(halves(GREY(70), GREY(200))), "png", (GREY(70), GREY(200)), 0, {"greyscale"}),
    "16-bit grey": (sixteen_bit_grey, "png", (GREY(51), WHITE), 0, {"greyscale", "sixteen_bit"}),
    "16-bit rgb": (sixteen_bit_rgb_png, "png", (RED, BLUE), 0, {"sixteen_bit"}),
    "alpha over hidden colour": (
        lambda: encoded(halves((*RED, 255), (*BLUE, 0), "RGBA")), "png", (RED, WHITE), 0, {"alpha"},
    ),
    "half transparent": (
        lambda: encoded(halves((*RED, 255), (0, 0, 0, 128), "RGBA")), "png", (RED, GREY(127)), 0, {"alpha"},
    ),
    "opaque alpha": (lambda: encoded(halves((*RED, 255), (*BLUE, 255), "RGBA")), "png", (RED, BLUE), 0, set()),
    "grey with alpha": (
        lambda: encoded(halves((70, 255), (9, 0), "LA")), "png", (GREY(70), WHITE), 0, {"alpha", "greyscale"},
    ),
    "rgb with a transparent colour": (
        lambda: encoded(halves(), transparency=BLUE), "png", (RED, WHITE), 0, {"alpha"},
    ),
    "cmyk tiff": (
        lambda: encoded(halves((0, 255, 255, 0), (255, 0, 0, 51), "CMYK"), "TIFF"),
        "tif", ((255, 0, 0), (0, 204, 204)), 0, {"cmyk"},
    ),
    "cmyk jpeg": (
        lambda: encoded(halves((0, 255, 255, 0), (255, 0, 0, 51), "CMYK"), "JPEG", quality=95),
        "jpg", ((255, 0, 0), (0, 204, 204)), 4, {"cmyk"},
    ),
    "lab": (lab, "tif", (GREY(119), WHITE), 2, {"lab", "greyscale"}),
    "srgb profile": (lambda: encoded(halves(), icc_profile=profile()), "png", (RED, BLUE), 0, set()),
    "another rgb profile": (
        # red, green and blue of the file mean blue, red and green: (r, g, b) is seen as (g, b, r)
        lambda: encoded(halves((200, 30, 60), (20, 40, 210)), icc_profile=gbr_profile()),
        "png", ((30, 60, 200), (40, 210, 20)), 2, {"profile"},
    ),
    "profile of another space": (
        lambda: encoded(halves(), icc_profile=profile("LAB")), "png", (RED, BLUE), 0, {"bad_profile"},
    ),
    "profile of nonsense": (
        lambda: encoded(halves(), icc_profile=b"nonsense" * 40), "png", (RED, BLUE), 0, {"bad_profile"},
    ),
    "mirrored jpeg": (lambda: oriented("JPEG", 2, quality=95), "jpg", (BLUE, RED), 4, {"oriented"}),
    "upside down png": (lambda: oriented("PNG", 3), "png", (BLUE, RED), 0, {"oriented"}),
    "orientation out of range": (lambda: oriented("PNG", 77), "png", (RED, BLUE), 0, set()),
}  # fmt: skip


@pytest.mark.parametrize("kind", ACCEPTED)
def test_image_looks_as_a_person_sees_it(kind: str, tmp_path: Path) -> None:
    make, extension, expected, tolerance, flags = ACCEPTED[kind]
    path = tmp_path / "name.that.lies.txt"
    path.write_bytes(make())
    for decoded in (images.decode(path, LIMITS), images.decode(make(), LIMITS)):
        assert decoded.format == extension
        assert near(colours(decoded), expected, tolerance), colours(decoded)
        assert set(decoded.flags) == flags
        assert decoded.image.size == (60, 40)
        assert not decoded.image.info


@pytest.mark.parametrize(("value", "corner"), [(5, (0, 0)), (6, (39, 0)), (7, (39, 59)), (8, (0, 59))])
def test_sideways_photograph_is_turned(value: int, corner: tuple[int, int]) -> None:
    picture = Image.new("RGB", (60, 40), BLUE)
    picture.paste(RED, (0, 0, 12, 8))  # the stored top left corner
    exif = Image.Exif()
    exif[0x0112] = value
    decoded = images.decode(encoded(picture, exif=exif), LIMITS)
    assert decoded.image.size == (40, 60)
    assert decoded.image.getpixel(corner) == RED


def animation(kind: str) -> bytes:
    return encoded(halves(), kind, save_all=True, append_images=[halves(BLUE, RED)])


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "no bytes": (lambda: b"", "not_image"),
    "text": (lambda: b"a letter about a painting\n" * 9, "not_image"),
    "html": (lambda: b"<!doctype html><title>404</title>", "not_image"),
    "svg": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg" width="99" height="99"/>', "not_image"),
    "eps": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\nshowpage\n", "not_image"),
    "another format of Pillow": (lambda: encoded(halves(), "PPM"), "not_image"),
    "icon": (lambda: encoded(halves(), "ICO"), "not_image"),
    "jpeg cut in half": (lambda: cut(encoded(texture(1), "JPEG")), "truncated"),
    "png cut in half": (lambda: cut(encoded(texture(1))), "truncated"),
    "webp cut in half": (lambda: cut(encoded(texture(1), "WEBP")), "truncated"),
    "gif cut in half": (lambda: cut(encoded(texture(1), "GIF")), "truncated"),
    "bmp cut in half": (lambda: cut(encoded(texture(1), "BMP")), "truncated"),
    "header alone": (lambda: encoded(texture(1), "JPEG")[:20], "truncated"),
    "float tiff": (lambda: encoded(Image.fromarray(np.eye(40, dtype=np.float32)), "TIFF"), "float"),
    "32-bit tiff": (lambda: encoded(Image.fromarray(np.eye(40, dtype=np.int32) * 10**6), "TIFF"), "float"),
    "animated gif": (lambda: animation("GIF"), "multiframe"),
    "animated png": (lambda: animation("PNG"), "multiframe"),
    "animated webp": (lambda: animation("WEBP"), "multiframe"),
    "tiff of two pages": (lambda: animation("TIFF"), "multiframe"),
    "too many pixels": (lambda: encoded(halves(size=(400, 300))), "too_large"),
    "too small": (lambda: encoded(halves(size=(60, 15))), "too_small"),
    "a strip": (lambda: encoded(halves(size=(200, 40))), "extreme_aspect"),
    "one colour": (lambda: encoded(halves(RED, RED)), "empty"),
    "wholly transparent": (lambda: encoded(halves((*RED, 0), (*BLUE, 0), "RGBA")), "empty"),
}


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


@pytest.mark.parametrize("kind", REFUSED)
def test_bad_file_is_refused_with_its_code(kind: str) -> None:
    make, code = REFUSED[kind]
    with pytest.raises(Refused) as caught:
        images.decode(make(), LIMITS)
    assert caught.value.code == code
    assert code in str(caught.value)


def test_pixels_are_counted_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(halves(size=(400, 300)))
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(Refused, match="too_large"):
        images.decode(data, LIMITS)


def test_pixel_limit_is_ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert images.decode(encoded(halves()), LIMITS).image.size == (60, 40)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_large_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as stream:
        stream.truncate(LIMITS.max_bytes + 1)
    with pytest.raises(Refused, match="too_large"):
        images.decode(path, LIMITS)


def test_pipe_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "pipe.jpg"
    os.mkfifo(path)
    outcome: list[str] = []

    def read() -> None:
        try:
            images.decode(path, LIMITS)
        except Refused as refusal:
            outcome.append(refusal.code)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(10)
    assert outcome == ["not_regular"]


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="unreadable"):
        images.decode(tmp_path / "none.png", LIMITS)


@given(
    st.binary(max_size=400), st.sampled_from([b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\x00"])
)
def test_any_bytes_are_decoded_or_refused(data: bytes, start: bytes) -> None:
    with contextlib.suppress(Refused):
        images.decode(start + data, LIMITS)


@given(st.data())
def test_damaged_image_is_decoded_or_refused(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"]))
    content = bytearray(encoded(texture(3), kind))
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[at] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(Refused):
        assert images.decode(bytes(content), LIMITS).image.mode == "RGB"


def test_tensor_holds_the_levels_and_comes_back() -> None:
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(8, 32)[..., None].repeat(3, 2))
    tensor = images.to_tensor(ramp)
    assert tensor.shape == (3, 8, 32)
    assert (tensor.min().item(), tensor.max().item()) == (-1.0, 1.0)
    assert np.array_equal(np.asarray(images.to_image(tensor)), np.asarray(ramp))


def test_tensor_beyond_the_range_is_clipped() -> None:
    import torch

    values = torch.tensor([-7.0, 7.0, float("nan")]).expand(3, 1, 3)
    assert np.asarray(images.to_image(values))[0].tolist() == [[0, 0, 0], [255, 255, 255], [0, 0, 0]]


def test_view_is_the_centre_square() -> None:
    picture = Image.new("RGB", (300, 100), BLUE)
    picture.paste(RED, (100, 0, 200, 100))
    view = images.square_view(picture, 50)
    assert view.size == (50, 50)
    assert {view.getpixel((x, y)) for x in (5, 25, 44) for y in (5, 25, 44)} == {RED}


def test_view_is_antialiased() -> None:
    board = Image.fromarray(np.indices((200, 200)).sum(0).astype(np.uint8) % 2 * 255).convert("RGB")
    assert np.asarray(images.square_view(board, 50)).std() < 8


def test_small_image_is_enlarged_and_a_large_one_left() -> None:
    assert images.at_least(texture(1, 30, 20), 40).size == (60, 40)
    large = texture(1, 90, 50)
    assert images.at_least(large, 40) is large


def test_grid_places_every_image() -> None:
    tile = [Image.new("RGB", (20, 10), colour) for colour in (RED, BLUE)]
    sheet = images.grid([tile, [tile[1]]], gap=4)
    assert sheet.size == (52, 32)
    assert [sheet.getpixel(at) for at in ((5, 5), (29, 5), (5, 19), (29, 19))] == [RED, BLUE, BLUE, WHITE]
    labelled = images.grid([tile], labels=["before", "after"], gap=4)
    assert labelled.height > 18
    assert np.asarray(labelled)[:20].min() < 100  # something is written
    with pytest.raises(ValueError, match="at least one image"):
        images.grid([])


def test_module_needs_no_torch_to_decode() -> None:
    import subprocess
    import sys

    code = "import sys, pipeline.images; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_stream_is_closed_after_decoding(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    stream = io.BytesIO(encoded(halves()))
    path = tmp_path / "a.png"
    path.write_bytes(stream.getvalue())
    images.decode(path, LIMITS)
    assert not [warning for warning in recwarn if warning.category is ResourceWarning]
