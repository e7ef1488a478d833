"""Every kind of file that a drop folder may hold, and what must become of it.

Pictures are charts of 6 x 5 patches of 16 px: what each patch looks like is known from the definition of the format,
and no edge is of one colour, so that nothing is taken for a border.
"""

from __future__ import annotations

import io
import os
import socket
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.pipeline.intake.encoders import (
    ADOBE,
    P3,
    SRGB,
    chunk,
    cmyk_profile,
    grey_profile,
    jpeg_of,
    png,
    rgb_profile,
    segments,
    srgb_of,
    srgb_of_lab,
    tiff,
    to_linear,
)
from tests.pipeline.pictures import encoded, texture

PATCH, COLUMNS, ROWS = 16, 6, 5
WIDTH, HEIGHT = COLUMNS * PATCH, ROWS * PATCH
LIMITS = {
    "min_side": 32,
    "max_pixels": 100_000_000,
    "max_bytes": 20_000_000,
    "max_aspect": 8.0,
    "quiet_seconds": 60.0,
    "decode_seconds": 2.0,
    "decoder_memory_mb": 256,
    "workers": 2,
}
Array = np.ndarray
REMOVED = b"removed.png"  # its bytes have a tombstone


@dataclass(frozen=True)
class Kind:
    """One file: how it is made, and what becomes of it.

    make writes the file at the path that it is given. outcome is `accepted`, `left`, or the code of a refusal. For an
    accepted file: the stored format, flags, the part that is not border, and the colours that the patches must show,
    (5, 6, 3) of 0..255, each within `tolerance`.
    """

    make: Callable[[Path], None]
    outcome: str = "accepted"
    format: str = "png"
    flags: frozenset[str] = frozenset()
    seen: Array | None = None
    tolerance: int = 0
    box: tuple[int, int, int, int] | None = None
    needs: Callable[[], str] = lambda: ""  # why it cannot be made here, if it cannot


KINDS: dict[bytes, Kind] = {}  # by the file's name


def colours(seed: int, low: int = 45, high: int = 210) -> Array:
    """Return 5 x 6 colours that every space here can show, (5, 6, 3) of 0..255."""
    draw = np.random.default_rng(seed)
    greys = draw.integers(low, high, (ROWS, COLUMNS, 1))
    return np.clip(greys + draw.integers(-25, 26, (ROWS, COLUMNS, 3)), 0, 255)


def chart(patches: Array) -> Array:
    """Return patches as pixels: each 16 x 16."""
    return patches.repeat(PATCH, 0).repeat(PATCH, 1)


def picture(patches: Array, mode: str = "RGB") -> Image.Image:
    """Return patches, 8 bits a channel, as an image."""
    pixels = chart(patches).astype(np.uint8)
    planes = [Image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(np.atleast_3d(pixels), 2, 0)]
    return Image.merge(mode, planes) if len(planes) > 1 else planes[0].convert(mode)


def levels(values: Array) -> Array:
    """Return values 0..1 as levels 0..255."""
    return values * 255


def grey(patches: Array) -> Array:
    """Return (5, 6) levels as colours."""
    return patches[..., None].repeat(3, 2)


def accept(
    name: str | bytes,
    data: bytes | Callable[[], bytes],
    seen: Array | None,
    *flags: str,
    format: str = "png",
    tolerance: int = 0,
    **more: Any,
) -> None:
    """Note a file that is taken."""
    key = os.fsencode(name)
    assert key not in KINDS
    KINDS[key] = Kind(_writes(data), "accepted", format, frozenset(flags), seen, tolerance, **more)


def refuse(name: str | bytes, code: str, data: bytes | Callable[[], bytes] | None = None, **more: Any) -> None:
    """Note a file that is refused (or left)."""
    key = os.fsencode(name)
    assert key not in KINDS
    KINDS[key] = Kind(make=more.pop("make", None) or _writes(data or b""), outcome=code, **more)


