import csv
import json
import math
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image, ImageOps

from pipeline import evaluate, gate, judge, prepare
from pipeline.files import read_json
from pipeline.folders import of_folders, params_for, score_folders
from pipeline.ingest import ingest
from pipeline.manifest import read_manifest
from pipeline.metrics import STYLE, of_task
from pipeline.metrics.controls import CONTROLS, UPPER
from pipeline.metrics.temporal import COUNT
from pipeline.params import Evaluate, Gate, load_params
from pipeline.scoring import HeldOut, View, compare_models, paint_all, score, summary
from pipeline.workspace import PHOTOS, Workspace
from tests.pipeline.packages import write_package
from tests.pipeline.scenes import held_out, paint, painting, paintings, photographs
from tests.pipeline.training import ROOT, tiny_workspace

SETTINGS = Evaluate(
    max_images=64, patches=48, directions=16, levels=2, bootstrap=60, features="judge", samples=8, coded=32, gallery=3
)
PALETTE = {"lab_mean": [55.0, 10.0, 40.0], "lab_std": [15.0, 6.0, 10.0]}
GATE = load_params(ROOT / "params.yaml").gate
REQUIRED = {declared.name for declared in of_task("stylize") if not declared.optional}


def painter(image: Image.Image) -> Image.Image:
    return Image.fromarray(paint(np.asarray(image), 7))


def same(image: Image.Image) -> Image.Image:
    return image


def _with_training() -> HeldOut:
    plain = held_out()
    return HeldOut(plain.photographs, plain.paintings, lambda: paintings(6, 100), plain.observers)


def _verdict(stylize: Any, settings: Gate = GATE) -> gate.Verdict:
    return gate.judge(score(stylize, _with_training(), SETTINGS, PALETTE).to_dict(), None, settings)


def _failed(verdict: gate.Verdict) -> set[str]:
    return {rule.name for rule in verdict.rules if not rule.passed}


def test_a_painter_passes_the_gate_but_for_strokes_that_stay_while_the_photograph_moves() -> None:
    assert _failed(_verdict(painter)) == {"flicker"}
    verdict = _verdict(painter, replace(GATE, max_flicker=100.0))
    assert verdict.accepted, verdict.sentence


def _hung(picture: np.ndarray, image: Image.Image) -> Image.Image:
    """Return a picture in the size of an image: what has another size is refused before any figure."""
    return Image.fromarray(picture).resize(image.size)


CHEATS = {
    "output equals input": (same, {"style", "sane"}),
    "one painting for all": (lambda image: _hung(painting(500), image), {"structure", "sane"}),
    "blank": (lambda image: Image.new("RGB", image.size, (180, 130, 60)), {"structure", "sane"}),
    "inverted": (lambda image: Image.fromarray(255 - np.asarray(image)), {"structure"}),
    "pasted": (lambda image: _hung(painting(100 + np.asarray(image).sum() % 6), image), {"structure"}),
}


@pytest.mark.parametrize("name", sorted(CHEATS))
def test_a_cheat_fails_the_gate(name: str) -> None:
    cheat, rules = CHEATS[name]
    assert rules <= _failed(_verdict(cheat))


def _watched(photos: Sequence[View], art: Sequence[View], training: Sequence[np.ndarray]) -> HeldOut:
    """Return a set on which everything there is can be measured."""
    return HeldOut.of(photos, art, lambda: iter(training), held_out().observers)


def test_no_figure_depends_on_the_order_of_images() -> None:
    plain = held_out()
    photos, art, training = list(plain.photographs), list(plain.paintings), paintings(6, 100)
    given = _watched(photos, art, training)
    random.Random(3).shuffle(photos)
    random.Random(4).shuffle(art)
    shuffled = _watched(photos, art, training[::-1])
    one, other = (score(painter, images, SETTINGS, PALETTE) for images in (given, shuffled))
    assert {"diversity/modes", "joint/score", "memorisation/nearest_train", "temporal/flicker"} <= set(one.metrics)
    assert one.to_dict() == other.to_dict()
    for near, far in zip(one.nearest, other.nearest, strict=True):
        assert (near.output, near.ratio) == (far.output, far.ratio)
        assert np.array_equal(near.pixels, far.pixels)
    assert dict(zip(one.names, one.each["content/structure"], strict=True)) == dict(
        zip(other.names, other.each["content/structure"], strict=True)
    )


