"""Real paintings and photographs with sixty bad files among them: just the bad ones are refused."""

from __future__ import annotations

import random
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.ingest import ingest
from pipeline.manifest import read_manifest
from pipeline.params import load_params
from pipeline.workspace import PHOTOS
from tests.pipeline.pictures import ROOT, encoded, make_workspace

DATA = ROOT.parent / "shared" / "data"
FOLDERS = {"vangogh": DATA / "vangogh", PHOTOS: DATA / "photos"}

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="there are no real images beside the checkout")


def bomb() -> bytes:
    """A PNG of a few kilobytes that says it has 900 million pixels."""
    small = bytearray(encoded(Image.new("1", (64, 64))))
    small[16:24] = (30_000).to_bytes(4, "big") * 2
    small[29:33] = zlib.crc32(small[12:29]).to_bytes(4, "big")
    return bytes(small)


def bad_files(good: list[Path]) -> Iterator[tuple[str, bytes, str]]:
    """Yield name, content and reason code of sixty bad files, made of the good ones."""
    draw = random.Random(5)
    yield "bomb.png", bomb(), "too_large"
    for number in range(6):
        data = good[number].read_bytes()
        image = Image.open(good[number]).convert("RGB")
        other = Image.open(good[number + 6]).convert("RGB").resize(image.size)
        yield f"cut {number}.jpg", data[: draw.randrange(200, len(data) - 400)], "truncated"
        yield f"page {number}.jpg", b"<!DOCTYPE html>%d" % number + data[:99], "not_image"
        if number:
            yield f"letter {number}.png", b"Dear painter, no. %d" % number, "not_image"
        yield f"drawing {number}.svg", b"<svg xmlns='http://www.w3.org/2000/svg' id='%d'/>" % number, "not_image"
        yield f"print {number}.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%" + bytes([65 + number]), "not_image"
        yield f"icon {number}.png", encoded(image.resize((40 + number, 40))), "too_small"
        yield f"banner {number}.png", encoded(image.resize((1200, 70 + number))), "extreme_aspect"
        yield f"blank {number}.png", encoded(Image.new("RGB", (300, 200 + number), (200, 10 * number, 9))), "empty"
        yield f"moving {number}.gif", encoded(image, "GIF", save_all=True, append_images=[other]), "multiframe"
        light = Image.fromarray(np.asarray(image.convert("L")).astype(np.float32) / 255)
        yield f"light {number}.tif", encoded(light, "TIFF"), "float"


@pytest.mark.parametrize("collection", FOLDERS)
def test_of_real_images_just_the_bad_ones_are_refused(tmp_path: Path, collection: str) -> None:
    good = sorted(path for path in FOLDERS[collection].iterdir() if path.is_file())
    source = Path(shutil.copytree(FOLDERS[collection], tmp_path / "in"))
    bad = {name: (content, reason) for name, content, reason in bad_files(good)}
    assert len(bad) == 60
    for name, (content, _) in bad.items():
        (source / name).write_bytes(content)
    workspace = make_workspace(tmp_path / "ws")
    result = ingest(workspace, source, collection, load_params(ROOT / "params.yaml"), tracked=False)
    assert {refusal.name: refusal.reason for refusal in result.refusals} == {
        name: reason for name, (_, reason) in bad.items()
    }
    assert result.accepted + result.duplicates == len(good)
    names = {entry.name for entry in read_manifest(workspace.collection(collection))}
    assert names <= {path.name for path in good}
    kept = [path for path in workspace.quarantine(collection).iterdir() if path.name != "quarantine.jsonl"]
    assert sorted(path.read_bytes() for path in kept) == sorted(content for content, _ in bad.values())