def _writes(data: bytes | Callable[[], bytes]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(data if isinstance(data, bytes) else data())

    return write


# -- plain files of every format ------------------------------------------------------------------------------------


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


A = colours(1)
accept("plain.png", encoded(picture(A)), A)
accept("interlaced.png", png(chart(colours(2)), kind=2, interlaced=True), colours(2))
accept("plain.jpg", encoded(picture(A), "JPEG", quality=95), A, format="jpg", tolerance=3)
accept("progressive.jpg", encoded(picture(A), "JPEG", quality=95, progressive=True), A, format="jpg", tolerance=3)
accept("large.jpeg", encoded(texture(9, 640, 480), "JPEG"), None, format="jpg")
accept("lossy.webp", encoded(picture(A), "WEBP", quality=95), A, format="webp", tolerance=8)
accept("lossless.webp", encoded(picture(A), "WEBP", lossless=True), A, format="webp")
accept("plain.tif", encoded(picture(A), "TIFF"), A, format="tif")
accept("packed.tiff", encoded(picture(A), "TIFF", compression="tiff_lzw"), A, format="tif")
accept("big end.tif", tiff(chart(A).astype(np.uint8), 2, ">"), A, format="tif")
accept("planes.tif", tiff(chart(A).astype(np.uint8), 2, planar=True), A, format="tif")
accept("jpeg in.tif", encoded(picture(A), "TIFF", compression="jpeg", quality=95), A, format="tif", tolerance=3)
accept("plain.bmp", encoded(picture(A), "BMP"), A, format="bmp")
accept("plain.avif", encoded(picture(A), "AVIF", quality=95, subsampling="4:4:4"), A, format="avif", tolerance=4)
EIGHT = np.array([[(i * 5 + j * 7) % 8 for j in range(COLUMNS)] for i in range(ROWS)])  # which of eight colours
ALL = colours(3).reshape(-1, 3)[:8]
_indexed = picture(EIGHT, "L").convert("P")
_indexed.putpalette(ALL.astype(np.uint8).tobytes())
accept("plain.gif", encoded(_indexed, "GIF"), ALL[EIGHT], "palette", format="gif")
MPO = encoded(picture(A), "MPO", quality=95, save_all=True, append_images=[picture(colours(4))])
accept("stereo.mpo", MPO, A, "mpo", format="jpg", tolerance=3)


def heic(image: Image.Image, **options: Any) -> bytes:
    import pillow_heif

    pillow_heif.register_heif_opener()
    return encoded(image, "HEIF", quality=100, chroma=444, **options)


def without_heic() -> str:
    try:
        import pillow_heif  # noqa: F401
    except ImportError:
        return "the extra `heic` is not installed"
    return ""


accept("plain.heic", lambda: heic(picture(A)), A, format="heic", tolerance=4, needs=without_heic)
accept("lies.png", encoded(picture(A), "JPEG", quality=94), A, "misnamed", format="jpg", tolerance=3)
accept("no suffix", encoded(picture(colours(5))), colours(5), "misnamed")

# -- geometry: EXIF orientation says where the first row and the first column of what is stored are seen ------------

# orientation -> (y, x) at which the stored pixel of row r, column c is seen in a picture of HEIGHT x WIDTH
_SEEN_AT: dict[int, Callable[[Array, Array], tuple[Array, Array]]] = {
    2: lambda r, c: (r, WIDTH - 1 - c),  # first row on top, first column at the right
    3: lambda r, c: (HEIGHT - 1 - r, WIDTH - 1 - c),  # bottom, right
    4: lambda r, c: (HEIGHT - 1 - r, c),  # bottom, left
    5: lambda r, c: (c, r),  # left, top
    6: lambda r, c: (c, WIDTH - 1 - r),  # right, top
    7: lambda r, c: (HEIGHT - 1 - c, WIDTH - 1 - r),  # right, bottom
    8: lambda r, c: (HEIGHT - 1 - c, r),  # left, bottom
}


def stored(pixels: Array, orientation: int) -> Image.Image:
    """Return pixels as a camera that writes this orientation stores them."""
    shape = (WIDTH, HEIGHT) if orientation > 4 else (HEIGHT, WIDTH)
    return Image.fromarray(pixels[_SEEN_AT[orientation](*np.indices(shape))].astype(np.uint8))


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


for _number in _SEEN_AT:
    _turned = encoded(stored(chart(A), _number), "JPEG", exif=exif(_number), quality=95)
    accept(f"orientation {_number}.jpg", _turned, A, "oriented", format="jpg", tolerance=3)
accept("turned.png", encoded(stored(chart(A), 6), exif=exif(6)), A, "oriented")
accept("turned.tif", encoded(stored(chart(A), 8), "TIFF", exif=exif(8)), A, "oriented", format="tif")
accept(
    "turned.webp", encoded(stored(chart(A), 5), "WEBP", lossless=True, exif=exif(5)), A, "oriented", format="webp"
)
accept("orientation of nonsense.png", encoded(picture(A), exif=exif(77)), A)
accept(
    "broken exif.jpg", encoded(picture(A), "JPEG", quality=93, exif=b"Exif\0\0MM\0*\0\0\xff\xff"), A,
    format="jpg", tolerance=3,
)  # fmt: skip
accept(
    "turned.heic", lambda: heic(stored(chart(A), 6), exif=exif(6).tobytes()), A,
    format="heic", tolerance=4, needs=without_heic,
)  # fmt: skip
_framed = Image.new("RGB", (160, 140), "white")
_framed.paste(texture(11, 112, 98), (24, 21))
accept("on white.png", encoded(_framed), None, "border", box=(24, 21, 136, 119))

# -- colour ---------------------------------------------------------------------------------------------------------

accept("srgb.png", encoded(picture(A), icc_profile=rgb_profile(SRGB)), A, "profile", tolerance=1)
accept("srgb by name.png", encoded(picture(A), icc_profile=rgb_profile(SRGB, name="sRGB IEC61966-2.1")), A)
accept(
    "adobe.jpg", encoded(picture(A), "JPEG", quality=95, subsampling=0, icc_profile=rgb_profile(ADOBE, [563 / 256])),
    levels(srgb_of((A / 255) ** (563 / 256), ADOBE)), "profile", format="jpg", tolerance=5,
)  # fmt: skip
accept(
    "adobe.png", encoded(picture(A), icc_profile=rgb_profile(ADOBE, [563 / 256])),
    levels(srgb_of((A / 255) ** (563 / 256), ADOBE)), "profile", tolerance=1,
)  # fmt: skip
accept(
    "display p3.png", encoded(picture(A), icc_profile=rgb_profile(P3)),
    levels(srgb_of(to_linear(A / 255), P3)), "profile", tolerance=1,
)  # fmt: skip
accept(
    "display p3 with alpha.webp",
    encoded(
        picture(np.dstack([A, A[..., :1]]), "RGBA"), "WEBP", lossless=True, exact=True, icc_profile=rgb_profile(P3)
    ),
    levels(srgb_of(to_linear(A / 255), P3)) * (A[..., :1] / 255) + 255 - A[..., :1],
    "profile", "alpha", format="webp", tolerance=2,
)  # fmt: skip
_PRESS = cmyk_profile(np.zeros((2, 2, 2, 2, 3)))
accept("profile of a press in rgb.png", encoded(picture(A), icc_profile=_PRESS), A, "bad_profile")
accept("profile of nonsense.png", encoded(picture(A), icc_profile=b"nonsense" * 40), A, "bad_profile")
G = A[..., 0]
accept("grey.png", encoded(picture(G, "L")), grey(G), "greyscale")
accept("grey.jpg", encoded(picture(G, "L"), "JPEG", quality=95), grey(G), "greyscale", format="jpg", tolerance=2)
accept("grey in rgb.png", encoded(picture(grey(G))), grey(G), "greyscale")
accept(
    "grey of gamma 1.8.png", encoded(picture(G, "L"), icc_profile=grey_profile(1.8)),
    levels(srgb_of(grey(G / 255) ** 1.8, SRGB)), "greyscale", "profile", tolerance=2,
)  # fmt: skip
accept(
    "grey with an rgb profile.png", encoded(picture(G, "L"), icc_profile=rgb_profile(ADOBE, [563 / 256])),
    levels(srgb_of(grey(G / 255) ** (563 / 256), ADOBE)), "greyscale", "profile", tolerance=1,
)  # fmt: skip
BIT = G > 128
accept("1 bit.png", encoded(picture(BIT * 255, "L").convert("1")), grey(BIT * 255), "greyscale")
accept("zero is white.tif", tiff(chart(255 - G)[..., None].astype(np.uint8), 0), grey(G), "greyscale", format="tif")
accept("16-bit grey.png", png(chart(G * 257 + 60)[..., None], kind=0, depth=16), grey(G), "greyscale", "sixteen_bit")
accept(
    "16-bit grey.tif", tiff(chart(G * 257 - 60)[..., None].astype(np.uint16), 1),
    grey(G), "greyscale", "sixteen_bit", format="tif",
)  # fmt: skip
accept(
    "16-bit grey, big end.tif", tiff(chart(G * 257)[..., None].astype(np.uint16), 1, ">"),
    grey(G), "greyscale", "sixteen_bit", format="tif",
)  # fmt: skip
accept("16-bit rgb.png", png(chart(A * 257), kind=2, depth=16), A, "sixteen_bit")
accept("16-bit rgb.tif", tiff(chart(A * 257).astype(np.uint16), 2), A, "sixteen_bit", format="tif")
accept("palette.png", encoded(_indexed), ALL[EIGHT], "palette")
accept(
    "palette, one colour transparent.png", encoded(_indexed, transparency=3),
    np.where((EIGHT == 3)[..., None], 255, ALL[EIGHT]), "palette", "alpha",
)  # fmt: skip
_CLEAR = np.arange(8) * 36
accept(
    "palette, each colour its own transparency.png", encoded(_indexed, transparency=bytes(_CLEAR.tolist())),
    ALL[EIGHT] * (_CLEAR[EIGHT] / 255)[..., None] + (255 - _CLEAR[EIGHT])[..., None], "palette", "alpha", tolerance=1,
)  # fmt: skip
HOLES = (np.indices((ROWS, COLUMNS)).sum(0) % 3 == 0)[..., None]
accept(
    "hidden colour.png", encoded(picture(np.dstack([A, np.where(HOLES, 0, 255)]), "RGBA")),
    np.where(HOLES, 255, A), "alpha",
)  # fmt: skip
accept(
    "half transparent.png", encoded(picture(np.dstack([A, np.where(HOLES, 128, 255)]), "RGBA")),
    np.where(HOLES, A * (128 / 255) + 127, A), "alpha", tolerance=1,
)  # fmt: skip
accept("opaque alpha.png", encoded(picture(np.dstack([A, np.full_like(A[..., :1], 255)]), "RGBA")), A)
accept(
    "grey with alpha.png", encoded(picture(np.dstack([G[..., None], np.where(HOLES, 0, 255)]), "LA")),
    np.where(HOLES, 255, grey(G)), "alpha", "greyscale",
)  # fmt: skip
_CLEARED = A[2, 2]
accept(
    "one colour of rgb transparent.png",
    png(chart(A), chunk(b"tRNS", struct.pack(">3H", *_CLEARED)), kind=2),
    np.where((_CLEARED == A).all(2, keepdims=True), 255, A), "alpha",
)  # fmt: skip
accept(
    "one level of 16-bit grey transparent.png",
    png(chart(G * 257)[..., None], chunk(b"tRNS", struct.pack(">H", _CLEARED[0] * 257)), kind=0, depth=16),
    np.where((_CLEARED[0] == G)[..., None], 255, grey(G)), "alpha", "greyscale", "sixteen_bit",
)  # fmt: skip
accept(
    "16-bit with alpha.png", png(chart(np.dstack([A, np.where(HOLES, 0, 255)]) * 257), kind=6, depth=16),
    np.where(HOLES, 255, A), "alpha", "sixteen_bit",
)  # fmt: skip
accept(
    "alpha.webp", encoded(picture(np.dstack([A, np.where(HOLES, 0, 255)]), "RGBA"), "WEBP", lossless=True),
    np.where(HOLES, 255, A), "alpha", format="webp",
)  # fmt: skip
INKS = np.dstack([255 - A, colours(8)[..., :1] // 2])
PRINTED = (255 - INKS[..., :3]) * (255 - INKS[..., 3:]) / 255
accept("cmyk.tif", tiff(chart(INKS).astype(np.uint8), 5), PRINTED, "cmyk", format="tif", tolerance=1)
_ADOBE = encoded(picture(INKS, "CMYK"), "JPEG", quality=95)  # Pillow writes it as Adobe does: inverted, and marked
accept("cmyk as adobe writes it.jpg", _ADOBE, PRINTED, "cmyk", format="jpg", tolerance=3)
_plain = [part for part in segments(encoded(picture(255 - INKS, "CMYK"), "JPEG", quality=95)) if part[1] != 0xEE]
accept("cmyk as the standard says.jpg", jpeg_of(_plain), PRINTED, "cmyk", format="jpg", tolerance=3)
_ycc = np.asarray(Image.fromarray(INKS[..., :3].astype(np.uint8)).convert("YCbCr")).astype(int)
_ycck = segments(encoded(picture(255 - np.dstack([_ycc, 255 - INKS[..., 3:]]), "CMYK"), "JPEG", quality=97))
_ycck = [part[:-1] + b"\2" if part[1] == 0xEE else part for part in _ycck]  # Adobe's mark says that they are YCC
accept("ycck.jpg", jpeg_of(_ycck), PRINTED, "cmyk", format="jpg", tolerance=4)
_OVERPRINTS = np.random.default_rng(10).uniform((40, -15, -15), (90, 15, 15), (2, 2, 2, 2, 3))
_OVERPRINTS[0, 0, 0, 0], _OVERPRINTS[1, 1, 1, 1] = (100, 0, 0), 0  # paper, and all inks
_WHICH = np.random.default_rng(11).integers(0, 2, (ROWS, COLUMNS, 4))
accept(
    "cmyk of a press.tif",
    encoded(picture(_WHICH * 255, "CMYK"), "TIFF", icc_profile=cmyk_profile(_OVERPRINTS)),
    levels(srgb_of_lab(_OVERPRINTS[tuple(np.moveaxis(_WHICH, 2, 0))])), "cmyk", "profile", format="tif", tolerance=3,
)  # fmt: skip
LAB = np.random.default_rng(12).integers((30, -15, -15), (90, 16, 16), (ROWS, COLUMNS, 3))
_CODES = np.dstack([(LAB[..., 0] * 2.55).round(), LAB[..., 1:] % 256])  # TIFF: L* 0..255, a* and b* signed
accept(
    "lab.tif", tiff(chart(_CODES).astype(np.uint8), 8),
    levels(srgb_of_lab(np.dstack([_CODES[..., :1] / 2.55, LAB[..., 1:]]))), "lab", format="tif", tolerance=2,
)  # fmt: skip

# -- names ----------------------------------------------------------------------------------------------------------

for _seed, _name in enumerate(
    [
        "Été à Giverny, 画.png".encode(),
        b"two\nlines.png",
        b" spaces .png",
        b"caf\xe9.png",  # Latin 1
        b"case.png",
        b"CASE.png",
        b"-rf.png",
        b"%s %(x)s {0} $HOME;`ls`.png",
        b"x" * 251 + b".png",
    ],
    100,
):
    accept(_name, encoded(picture(colours(_seed))), colours(_seed))
refuse("zz copy.png", "copy", encoded(picture(A)))
refuse("zz link.png", "copy", make=lambda path: path.symlink_to("plain.png"))

# -- refused: no image, or none that can be used --------------------------------------------------------------------



def black(side: int) -> bytes:
    """Return a PNG of side x side black pixels: 12,000 of them take 18 kB."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(side * (1 + (side + 7) // 8))))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


_T = texture(1)
_WHOLE = {
    "png": encoded(_T), "jpg": encoded(_T, "JPEG"), "webp": encoded(_T, "WEBP"), "gif": encoded(_T, "GIF"),
    "bmp": encoded(_T, "BMP"), "tif": encoded(_T, "TIFF", compression="tiff_lzw"), "avif": encoded(_T, "AVIF"),
    "mpo": MPO, "interlaced.png": png(np.asarray(_T), kind=2, interlaced=True),
    "progressive.jpg": encoded(_T, "JPEG", progressive=True),
    "deep.png": png(np.asarray(_T, int) * 257, kind=2, depth=16),
}  # fmt: skip
for _suffix, _data in _WHOLE.items():
    refuse(f"half.{_suffix}", "truncated", half(_data) if _suffix != "mpo" else _data[: len(_data) // 4])
refuse("without its end.png", "truncated", _WHOLE["png"][:-40])
refuse("without its end.jpg", "truncated", _WHOLE["jpg"][:-40])
refuse("header alone.jpg", "truncated", _WHOLE["jpg"][:20])
refuse("header alone.avif", "truncated", _WHOLE["avif"][:40])
refuse("half, raw.tif", "truncated", half(encoded(_T, "TIFF")))
refuse("half, with its directory at the end.tif", "truncated", half(tiff(np.asarray(_T), 2)))
refuse("header alone.tif", "truncated", b"II*\0\x08\0\0\0")
refuse("half.heic", "truncated", lambda: half(heic(_T)), needs=without_heic)
refuse("nothing.png", "not_image", b"")
refuse("letter.txt", "not_image", b"a letter about a painting\n" * 9)
refuse("404.jpg", "not_image", b"<!doctype html><title>404 Not Found</title>")
refuse("drawing.svg", "not_image", b'<svg xmlns="http://www.w3.org/2000/svg" width="99" height="99"/>')
refuse("drawing.eps", "not_image", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\nshowpage\n")
refuse("eps that lies.jpg", "not_image", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 98 98\nshowpage\n")
refuse("book.pdf", "not_image", encoded(_T, "PDF"))
refuse("film.mp4", "not_image", struct.pack(">I4s4sI", 24, b"ftyp", b"isom", 0) + b"isomavc1" + bytes(500))
refuse("another format.ppm", "not_image", encoded(_T, "PPM"))
refuse("icon.png", "not_image", encoded(_T, "ICO"))
refuse("sound.webp", "not_image", b"RIFF" + struct.pack("<I", 900) + b"WAVEfmt " + bytes(900))
refuse("twelve bits.jpg", "unreadable", _WHOLE["jpg"].replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"))
refuse("zeros.jpg", "not_image", bytes(4000))
refuse("float.tif", "float", encoded(Image.fromarray(np.eye(64, dtype=np.float32)), "TIFF"))
refuse("float rgb.tif", "float", tiff(np.asarray(_T, np.float32) / 255, 2))
refuse("half float.tif", "float", tiff(np.asarray(_T.convert("L"), np.float16)[..., None], 1))
refuse("32-bit.tif", "float", encoded(Image.fromarray(np.eye(64, dtype=np.int32) * 10**6), "TIFF"))
refuse("16-bit lab.tif", "unreadable", tiff(np.asarray(_T).astype(np.uint16) * 257, 8))
refuse("pages.tif", "multiframe", encoded(_T, "TIFF", save_all=True, append_images=[texture(2)]))
refuse("animated.gif", "multiframe", encoded(_T, "GIF", save_all=True, append_images=[texture(2)]))
refuse("animated.png", "multiframe", encoded(_T, save_all=True, append_images=[texture(2)]))
refuse("animated.webp", "multiframe", encoded(_T, "WEBP", save_all=True, append_images=[texture(2)]))
refuse("animated.avif", "multiframe", encoded(_T, "AVIF", save_all=True, append_images=[texture(2)]))
refuse("several.heic", "multiframe", lambda: heic(_T, save_all=True, append_images=[texture(2)]), needs=without_heic)
refuse("bomb.png", "too_large", lambda: black(12_000))
refuse("bomb.gif", "too_large", lambda: encoded(_T, "GIF").replace(struct.pack("<HH", 96, 80), b"\xff" * 4, 1))
refuse("bomb.jpg", "too_large", lambda: encoded(_T, "JPEG").replace(struct.pack(">HH", 80, 96), b"\xff\xf0" * 2, 1))
refuse("too many bytes.png", "too_large", make=lambda path: os.truncate(_touched(path), 20_000_001))
refuse("small.png", "too_small", encoded(texture(1, 90, 31)))
refuse("strip.png", "extreme_aspect", encoded(texture(1, 400, 40)))
refuse("one colour.png", "empty", encoded(Image.new("RGB", (90, 70), (200, 30, 40))))
refuse("nearly one colour.jpg", "empty", encoded(Image.new("L", (90, 70), 99), "JPEG"))
refuse("wholly transparent.png", "empty", encoded(picture(np.dstack([A, A[..., :1] * 0]), "RGBA")))
refuse("bad.zip", "not_image", b"no archive at all" * 9)
refuse("removed.png", "removed", encoded(texture(77)))

# -- refused: what a worker does not survive, or is no file ---------------------------------------------------------


def slow() -> bytes:
    """Return a JPEG of 260 kB that takes a minute and more: its last scan comes two thousand times."""
    parts = segments(encoded(Image.new("L", (6000, 6000), 128), "JPEG", progressive=True))
    return jpeg_of(parts + parts[-1:] * 2000)


refuse("endless.jpg", "decoder_timeout", slow)
refuse("hungry.png", "decoder_crash", lambda: black(9000))  # a byte a pixel when decoded, and four as RGB


def _touched(path: Path) -> Path:
    path.touch()
    return path


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(path.parent, os.O_RDONLY)
        try:
            server.bind(f"/proc/self/fd/{here}/{path.name}")  # a socket's own path may not be long
        finally:
            os.close(here)


def _device(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))


def no_devices() -> str:
    with tempfile.TemporaryDirectory() as folder:
        try:
            _device(Path(folder) / "zero")
        except OSError:
            return "devices cannot be made here"
    return ""


def _private(path: Path) -> None:
    path.write_bytes(encoded(texture(78)))
    path.chmod(0)


def root() -> str:
    return "root may read everything" if os.geteuid() == 0 else ""


refuse("pipe.png", "not_regular", make=lambda path: os.mkfifo(path))
refuse("socket.png", "not_regular", make=_socket)
refuse("device.png", "not_regular", make=_device, needs=no_devices)
refuse("link to outside.png", "outside", make=lambda path: path.symlink_to("/etc/hostname"))
refuse("link to nothing.png", "unreadable", make=lambda path: path.symlink_to("gone.png"))
refuse("link to itself.png", "unreadable", make=lambda path: path.symlink_to(path.name))
refuse("link to a folder", "not_regular", make=lambda path: path.symlink_to("."))
refuse("private.png", "unreadable", make=_private, needs=root)

# -- left in the inbox ----------------------------------------------------------------------------------------------

refuse("arriving.png", "left", encoded(texture(79)))
refuse("growing.png", "left", make=lambda path: os.truncate(_touched(path), 19_000_000))


def zipped() -> bytes:
    """Return an archive of one good and one bad file, and of files that are nobody's pictures."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("sub/inside.png", encoded(texture(80)))
        archive.writestr("sub/letter inside.txt", b"not a picture")
        archive.writestr("__MACOSX/sub/._inside.png", b"x")
    return stream.getvalue()
