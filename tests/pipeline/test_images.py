"""Decoding under limits and of damaged files; tensors; views. Each kind of file has a line in intake/kinds.py."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline import images
from pipeline.images import Limits, Refused
from tests.pipeline.intake.encoders import ADOBE, rgb_profile
from tests.pipeline.intake.kinds import KINDS, heic, without_heic
from tests.pipeline.pictures import encoded, texture

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # remarks on the metadata of damaged files
LIMITS = Limits(min_side=16, max_pixels=100_000, max_bytes=1_000_000, max_aspect=4.0)
RED, BLUE = (230, 30, 40), (20, 40, 210)


def halves(
    left: object = RED, right: object = BLUE, mode: str = "RGB", size: tuple[int, int] = (60, 40)
) -> Image.Image:
    """Return an image of two flat halves."""
    image = Image.new(mode, size, left)  # type: ignore[arg-type]
    image.paste(right, (size[0] // 2, 0, *size))  # type: ignore[arg-type]
    return image


def test_path_and_bytes_give_the_same_and_no_metadata(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    data = encoded(halves(), exif=exif, icc_profile=rgb_profile(ADOBE), dpi=(300, 300))
    path = tmp_path / "name.that.lies.txt"
    path.write_bytes(data)
    first, second = images.decode(path, LIMITS), images.decode(data, LIMITS)
    assert (first.image, first.format, first.flags) == (second.image, second.format, second.flags)
    assert (first.format, first.flags) == ("png", ("oriented", "profile"))
    assert not first.image.info
    assert not first.image.getexif()


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.seen is not None and not kind.needs()])
def test_conversion_in_strips_changes_nothing(name: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    KINDS[name].make(tmp_path / "a")
    whole = images.decode(tmp_path / "a", LIMITS)
    monkeypatch.setattr(images, "_STRIP", 7 * 96)
    assert images.decode(tmp_path / "a", LIMITS) == whole


def test_part_of_any_size_is_no_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    image = texture(1)
    with pytest.raises(Image.DecompressionBombError):
        image.crop((5, 6, 70, 60))
    part = images.cropped(image, (5, 6, 70, 60))
    assert np.array_equal(np.asarray(part), np.asarray(image)[6:60, 5:70])


def test_heic_without_the_extra_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"\0\0\0\x1cftypheic\0\0\0\0mif1heic" if without_heic() else heic(texture(1))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # importing it fails
    with pytest.raises(Refused, match=r"pip install 'style-atelier\[heic\]'") as caught:
        images.decode(data, LIMITS)
    assert caught.value.code == "unreadable"


def lost_profile() -> bytes:
    """Return a TIFF whose profile lies beyond the end of the file; Pillow goes on without it."""
    data = bytearray(encoded(halves(), "TIFF", icc_profile=rgb_profile(ADOBE)))
    entry = data.index(struct.pack("<HH", 34675, 7))
    data[entry + 8 : entry + 12] = struct.pack("<I", len(data) - 4)
    return bytes(data)


def test_lost_data_is_refused_where_it_would_change_the_picture(recwarn: pytest.WarningsRecorder) -> None:
    with pytest.raises(Refused, match="tag 34675") as caught:
        images.decode_strictly(lost_profile(), LIMITS)
    assert (caught.value.code, caught.value.extension) == ("truncated", "tif")
    broken = encoded(halves(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\xff\xff")
    assert images.decode_strictly(broken, LIMITS).image.size == (60, 40)
    assert not list(recwarn)


def test_warning_of_a_bomb_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = Image.Image.load

    def load(self: Image.Image) -> object:
        Image._decompression_bomb_check((LIMITS.max_pixels // 10, 11))  # as a decoder does that finds a larger frame
        return loaded(self)

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(Refused, match="too_large"):
        images.decode_strictly(encoded(halves()), LIMITS)
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("error", [MemoryError(), OSError("out of memory error when reading image file")])
def test_lack_of_memory_is_none_of_the_file(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: Image.Image) -> object:
        raise error

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with pytest.raises(MemoryError):
        images.decode(encoded(halves()), LIMITS)


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


STARTS = [b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\xff\0\0\0WEBP", b"\0\0\0\x1cftypavif"]
STARTS += [b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"\0\0\0\x1cftypheic"]


@given(st.binary(max_size=400), st.sampled_from(STARTS))
def test_any_bytes_are_decoded_or_refused(data: bytes, start: bytes) -> None:
    with contextlib.suppress(Refused):
        images.decode(start + data, LIMITS)


@given(st.data())
def test_damaged_image_is_decoded_or_refused(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "AVIF", "MPO"]))
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
    assert [sheet.getpixel(at) for at in ((5, 5), (29, 5), (5, 19), (29, 19))] == [RED, BLUE, BLUE, (255,) * 3]
    labelled = images.grid([tile], labels=["before", "after"], gap=4)
    assert labelled.height > 18
    assert np.asarray(labelled)[:20].min() < 100  # something is written
    with pytest.raises(ValueError, match="at least one image"):
        images.grid([])


def test_module_needs_no_torch_to_decode() -> None:
    import subprocess

    code = "import sys, pipeline.images; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_stream_is_closed_after_decoding(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    stream = io.BytesIO(encoded(halves()))
    path = tmp_path / "a.png"
    path.write_bytes(stream.getvalue())
    images.decode(path, LIMITS)
    assert not [warning for warning in recwarn if warning.category is ResourceWarning]
