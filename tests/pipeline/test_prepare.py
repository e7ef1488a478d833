"""A collection becomes crops and views; adding an image costs one image."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline import files, images, ingest, prepare
from pipeline.data import read_index
from pipeline.manifest import read_manifest, write_manifest
from pipeline.params import Params, Transform
from pipeline.workspace import Workspace
from tests.pipeline.pictures import encoded, fill, make_workspace, small_params, texture

PARAMS = small_params()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = make_workspace(tmp_path / "ws")
    add(workspace, range(12))
    return workspace


def add(workspace: Workspace, seeds: range, collection: str = "monet", **size: int) -> None:
    source = fill(workspace.root / "src" / collection / str(seeds), seeds, **size)
    ingest.ingest(workspace, source, collection, PARAMS, tracked=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def changed(**prepare_keys: Any) -> Params:
    return dataclasses.replace(PARAMS, prepare=dataclasses.replace(PARAMS.prepare, **prepare_keys))


def decodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows with every image decoded."""
    seen: list[int] = []
    decode = images.decode

    def counting(*args: Any) -> images.Decoded:
        seen.append(1)
        return decode(*args)

    monkeypatch.setattr(images, "decode", counting)
    return seen


def test_output_is_as_the_contract_says(workspace: Workspace) -> None:
    final = prepare.main("monet", workspace, PARAMS)
    assert final == workspace.root / "data" / "prepared" / "monet"
    index = read_index(final)
    entries = read_manifest(workspace.collection("monet"))
    assert {key: index[key] for key in ("format", "kind", "crop", "crops_per_image", "view")} == {
        "format": 1,
        "kind": "paintings",
        "crop": 32,
        "crops_per_image": 3,
        "view": 48,
    }
    for split, size in (("train", (32, 96)), ("test", (48, 48))):
        names = [record["image"] for record in index[split]]
        assert names == sorted(entry.sha256 for entry in entries if entry.split == split)
        for record in index[split]:
            with Image.open(final / record["file"]) as image:
                assert (image.format, image.mode, image.size) == ("PNG", "RGB", size)
    assert all(record["weight"] == 1 for record in index["train"])
    assert len(list(final.rglob("*.png"))) == 12


def test_view_shows_the_whole_middle_of_the_image(workspace: Workspace) -> None:
    final = prepare.main("monet", workspace, PARAMS)
    entry = next(entry for entry in read_manifest(workspace.collection("monet")) if entry.split == "test")
    with Image.open(workspace.collection("monet") / entry.file) as image:
        expected = images.square_view(image.convert("RGB"), 48)
    with Image.open(final / "test" / f"{entry.sha256}.png") as view:
        assert np.array_equal(np.asarray(view), np.asarray(expected))