def test_the_model_sees_one_photograph_at_a_time_and_is_asked_once_for_each() -> None:
    sizes: list[tuple[int, int]] = []
    ticks: list[int] = []

    def spy(image: Image.Image) -> Image.Image:
        sizes.append(image.size)
        return painter(image)

    score(spy, held_out(), SETTINGS, PALETTE, ticks.append)
    assert sizes == [(64, 64)] * 10 + [(56, 56)] * 3 * COUNT  # and the moved windows of the first photographs
    assert ticks == list(range(1, 11))


_THREADS = """
import json, sys, torch
from pipeline.scoring import score
from tests.pipeline.scenes import held_out, paintings
from tests.pipeline.test_evaluate import PALETTE, SETTINGS, _watched, painter
torch.set_num_threads(int(sys.argv[1]))
images = _watched(held_out().photographs, held_out().paintings, paintings(6, 100))
print(json.dumps(score(painter, images, SETTINGS, PALETTE).to_dict()))
"""


@pytest.mark.slow
def test_no_figure_depends_on_the_number_of_threads() -> None:
    found = []
    for count in ("1", "2"):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        done = subprocess.run(
            [sys.executable, "-c", _THREADS, count],
            cwd=ROOT,
            env={**os.environ, **dict.fromkeys(names, count)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    assert found[0] == found[1]
    assert found[0]["metrics"]


def test_the_nearest_outputs_come_with_the_training_image_they_are_near_to() -> None:
    training = paintings(6, 100)
    plain = held_out()
    reads: list[int] = []

    def read() -> Iterator[np.ndarray]:
        reads.append(1)
        yield from training

    pasted = [plain.photographs[index].pixels.tobytes() for index in (3, 7)]

    def cheat(image: Image.Image) -> Image.Image:
        if image.tobytes() == pasted[0]:
            return Image.fromarray(training[4])
        return Image.fromarray(training[1][:, ::-1]) if image.tobytes() == pasted[1] else painter(image)

    found = score(cheat, HeldOut(plain.photographs, plain.paintings, read), SETTINGS, PALETTE)
    assert len(reads) == 2
    assert len(found.nearest) == 5
    assert [pair.ratio for pair in found.nearest] == sorted(pair.ratio for pair in found.nearest)
    assert {(pair.output, pair.training) for pair in found.nearest[:2]} == {(3, 4), (7, 1)}
    for pair in found.nearest[:2]:  # the mirrored one is shown as it was pasted
        assert np.array_equal(pair.pixels, found.outputs["model"][pair.output])
    assert score(cheat, plain, SETTINGS, PALETTE).nearest == ()


def test_every_control_is_measured_like_the_model_and_compared_with_it() -> None:
    found = score(painter, _with_training(), SETTINGS, PALETTE)
    for control in CONTROLS:
        assert set(found.controls[control]) == set(found.metrics)
        assert set(found.differences[f"{control} - model"]) == set(found.metrics)
        assert len(found.outputs[control]) == len(found.outputs["model"])


def test_a_model_that_fails_on_a_moved_photograph_is_refused_like_any_other() -> None:
    with pytest.raises(ValueError, match="must keep the size"):
        score(lambda image: image.resize((64, 64)), held_out(), SETTINGS, PALETTE)


def test_an_output_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="must keep the size"):
        paint_all(lambda image: image.resize((32, 32)), photographs(2))


def test_the_untouched_photograph_is_its_own_control() -> None:
    found = score(same, held_out(), SETTINGS, PALETTE)
    assert found.metrics == found.controls["photograph"]
    assert all(figure["value"] == 0 for figure in found.differences["photograph - model"].values())
    assert found.checks["change"] == 0


def test_a_broken_palette_gives_no_number_and_never_nan() -> None:
    nan = {"lab_mean": [math.nan] * 3, "lab_std": [1.0] * 3}
    with np.errstate(invalid="ignore"):
        json.dumps(score(painter, held_out(), SETTINGS, nan).to_dict(), allow_nan=False)


def test_the_summary_is_flat() -> None:
    flat = summary(score(painter, _with_training(), SETTINGS, PALETTE).to_dict())
    style = [name for name in STYLE if name in REQUIRED]
    controls = {f"{control}.{name}" for control in (*CONTROLS, UPPER) for name in style}
    assert set(flat) == REQUIRED | {"content/lpips"} | controls


def test_a_model_compared_with_itself_differs_in_nothing() -> None:
    _, differences = compare_models(painter, painter, held_out(), SETTINGS)
    assert all(figure == {"value": 0, "low": 0, "high": 0} for figure in differences.values())


def test_a_comparison_is_champion_less_model() -> None:
    figures, differences = compare_models(painter, same, held_out(), SETTINGS)
    ours = score(painter, held_out(), SETTINGS, PALETTE).metrics
    for name in ("style/patch_swd", "content/structure"):
        expected = figures[name]["value"] - ours[name]["value"]  # type: ignore[operator]
        assert differences[name]["value"] == pytest.approx(expected, rel=1e-4)


# The stage


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = tiny_workspace(tmp_path_factory.mktemp("studio"))
    write_package(workspace, "dots")
    judge.main("dots", workspace, load_params(workspace.params_file))
    evaluate.main("dots", workspace)
    return workspace


@pytest.fixture
def report(studio: Workspace) -> Path:
    return studio.report("dots")


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_stage_leaves_what_dvc_expects(report: Path) -> None:
    names = set(_files(report))
    assert {"metrics.json", "summary.json", "report.html", "model_card.md"} <= names
    assert {"sheets/overview.jpg", "sheets/worst.jpg"} <= names
    assert {"plots/patch_swd.csv", "plots/texture_swd.csv", "plots/palette.csv", "plots/structure.csv"} <= names
    metrics = read_json(report / "metrics.json")
    assert set(metrics["metrics"]) == REQUIRED
    assert metrics["counts"] == {"photographs": 4, "paintings": 4}
    assert read_json(report.with_name("dots.cost.json"))["scoring_seconds"] >= 0


def test_the_stage_makes_the_same_bytes_again(studio: Workspace, report: Path) -> None:
    before = _files(report)
    evaluate.main("dots", studio)
    assert _files(report) == before


def test_a_failure_leaves_the_last_report_as_it_was(
    studio: Workspace, report: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _files(report)
    monkeypatch.setattr(evaluate.report, "render", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        evaluate.main("dots", studio)
    assert _files(report) == before


def test_every_plot_has_the_same_columns_and_all_controls(report: Path) -> None:
    for path in (report / "plots").glob("*.csv"):
        with path.open() as stream:
            rows = list(csv.DictReader(stream))
        assert set(rows[0]) == {"value", "source"}
        if path.stem != "structure":
            assert {row["source"] for row in rows} == {"model", *CONTROLS, UPPER}
    assert len(rows) >= 4


def test_the_gallery_names_pictures_that_are_there(report: Path) -> None:
    index = read_json(report / "gallery" / "index.json")
    assert len(index["pairs"]) == 2  # evaluate.gallery of the smoke preset
    assert len(index["worst"]) == 4
    assert [entry["image"] for entry in index["pairs"]] == sorted(entry["image"] for entry in index["pairs"])
    kept = [entry["structure"] for entry in index["worst"]]
    assert kept == sorted(kept)
    for entry in [*index["pairs"], *index["worst"]]:
        with Image.open(report / "gallery" / entry["after"]) as image:
            assert image.size == (entry["width"], entry["height"])


def _ingested(root: Path) -> Workspace:
    """Return a workspace whose collections were ingested and prepared, some of them with borders, and a package."""
    root.mkdir()
    workspace = tiny_workspace(root)
    params = load_params(workspace.params_file)
    for name, pictures in ((PHOTOS, photographs(12)), ("dots", paintings(12))):
        source = root / "given" / name
        source.mkdir(parents=True)
        for number, pixels in enumerate(pictures):
            picture = Image.fromarray(pixels).resize((160, 160), Image.Resampling.BICUBIC)
            mount = 0 if number % 3 == 0 else 20
            ImageOps.expand(picture, mount, (250, 250, 250)).save(source / f"{number}.png")
        ingest(workspace, source, name, params, tracked=False)
        prepare.main(name, workspace, params)
        assert any(entry.box for entry in read_manifest(workspace.collection(name)) if entry.split == "test")
    judge.main("dots", workspace, params)
    write_package(workspace, "dots")
    return workspace


def test_any_folders_give_the_same_figures_as_the_stage(tmp_path: Path) -> None:
    workspace = _ingested(tmp_path / "studio")
    stage = read_json(evaluate.main("dots", workspace) / "metrics.json")
    folders = {}
    for name in (PHOTOS, "dots"):
        for entry in read_manifest(workspace.collection(name)):
            folder = folders[name, entry.split] = tmp_path / name / entry.split
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(workspace.collection(name) / entry.file, folder)
    (folders[PHOTOS, "test"] / "notes.txt").write_text("not a picture")
    held_out = workspace.package("dots"), folders[PHOTOS, "test"], folders["dots", "test"]
    params = load_params(workspace.params_file)
    found = score_folders(*held_out, params, folders["dots", "train"], workspace.judge("dots"))
    assert {"memorisation/nearest_train", "judge/luminance"} <= set(found["metrics"])
    same = ("counts", "observers", "metrics", "controls", "differences", "checks")
    assert {key: found[key] for key in same} == {key: stage[key] for key in same}
    without = score_folders(*held_out, params)
    assert without["observers"]["judge"] is None
    assert not {"judge/colour", "memorisation/nearest_train"} & set(without["metrics"])


def test_borders_are_cut_off_the_images_of_a_folder_as_ingestion_does(studio: Workspace, tmp_path: Path) -> None:
    picture = Image.fromarray(photographs(1)[0]).resize((300, 220), Image.Resampling.BICUBIC)
    mounted = ImageOps.expand(picture, 40, (255, 255, 255))
    for number in range(2):
        mounted.putpixel((0, 0), (255, 255, 255 - number))
        mounted.save(tmp_path / f"{number}.png")
    params = load_params(studio.params_file)
    for crop in (True, False):
        one = replace(params, prepare=replace(params.prepare, crop_borders=crop))
        corners = [view.pixels[0, 0] for view in of_folders(tmp_path, tmp_path, 64, one).photographs]
        assert [bool((corner > 250).all()) for corner in corners] == [not crop] * 2


def test_a_recipe_is_scored_with_its_own_parameters(studio: Workspace) -> None:
    text = studio.recipes_file.read_text()
    try:
        book = yaml.safe_load(text)
        book["recipes"]["dots"]["overrides"] = {"evaluate": {"bootstrap": 77}}
        studio.recipes_file.write_text(yaml.safe_dump(book))
        assert params_for(studio, "dots").evaluate.bootstrap == 77
        for unknown in ("lines", None):
            assert params_for(studio, unknown) == load_params(studio.params_file)
    finally:
        studio.recipes_file.write_text(text)


def test_a_folder_without_pictures_is_refused(studio: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="0 readable images"):
        score_folders(studio.package("dots"), tmp_path, tmp_path, load_params(studio.params_file))


def test_at_most_max_images_are_taken_the_first_by_hash(studio: Workspace) -> None:
    entry = evaluate.load_book(studio).recipe("dots")
    params = load_params(studio.params_file)
    few = replace(params, evaluate=replace(params.evaluate, max_images=2))
    taken = evaluate.held_out.of_workspace(studio, entry, few)
    index = read_json(studio.prepared("photos") / "index.json")
    assert {view.name for view in taken.photographs} == {entry["image"] for entry in index["test"][:2]}


def test_an_unknown_recipe_is_named(studio: Workspace) -> None:
    with pytest.raises(ValueError, match="no recipe named 'lines'"):
        evaluate.main("lines", studio)


def test_the_original_photograph_hangs_in_the_gallery_when_it_is_there(tmp_path: Path) -> None:
    from pipeline.reports.gallery import write_gallery
    from tests.pipeline.pictures import encoded, texture

    data = encoded(texture(1, 1600, 800), "JPEG")
    import hashlib

    digest = hashlib.sha256(data).hexdigest()
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / f"{digest}.jpg").write_bytes(data)
    views = [View(digest, photographs(1)[0]), *held_out().photographs[1:]]
    scores = score(painter_of_any_size, HeldOut.of(views, held_out().paintings), SETTINGS, PALETTE)
    write_gallery(tmp_path / "gallery", lambda _name, image: painter_of_any_size(image), scores, photos, 10)
    entries: Iterator[dict[str, Any]] = iter(read_json(tmp_path / "gallery" / "index.json")["pairs"])
    found = {entry["image"]: (entry["width"], entry["height"]) for entry in entries}
    assert found.pop(digest) == (896, 448)
    assert set(found.values()) == {(64, 64)}


def painter_of_any_size(image: Image.Image) -> Image.Image:
    return image.point(lambda level: 255 - level // 2)
