"""Image files and ICC profiles made by hand, for what Pillow reads and does not write; and colour by definition.

Formulas are those of the standards (IEC 61966-2-1, CIE 1976, Adobe RGB (1998), ICC.1) and share nothing with the
libraries that they check.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np

Floats = np.ndarray  # values 0..1, or as said; the last axis holds the channels

SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
ADOBE = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
P3 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
D65, D50 = np.array([0.9505, 1.0, 1.089]), np.array([0.9642, 1.0, 0.8249])
_CONES = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])  # Bradford
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def matrix(primaries: Sequence[tuple[float, float]]) -> Floats:
    """Return linear RGB of a D65 space -> CIE XYZ, from the chromaticities of its primaries."""
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in primaries]).T
    return columns * np.linalg.solve(columns, D65)


def adapted(source: Floats, target: Floats) -> Floats:
    """Return XYZ under one white -> XYZ under another (Bradford)."""
    return np.linalg.inv(_CONES) @ np.diag((_CONES @ target) / (_CONES @ source)) @ _CONES


def from_linear(linear: Floats) -> Floats:
    """Return linear light -> sRGB values, clipped."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def to_linear(values: Floats) -> Floats:
    """Return sRGB values -> linear light."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def srgb_of(linear: Floats, primaries: Sequence[tuple[float, float]]) -> Floats:
    """Return linear light in another D65 space -> sRGB values."""
    return from_linear(linear @ (np.linalg.inv(matrix(SRGB)) @ matrix(primaries)).T)


def srgb_of_lab(lab: Floats) -> Floats:
    """Return CIE Lab under D50 (L 0..100) -> sRGB values."""
    y = (lab[..., 0] + 16) / 116
    curve = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], -1)
    xyz = np.where(curve > 6 / 29, curve**3, 3 * (6 / 29) ** 2 * (curve - 4 / 29)) * D50
    return from_linear(xyz @ (np.linalg.inv(matrix(SRGB)) @ adapted(D50, D65)).T)


def _profile(
    kind: bytes, space: bytes, tags: dict[bytes, bytes], connection: bytes = b"XYZ ", name: str = "made by hand"
) -> bytes:
    description = name.encode("utf-16-be")
    text = struct.pack(">4sIII2s2sII", b"mluc", 0, 1, 12, b"en", b"US", len(description), 28) + description
    tags = {b"desc": text, b"cprt": text, b"wtpt": _xyz(D50), **tags}
    table, body, start = b"", b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">4xI4x4s4s4s", 0x04200000, kind, space, connection) + struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    head += b"acsp" + bytes(28) + _xyz(D50)[8:]
    head = head.ljust(128, b"\0")
    return struct.pack(">I", start + len(body)) + head[4:] + struct.pack(">I", len(tags)) + table + body


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def _xyz(value: Floats) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(*value)


def _curve(parameters: Sequence[float]) -> bytes:
    kind = {1: 0, 5: 3}[len(parameters)]
    return struct.pack(">4sIHH", b"para", 0, kind, 0) + _fixed(*parameters)


def rgb_profile(
    primaries: Sequence[tuple[float, float]], curve: Sequence[float] = _SRGB_CURVE, name: str = "made by hand"
) -> bytes:
    """Return the profile of an RGB display space: D65, and one curve (a gamma, or that of sRGB)."""
    columns = adapted(D65, D50) @ matrix(primaries)
    tags = {name + b"XYZ": _xyz(columns[:, index]) for index, name in enumerate((b"r", b"g", b"b"))}
    tags |= {name + b"TRC": _curve(curve) for name in (b"r", b"g", b"b")}
    return _profile(b"mntr", b"RGB ", tags, name=name)


def grey_profile(gamma: float) -> bytes:
    """Return the profile of a grey scale."""
    return _profile(b"mntr", b"GRAY", {b"kTRC": _curve([gamma])})


def cmyk_profile(lab: Floats) -> bytes:
    """Return the profile of a press: `lab` (2, 2, 2, 2, 3) is what each overprint of full inks looks like."""
    ramp = struct.pack(">HH", 0, 65535)
    codes = np.clip((lab + np.array([0, 128, 128])) * [652.8, 256, 256], 0, 65535).round().astype(">u2")
    table = struct.pack(">4sI4B", b"mft2", 0, 4, 3, 2, 0) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    table += struct.pack(">HH", 2, 2) + ramp * 4 + codes.tobytes() + ramp * 3
    return _profile(b"prtr", b"CMYK", {b"A2B0": table}, b"Lab ")


def png(samples: np.ndarray, *extra: bytes, kind: int, depth: int = 8, interlaced: bool = False) -> bytes:
    """Return a PNG of (H, W, channels) samples; `kind` is its colour type, `extra` are chunks before the pixels."""
    height, width = samples.shape[:2]
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = b""
    for top, left, down, across in passes if interlaced else [(0, 0, 1, 1)]:
        part = samples[top::down, left::across].astype(">u2" if depth == 16 else ">u1")
        rows += b"".join(b"\0" + row.tobytes() for row in part if row.size)
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, int(interlaced))
    chunks = [chunk(b"IHDR", header), *extra, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def chunk(name: bytes, body: bytes) -> bytes:
    """Return one chunk of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def tiff(samples: np.ndarray, photometric: int, order: str = "<", planar: bool = False, **tags: int) -> bytes:
    """Return an uncompressed TIFF of (H, W, channels) samples of any type.

    Args:
        samples: integers, or floating point, which is marked as such.
        photometric: 0 and 1 grey (0: zero is white), 2 RGB, 5 CMYK, 8 CIE Lab.
        order: of bytes.
        planar: one channel after the other.
        tags: number of a tag (`t338=2`) -> its value.
    """
    height, width, channels = samples.shape
    data = np.moveaxis(samples, 2, 0) if planar else samples
    body = np.ascontiguousarray(data).astype(samples.dtype.newbyteorder(order)).tobytes()
    bits = samples.dtype.itemsize * 8
    floats = 3 if samples.dtype.kind == "f" else 1
    plane = len(body) // channels
    strips = [8 + plane * index for index in range(channels)] if planar else [8]
    values: dict[int, tuple[str, list[int]]] = {
        256: ("I", [width]), 257: ("I", [height]), 258: ("H", [bits] * channels), 259: ("H", [1]),
        262: ("H", [photometric]), 273: ("I", strips), 277: ("H", [channels]), 278: ("I", [height]),
        279: ("I", [plane] * channels if planar else [len(body)]), 284: ("H", [2 if planar else 1]),
        339: ("H", [floats] * channels),
    } | {int(name[1:]): ("H", [value]) for name, value in tags.items()}  # fmt: skip
    entries, more = b"", b""
    more_at = 8 + len(body) + 2 + 12 * len(values) + 4
    for tag, (kind, numbers) in sorted(values.items()):
        packed = struct.pack(f"{order}{len(numbers)}{kind}", *numbers)
        if len(packed) > 4:
            more, packed = more + packed, struct.pack(order + "I", more_at + len(more))
        entries += struct.pack(order + "HHI", tag, {"H": 3, "I": 4}[kind], len(numbers)) + packed.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8 + len(body))
    return head + body + struct.pack(order + "H", len(values)) + entries + bytes(4) + more


def segments(jpeg: bytes) -> list[bytes]:
    """Return a JPEG's segments, each with its marker; a scan goes with its header."""
    found, at = [], 2
    while jpeg[at + 1] != 0xD9:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4])
        if jpeg[at + 1] == 0xDA:
            while jpeg[end] != 0xFF or jpeg[end + 1] in (0, *range(0xD0, 0xD8)):
                end += 1
        found.append(jpeg[at:end])
        at = end
    return found


def jpeg_of(parts: Sequence[bytes]) -> bytes:
    """Return the JPEG that segments make."""
    return b"\xff\xd8" + b"".join(parts) + b"\xff\xd9"