def test_the_same_again_is_the_same_to_the_byte(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    first = contents(prepare.main("monet", workspace, PARAMS))
    seen = decodings(monkeypatch)
    assert contents(prepare.main("monet", workspace, PARAMS)) == first
    assert not seen
    shutil.rmtree(workspace.work)
    monkeypatch.setattr(prepare, "_MAX_THREADS", 1)  # made in another order, by another number of workers
    assert contents(prepare.main("monet", workspace, PARAMS)) == first
    assert len(seen) == 12


def test_new_artworks_cost_themselves_alone(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    first = contents(prepare.main("monet", workspace, PARAMS))
    seen = decodings(monkeypatch)
    add(workspace, range(20, 22))
    seen.clear()  # ingesting decodes as well
    shutil.rmtree(workspace.prepared("monet"))  # as DVC does before a stage
    second = contents(prepare.main("monet", workspace, PARAMS))
    assert len(seen) == 2
    assert len(second) == len(first) + 2
    assert {name: second[name] for name in first if name != "index.json"} == {
        name: data for name, data in first.items() if name != "index.json"
    }


@pytest.mark.parametrize(
    ("params", "redone"),
    [
        (changed(crop=40), "train"),
        (changed(crops_per_image=2), "train"),
        (changed(view=64), "test"),
        (dataclasses.replace(PARAMS, seed=21), "train"),
    ],
)
def test_a_parameter_redoes_what_it_decides(workspace: Workspace, params: Params, redone: str) -> None:
    first = contents(prepare.main("monet", workspace, PARAMS))
    second = contents(prepare.main("monet", workspace, params))
    other = {name for name in second if name.endswith(".png") and second[name] != first[name]}
    assert other == {name for name in second if name.startswith(redone)}


def test_code_is_part_of_what_is_remembered(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare.main("monet", workspace, PARAMS)
    seen = decodings(monkeypatch)
    monkeypatch.setattr(prepare, "_code_digest", lambda: "another")
    prepare.main("monet", workspace, PARAMS)
    assert len(seen) == 12


def test_torn_file_in_the_cache_is_made_again(workspace: Workspace) -> None:
    first = contents(prepare.main("monet", workspace, PARAMS))
    shutil.rmtree(workspace.prepared("monet"))
    torn = sorted((workspace.work / "cache" / "prepared" / "monet").iterdir())
    torn[0].write_bytes(b"")
    torn[1].write_bytes(torn[1].read_bytes()[:-30] + bytes(30))
    assert contents(prepare.main("monet", workspace, PARAMS)) == first


def test_near_duplicates_share_one_weight(workspace: Workspace) -> None:
    folder = workspace.collection("monet")
    entries = read_manifest(folder)
    trained = [entry for entry in entries if entry.split == "train"]
    twins = {entry.sha256 for entry in trained[:2]}
    write_manifest(
        folder,
        [dataclasses.replace(e, group=trained[0].sha256) if e.sha256 in twins else e for e in entries],
    )
    records = read_index(prepare.main("monet", workspace, PARAMS))["train"]
    assert {record["weight"] for record in records if record["image"] in twins} == {0.5}
    assert {record["weight"] for record in records if record["image"] not in twins} == {1.0}


def test_excluded_images_are_in_neither_part(workspace: Workspace) -> None:
    folder = workspace.collection("monet")
    entries = read_manifest(folder)
    out = entries[3].sha256
    write_manifest(folder, [dataclasses.replace(e, split="excluded") if e.sha256 == out else e for e in entries])
    assert not [name for name in contents(prepare.main("monet", workspace, PARAMS)) if out in name]


def test_photographs_take_the_transforms_of_photographs(workspace: Workspace) -> None:
    add(workspace, range(40, 48), "photos")
    augment = dataclasses.replace(PARAMS.prepare.augment, photos=(Transform("CenterCrop", {}),))
    final = prepare.main("photos", workspace, changed(augment=augment))
    assert final == workspace.root / "data" / "prepared" / "photos"
    assert read_index(final)["kind"] == "photos"
    strip = np.asarray(Image.open(next((final / "train").iterdir()))).reshape(3, 32, 32, 3)
    assert np.array_equal(strip[0], strip[1])


def test_small_images_are_enlarged_as_little_as_will_do_and_it_is_said(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    augment = dataclasses.replace(PARAMS.prepare.augment, paintings=(Transform("CenterCrop", {}),))
    add(workspace, range(60, 64), "tiny", width=44, height=40)
    final = prepare.main("tiny", workspace, changed(augment=augment, crop=80))
    assert "enlarged, up to 2.0 times" in capsys.readouterr().err
    record = read_index(final)["train"][0]
    entry = next(e for e in read_manifest(workspace.collection("tiny")) if e.sha256 == record["image"])
    with Image.open(workspace.collection("tiny") / entry.file) as image:
        expected = image.resize((88, 80), Image.Resampling.LANCZOS).crop((4, 0, 84, 80))
    strip = np.asarray(Image.open(final / record["file"]))
    assert np.array_equal(strip[:80], np.asarray(expected))


@pytest.mark.parametrize("cached", [True, False])
def test_rotten_image_is_named(workspace: Workspace, cached: bool) -> None:
    if cached:
        prepare.main("monet", workspace, PARAMS)
    entry = read_manifest(workspace.collection("monet"))[5]
    path = workspace.collection("monet") / entry.file
    path.write_bytes(encoded(texture(5000)))
    before = contents(workspace.prepared("monet"))
    with pytest.raises(ValueError, match=f"{entry.file} is damaged.*0005.png"):
        prepare.main("monet", workspace, PARAMS)
    assert contents(workspace.prepared("monet")) == before
    path.unlink()
    with pytest.raises(ValueError, match=r"cannot be read .*dvc checkout"):
        prepare.main("monet", workspace, PARAMS)


def test_an_image_that_was_found_whole_is_not_hashed_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = workspace.collection("monet")
    hashed: list[Path] = []

    def counting(path: Path) -> str:
        hashed.append(path)
        return files.sha256_file(path)

    prepare.main("monet", workspace, PARAMS)
    monkeypatch.setattr(prepare, "sha256_file", counting)
    prepare.main("monet", workspace, PARAMS)
    assert not [path for path in hashed if path.parent == folder]
    touched = folder / read_manifest(folder)[2].file
    touched.write_bytes(touched.read_bytes())
    prepare.main("monet", workspace, PARAMS)
    assert [path for path in hashed if path.parent == folder] == [touched]
    (workspace.work / "cache" / "verified" / "monet.json").write_text("[1, 2")
    prepare.main("monet", workspace, PARAMS)
    assert len([path for path in hashed if path.parent == folder]) == 13


@pytest.mark.parametrize("same_size", [True, False])
def test_image_damaged_after_a_run_that_found_it_whole_is_refused(workspace: Workspace, same_size: bool) -> None:
    for _ in range(2):
        prepare.main("monet", workspace, PARAMS)
    entry = read_manifest(workspace.collection("monet"))[7]
    path = workspace.collection("monet") / entry.file
    whole = path.read_bytes()
    path.write_bytes(whole[:60] + bytes([whole[60] ^ 1]) + whole[61:] if same_size else whole[:-1])
    for _ in range(2):  # what was refused is not remembered as whole
        with pytest.raises(ValueError, match=f"{entry.file} is damaged"):
            prepare.main("monet", workspace, PARAMS)


def test_order_and_number_of_threads_decide_nothing(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = workspace.collection("monet")
    first = contents(prepare.main("monet", workspace, PARAMS))
    sheet = workspace.sheet("monet").read_bytes()
    write_manifest(folder, read_manifest(folder)[::-1])
    for threads in (1, 5):
        shutil.rmtree(workspace.work)
        monkeypatch.setattr(prepare, "_MAX_THREADS", threads)
        monkeypatch.setattr(prepare.os, "cpu_count", lambda: 8)
        assert contents(prepare.main("monet", workspace, PARAMS)) == first
        assert workspace.sheet("monet").read_bytes() == sheet


def test_unknown_style_names_those_known(workspace: Workspace) -> None:
    with pytest.raises(ValueError, match="no artworks of a style 'manet'; known: monet"):
        prepare.main("manet", workspace, PARAMS)


def test_too_few_photographs_offers_the_samples(workspace: Workspace) -> None:
    message = r"there are 0 photographs, fewer than ingest.min_photos \(4\).*python -m pipeline.sample_data samples"
    with pytest.raises(ValueError, match=message):
        prepare.main("photos", workspace, PARAMS)
    add(workspace, range(40, 43), "photos")
    with pytest.raises(ValueError, match=r"there are 3 photographs.*atelier ingest samples/photos --photos"):
        prepare.main("photos", workspace, PARAMS)


def test_too_few_artworks_are_refused(workspace: Workspace) -> None:
    with pytest.raises(ValueError, match=r"'monet' has 12 artworks, fewer than ingest.min_artworks \(13\)"):
        prepare.main("monet", workspace, small_params(min_artworks=13))


@pytest.mark.parametrize(("split", "message"), [("train", "no image held out"), ("test", "no image to train on")])
def test_collection_of_one_side_is_refused(workspace: Workspace, split: Any, message: str) -> None:
    folder = workspace.collection("monet")
    write_manifest(folder, [dataclasses.replace(entry, split=split) for entry in read_manifest(folder)])
    with pytest.raises(ValueError, match=message):
        prepare.main("monet", workspace, PARAMS)


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (Transform("Blurr", {}), "unknown transform 'Blurr'"),
        (Transform("RandomResizedCrop", {"scale": "big"}), "RandomResizedCrop refuses its arguments: scale"),
    ],
)
def test_wrong_transform_is_refused_before_any_work(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, transform: Transform, message: str
) -> None:
    seen = decodings(monkeypatch)
    augment = dataclasses.replace(PARAMS.prepare.augment, paintings=(transform,))
    with pytest.raises(ValueError, match=rf"prepare.augment.paintings\[0\]: {message}"):
        prepare.main("monet", workspace, changed(augment=augment))
    assert not seen
    assert not workspace.prepared("monet").exists()


def test_full_disk_is_refused_before_any_work(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = decodings(monkeypatch)
    usage = shutil.disk_usage(workspace.root)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(ValueError, match="free some space"):
        prepare.main("monet", workspace, PARAMS)
    assert not seen


def test_output_is_linked_or_copied(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    first = contents(prepare.main("monet", workspace, PARAMS))

    def refuse(self: Path, target: Path) -> None:
        raise OSError("no hard links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert contents(prepare.main("monet", workspace, PARAMS)) == first


def test_command_ends_in_one_sentence(workspace: Workspace) -> None:
    command = [sys.executable, "-m", "pipeline.prepare", "manet"]
    environment = {"PYTHONPATH": str(Path(prepare.__file__).parents[1])}
    run = subprocess.run(command, cwd=workspace.root, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr.startswith("error: there are no artworks of a style 'manet'")
    assert Counter(run.stderr)["\n"] == 1
