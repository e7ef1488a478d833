"""Which image formats are opened at all, how a file is told to be of one, and why it is of none."""

from __future__ import annotations

import io
import struct
import threading
from typing import BinaryIO

import numpy as np
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

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
    "HEIF": "heic",  # through the extra `heic`
}
SUFFIXES = {
    "jpg": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "png": (".png", ".apng"),
    "webp": (".webp",),
    "tif": (".tif", ".tiff"),
    "bmp": (".bmp", ".dib"),
    "gif": (".gif",),
    "avif": (".avif", ".avifs"),
    "heic": (".heic", ".heif", ".hif", ".heics", ".heifs"),
}
_JPEG, _PNG, _GIF, _RIFF = b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"RIFF"  # how files begin
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Tags of a TIFF that say where and how pixels and colours are stored: Pillow goes on without one that it cannot read.
_LAYOUT = {258, 259, 262, 273, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325, 338, 339, 347, 34675}
_AVIF = (b"avif", b"avis")  # what follows "ftyp" at the beginning of a file
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")


class Refused(ValueError):  # noqa: N818 (a decision about an image, as its users read it)
    """An image that is not accepted: a reason `code`, the `detail` in words, the format if it was recognised."""

    def __init__(self, code: str, detail: str, extension: str = "") -> None:
        """Say why: `code` is one of the manifest's reason codes."""
        super().__init__(f"image refused as {code}: {detail}")
        self.code = code
        self.detail = detail
        self.extension = extension


_OPENING = threading.Lock()


def identify(stream: BinaryIO) -> tuple[Image.Image, str]:
    """Return an image, opened and not yet decoded, and its extension.

    Raises:
        Refused: not_image, truncated, unreadable, float.
    """
    head = stream.read(16)
    stream.seek(0)
    if not head:
        raise Refused("not_image", "it has no bytes")
    try:
        with _OPENING:
            # Pillow's own limit is a global below ours; it is lifted while headers are read, ours follows.
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                image = Image.open(stream, formats=_formats(head))
            finally:
                Image.MAX_IMAGE_PIXELS = limit
        if isinstance(image, TiffImagePlugin.TiffImageFile) and (lost := _layout_tags(stream) - set(image.tag_v2)):
            raise Refused("truncated", f"its directory names tag {min(lost)}, whose content cannot be read", "tif")
    except UnidentifiedImageError as error:
        if _brand(head) in _HEIC and not _has_heic():
            raise Refused(
                "unreadable", "it is HEIC, which an extra of this program reads: pip install 'style-atelier[heic]'"
            ) from error
        raise _unidentified(stream, head) from error
    except (Refused, MemoryError):
        raise
    except Exception as error:  # a hostile header may raise nearly anything
        raise load_failure(error) from error
    return image, EXTENSIONS[str(image.format)]


def _formats(head: bytes) -> list[str]:
    """Return Pillow's names of the formats that a file with this beginning may have, each registered."""
    Image.init()  # a Pillow built without AVIF lacks that one
    with_heic = _brand(head) in _HEIC and _has_heic()
    if with_heic:
        import pillow_heif

        pillow_heif.register_heif_opener()
    return [name for name in EXTENSIONS if name in Image.OPEN and (name != "HEIF" or with_heic)]


def _brand(head: bytes) -> bytes:
    """Return what a file of the family of MP4 says it is, nothing if it is of another."""
    return head[8:12] if head[4:8] == b"ftyp" else b""


def _has_heic() -> bool:
    try:
        import pillow_heif  # noqa: F401 (optional)
    except ImportError:
        return False
    return True


def _unidentified(stream: BinaryIO, head: bytes) -> Refused:
    """Return why a file was not recognised as an image."""
    if head.startswith(_TIFF):
        directory = _tiff_directory(stream)
        whole = bool(directory)
        if directory and 3 in np.atleast_1d(directory.get(TiffImagePlugin.SAMPLEFORMAT, 1)):
            return Refused("float", "floating-point samples have no defined white")
    elif head.startswith((_JPEG, _PNG, _GIF)) or (head.startswith(_RIFF) and head[8:12] == b"WEBP"):
        whole = _is_whole(stream, head)
    elif _brand(head) in (*_AVIF, *_HEIC):
        whole = _has_whole_boxes(stream)
    else:
        return Refused("not_image", "its content is none of the image formats that are read")
    if whole:
        return Refused("unreadable", "its header is damaged, or of a kind of its format that is not read")
    return Refused("truncated", "it begins like an image and ends too early")


def _tiff_directory(stream: BinaryIO) -> TiffImagePlugin.ImageFileDirectory_v2 | None:
    """Return the tags of a TIFF's first page, None if they cannot be read."""
    try:
        stream.seek(0)
        head = stream.read(8)
        head += stream.read(8) if 43 in head[2:4] else b""  # a TIFF beyond 4 GB
        directory = TiffImagePlugin.ImageFileDirectory_v2(head)
        stream.seek(directory.next)
        directory.load(stream)
        return directory if TiffImagePlugin.IMAGEWIDTH in directory else None
    except Exception:  # as damaged bytes go
        return None


def _layout_tags(stream: BinaryIO) -> set[int]:
    """Return the tags in a TIFF's first directory that say where or how its pixels and colours are stored."""
    stream.seek(0)
    head = stream.read(16)
    order, big = "<" if head.startswith(b"II") else ">", 43 in head[2:4]
    (offset,) = struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)
    stream.seek(offset)
    (count,) = struct.unpack(order + ("Q" if big else "H"), stream.read(8 if big else 2))
    entry = struct.Struct(order + ("HHQ8x" if big else "HHI4x"))
    found = (entry.unpack(stream.read(entry.size)) for _ in range(count))
    return {tag for tag, _, values in found if values and tag in _LAYOUT}


def _is_whole(stream: BinaryIO, head: bytes) -> bool:
    """Return whether a file ends as its format does."""
    size = stream.seek(0, io.SEEK_END)
    if head.startswith(_RIFF):
        return size >= 8 + int.from_bytes(head[4:8], "little")
    stream.seek(max(0, size - 64))
    end = {_JPEG: b"\xff\xd9", _PNG: b"IEND", _GIF: b";"}
    return end[next(start for start in end if head.startswith(start))] in stream.read()


def _has_whole_boxes(stream: BinaryIO) -> bool:
    """Return whether the last box of AVIF or HEIC ends where the file does."""
    size, at = stream.seek(0, io.SEEK_END), 0
    for _ in range(1000):  # real files have a handful
        stream.seek(at)
        head = stream.read(16)
        length = int.from_bytes(head[:4])
        if length == 1:
            length = int.from_bytes(head[8:])
        if not 8 <= length <= size - at:
            return length == 0  # until the end, whichever that is
        at += length
        if at == size:
            return True
    return False


def load_failure(error: Exception) -> Refused:
    """Return the refusal that an error of Pillow's means: too_large, truncated, unreadable.

    Raises:
        MemoryError: it means that.
    """
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return Refused("too_large", str(error))
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if "out of memory" in text.lower():  # what some decoders say instead of MemoryError
        raise MemoryError(text) from error
    signs = ("truncat", "broken data", "unexpected end", "premature", "not enough", "eof", "could not create decoder")
    cut_off = isinstance(error, EOFError) or any(sign in text.lower() for sign in signs)
    return Refused("truncated" if cut_off else "unreadable", text)
