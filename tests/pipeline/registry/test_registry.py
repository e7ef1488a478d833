"""Versions, aliases, checksums: with MLflow's own store, on packages made by hand."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import registry
from pipeline.registry import RegistryError, logged
from pipeline.registry.journal import operations
from pipeline.workspace import Workspace
from tests.pipeline.packages import empty_workspace, write_package
from tests.pipeline.restorers import write_restorer


@pytest.fixture
def place(mlflow_store: Callable[[Path], None], tmp_path: Path) -> Workspace:
    workspace = empty_workspace(tmp_path / "studio")
    mlflow_store(workspace.root)
    return workspace


def journal(workspace: Workspace) -> list[dict[str, object]]:
    return [json.loads(line) for line in (workspace.var / "promotions.jsonl").read_text().splitlines()]


def three_versions(workspace: Workspace) -> None:
    for seed in range(3):
        write_package(workspace, "ink", seed)
        registry.register(workspace, "ink")


def test_a_package_is_one_version_however_often_it_is_registered(place: Workspace) -> None:
    digest = write_package(place, "ink")
    first = registry.register(place, "ink", {"style": "ink"})
    again = registry.register(place, "ink", {"style": "other"})
    assert (first.version, first.new, again.version, again.new) == (1, True, 1, False)
    version = registry.version_of(place, "ink", 1)
    assert version.tags["package"] == digest == version.package
    assert version.tags["style"] == "ink"
    write_package(place, "ink", seed=1)
    assert registry.register(place, "ink").version == 2
    assert registry.aliases_of(place, "ink") == {"challenger": 2}


def test_promotion_and_rollback_move_the_aliases_and_are_recorded(place: Workspace) -> None:
    three_versions(place)
    assert registry.champion(place, "ink") is None
    assert registry.promote(place, "ink", 1, "first", by=registry.GATE)
    assert registry.promote(place, "ink", 3, "better", by=registry.GATE)
    assert registry.aliases_of(place, "ink") == {"champion": 3, "previous": 1, "anchor": 1}
    assert not registry.promote(place, "ink", 3, "again", by=registry.GATE)
    assert registry.rollback(place, "ink", "smeared").version == 1
    assert registry.aliases_of(place, "ink") == {"champion": 1, "previous": 3, "anchor": 1}
    assert registry.version_of(place, "ink", 3).tags[registry.ROLLED_BACK] == "smeared"
    assert registry.rollback(place, "ink", "no, it was fine").version == 3
    assert registry.ROLLED_BACK not in registry.version_of(place, "ink", 3).tags
    moves = [one for one in operations(place) if one.action in ("promote", "rollback")]
    done = [(one.action, one.entry["from"], one.entry["to"]) for one in moves if one.phase == "done"]
    assert done == [("promote", None, 1), ("promote", 1, 3), ("rollback", 3, 1), ("rollback", 1, 3)]
    assert registry.version_of(place, "ink", 1).tags["promoted_why"] == "smeared"
    assert registry.models(place) == {"ink": {"champion": 3, "previous": 1, "anchor": 3}}


def test_nothing_is_held_to_a_version_that_a_person_took_down(place: Workspace) -> None:
    three_versions(place)
    registry.promote(place, "ink", 1, "first", by=registry.GATE)
    registry.promote(place, "ink", 3, "a person likes it", by="ana")
    assert registry.aliases_of(place, "ink")["anchor"] == 3
    registry.rollback(place, "ink", "smeared", by="ana")
    assert registry.aliases_of(place, "ink") == {"champion": 1, "previous": 3, "anchor": 1}


def test_what_a_person_holds_only_a_person_promotes(place: Workspace) -> None:
    three_versions(place)
    registry.promote(place, "ink", 1, "first", by=registry.GATE)
    registry.hold(place, "ink", 3, "look at it first", by="ana")
    registry.hold(place, "ink", 3, "the sky is odd", by="ana")
    assert registry.barred(registry.version_of(place, "ink", 3)) == "is held (the sky is odd)"
    assert registry.barred(registry.version_of(place, "ink", 2)) is None
    with pytest.raises(RegistryError, match=r"ink version 3 is held \(the sky is odd\): only a person promotes it"):
        registry.promote(place, "ink", 3, "the gate accepts it", by=registry.GATE)
    assert registry.aliases_of(place, "ink") == {"champion": 1, "challenger": 3, "anchor": 1}
    assert registry.promote(place, "ink", 3, "the sky is fine", by="ana")
    assert registry.barred(registry.version_of(place, "ink", 3)) is None
    assert registry.aliases_of(place, "ink") == {"champion": 3, "previous": 1, "anchor": 3}
    recorded = [one for one in operations(place) if one.action in ("promote", "hold")][1:]
    assert [(one.action, one.entry["reason"], one.entry["by"]) for one in recorded] == [
        ("hold", "look at it first", "ana"),
        ("hold", "the sky is odd", "ana"),
        ("promote", "the sky is fine", "ana"),
    ]
    assert recorded[0].version == 3
    assert recorded[2].entry["lifted"] == {"held": "the sky is odd"}
    phases = [entry["phase"] for entry in journal(place) if entry["action"] in ("promote", "hold")]
    assert phases == ["intent", "checked", "done"] * 4


def test_the_champion_is_not_held_but_rolled_back(place: Workspace) -> None:
    three_versions(place)
    registry.promote(place, "ink", 1, "first", by=registry.GATE)
    with pytest.raises(RegistryError, match=r"version 1 is the champion.*`atelier rollback ink --reason"):
        registry.hold(place, "ink", 1, "no", by="ana")
    assert registry.barred(registry.version_of(place, "ink", 1)) is None


def test_a_rollback_does_not_bring_back_what_a_person_holds(place: Workspace) -> None:
    three_versions(place)
    registry.promote(place, "ink", 1, "first", by=registry.GATE)
    registry.promote(place, "ink", 2, "second", by=registry.GATE)
    registry.hold(place, "ink", 1, "a stolen painting", by="ana")
    with pytest.raises(RegistryError, match=r"version 1, the champion before, is held \(a stolen painting\)"):
        registry.rollback(place, "ink", "too blue", by="ana")
    assert registry.aliases_of(place, "ink")["champion"] == 2
    assert [one.barred for one in registry.trained_on(place, {})] == [True, False, False]


def test_the_gate_does_not_promote_what_was_rolled_back(place: Workspace) -> None:
    three_versions(place)
    registry.promote(place, "ink", 1, "first", by=registry.GATE)
    registry.promote(place, "ink", 2, "second", by=registry.GATE)
    registry.rollback(place, "ink", "smeared", by="ana")
    with pytest.raises(RegistryError, match=r"ink version 2 was rolled back \(smeared\)"):
        registry.promote(place, "ink", 2, "the gate accepts it", by=registry.GATE)
    registry.hold(place, "ink", 2, "and look at it", by="ana")
    both = "was rolled back (smeared) and is held (and look at it)"
    assert registry.barred(registry.version_of(place, "ink", 2)) == both
    registry.promote(place, "ink", 2, "looked at", by="ana")
    assert operations(place)[-1].entry["lifted"] == {"rolled_back": "smeared", "held": "and look at it"}


def test_the_first_champion_is_the_anchor_until_a_person_promotes(place: Workspace) -> None:
    three_versions(place)
    for number in (1, 2, 3):
        registry.promote(place, "ink", number, "gate", by=registry.GATE)
        assert registry.aliases_of(place, "ink")["anchor"] == 1
    registry.promote(place, "ink", 2, "looked at it", by="ada")
    assert registry.aliases_of(place, "ink")["anchor"] == 2


def test_only_a_person_moves_the_anchor(place: Workspace) -> None:
    three_versions(place)
    registry.promote(place, "ink", 1, "looked at it", by="ada")
    registry.promote(place, "ink", 2, "gate", by=registry.GATE)
    assert registry.aliases_of(place, "ink") == {"anchor": 1, "champion": 2, "previous": 1, "challenger": 3}
    registry.promote(place, "ink", 2, "looked at it too", by="ada")
    assert registry.aliases_of(place, "ink")["anchor"] == 2


def test_a_crash_at_any_write_leaves_a_champion(place: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    three_versions(place)
    registry.promote(place, "ink", 1, "first", by=registry.GATE)
    real = {name: getattr(MlflowClient, name) for name in ("set_registered_model_alias", "set_model_version_tag")}
    seen = set()
    for last in range(8):
        left = [last]

        def crashing(name: str, left: list[int] = left) -> object:
            def call(*arguments: object, **named: object) -> object:
                if left[0] == 0:
                    raise KeyboardInterrupt
                left[0] -= 1
                return real[name](*arguments, **named)

            return call

        for name in real:
            monkeypatch.setattr(MlflowClient, name, crashing(name))
        try:
            registry.promote(place, "ink", 2, "second", by=registry.GATE)
            finished = True
        except KeyboardInterrupt:
            finished = False
        monkeypatch.undo()
        champion = registry.champion(place, "ink")
        assert champion is not None
        seen.add(champion.version)
        if finished:
            break
    assert seen == {1, 2}
    assert registry.aliases_of(place, "ink") == {"champion": 2, "previous": 1, "challenger": 3, "anchor": 1}


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda w: registry.promote(w, "oil", 1, "r", "ada"), "no registered model named 'oil'; known: ink"),
        (lambda w: registry.promote(w, "ink", 7, "r", "ada"), "'ink' has no version 7"),
        (lambda w: registry.hold(w, "oil", 1, "r", "ada"), "no registered model named 'oil'; known: ink"),
        (lambda w: registry.hold(w, "ink", 7, "r", "ada"), "'ink' has no version 7"),
        (lambda w: registry.rollback(w, "oil", "r"), "no registered model named 'oil'"),
        (lambda w: registry.rollback(w, "ink", "r"), "'ink' has no previous champion"),
        (lambda w: registry.register(w, "oil"), "no manifest.json"),
    ],
)
def test_what_is_not_there_is_named(place: Workspace, call: object, says: str) -> None:
    write_package(place, "ink")
    registry.register(place, "ink")
    with pytest.raises(RegistryError, match=says):
        call(place)  # type: ignore[operator]


def test_nothing_registered_is_no_error_and_makes_no_database(tmp_path: Path) -> None:
    workspace = empty_workspace(tmp_path)
    assert registry.champion(workspace, "ink") is None
    assert registry.aliases_of(workspace, "ink") == {}
    assert registry.models(workspace) == {}
    assert not workspace.var.exists()


def test_every_version_tells_which_images_it_was_trained_on(place: Workspace) -> None:
    for seed, images in enumerate([["a", "b"], None, ["b"]]):
        record = None if images is None else {"photos": ["p", "a"], "ink": images}
        write_package(place, "ink", seed, record)
        registry.register(place, "ink")
    registry.promote(place, "ink", 1, "first", by=registry.GATE)
    registry.promote(place, "ink", 3, "next", by=registry.GATE)
    registry.rollback(place, "ink", "a stolen painting")
    write_package(place, "oil", 0, {"photos": ["p"], "oil": ["a"]})
    registry.register(place, "oil")

    def asked(**images: list[str]) -> list[tuple[str, int, tuple[str, ...], bool]]:
        return [(e.name, e.version, e.images, e.known) for e in registry.trained_on(place, images)]

    assert asked(ink=["a", "b", "z"]) == [
        ("ink", 1, ("a", "b"), True),
        ("ink", 2, (), False),
        ("ink", 3, ("b",), True),
        ("oil", 1, (), True),
    ]
    assert [images for _, _, images, _ in asked(photos=["p"])] == [("p",), (), ("p",), ("p",)]
    assert [images for _, _, images, _ in asked(photos=["p", "a"], oil=["a"])] == [
        ("a", "p"),
        (),
        ("a", "p"),
        ("a", "p"),
    ]
    found = registry.trained_on(place, {})
    assert [(e.aliases, e.barred) for e in found] == [
        (("anchor", "champion"), False),
        ((), False),
        (("previous",), True),
        (("challenger",), False),
    ]


def test_a_version_whose_record_is_lost_is_not_taken_for_innocent(place: Workspace) -> None:
    for seed in range(3):
        write_package(place, "ink", seed, {"photos": [], "ink": ["a"]})
        registry.register(place, "ink")
    one, two = (registry.version_of(place, "ink", number).directory for number in (1, 2))
    (one / "trained_on.json").write_text('{"ink": ["a"')
    shutil.rmtree(two)
    found = registry.trained_on(place, {"ink": ["a"]})
    assert [(e.version, e.images, e.known) for e in found] == [(1, (), False), (2, (), False), (3, ("a",), True)]


def test_a_version_without_record_is_not_suspected_of_another_styles_images(place: Workspace) -> None:
    write_package(place, "ink")
    registry.register(place, "ink", {"style": "ink"})
    for asked, known in (({"oil": ["a"]}, True), ({"ink": ["a"]}, False), ({"oil": ["a"], "photos": ["p"]}, False)):
        assert [e.known for e in registry.trained_on(place, asked)] == [known]


def test_no_registry_knows_of_no_image(tmp_path: Path) -> None:
    assert registry.trained_on(empty_workspace(tmp_path), {"ink": ["a"]}) == []
    assert not (tmp_path / "var").exists()


def test_a_changed_package_is_refused(place: Workspace) -> None:
    write_package(place, "ink")
    registry.register(place, "ink")
    registry.promote(place, "ink", 1, "first", by=registry.GATE)
    champion = registry.champion(place, "ink")
    assert champion is not None
    config = champion.directory / "config.json"
    original = config.read_text()
    config.write_text(original.replace('"seed": 0', '"seed": 1'))
    with pytest.raises(RegistryError, match=r"config\.json"):
        registry.champion(place, "ink")
    config.write_text(original)
    # Whole in itself, but another package than the registered one.
    write_package(place, "ink", seed=5)
    shutil.rmtree(champion.directory)
    shutil.copytree(place.package("ink"), champion.directory)
    with pytest.raises(RegistryError, match="digest"):
        registry.champion(place, "ink")
    shutil.rmtree(champion.directory)
    with pytest.raises(RegistryError, match="missing"):
        registry.champion(place, "ink")


def test_the_served_model_paints_without_this_checkout(place: Workspace, tmp_path: Path) -> None:
    from pipeline.inference import Stylizer

    write_package(place, "ink")
    registry.register(place, "ink")
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8))
    stream = io.BytesIO()
    photo.save(stream, "PNG")
    (tmp_path / "in.txt").write_text(base64.b64encode(stream.getvalue()).decode())
    script = """
import sys, mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[1]); mlflow.set_registry_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/ink/1")
frame = pd.DataFrame({"image": [open("in.txt").read()]})
for name, params in (("full", None), ("half", {"strength": 0.5}), ("kept", {"preserve_color": True})):
    open(name, "w").write(model.predict(frame, params=params)["image"][0])
try:
    model.predict(pd.DataFrame({"image": ["bm90IGFuIGltYWdl"]}))
except Exception as error:
    print("refused:", error)
import pipeline; print("code:", pipeline.__file__)
"""
    environment = {**os.environ, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, place.tracking_uri],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "refused: image 1 of 1: image refused as not_image" in done.stdout
    assert str(place.artifacts) in done.stdout.partition("code:")[2]
    expected = Stylizer.load(place.package("ink"))
    for name, options in (("full", {}), ("half", {"strength": 0.5}), ("kept", {"preserve_color": True})):
        with Image.open(io.BytesIO(base64.b64decode((tmp_path / name).read_text()))) as painted:
            assert painted.size == photo.size
            difference = np.abs(np.asarray(painted, int) - np.asarray(expected(photo, **options), int))
            assert difference.max() <= 1


def test_a_served_model_that_restores_takes_a_mask_and_keeps_the_rest_exact(place: Workspace) -> None:
    import mlflow
    import pandas as pd

    write_restorer(place.package("whole"))
    registry.register(place, "whole")
    given, lost = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8), np.zeros((20, 30), np.uint8)
    lost[5:9, 8:20] = 255
    row = {name: _as_text(Image.fromarray(pixels)) for name, pixels in (("image", given), ("mask", lost))}
    model = mlflow.pyfunc.load_model("models:/whole/1")
    made = model.predict(pd.DataFrame([row]))["image"][0]
    with Image.open(io.BytesIO(base64.b64decode(made))) as restored:
        pixels = np.asarray(restored)
    assert np.array_equal(pixels[lost == 0], given[lost == 0])
    assert not np.array_equal(pixels[lost > 0], given[lost > 0])
    with pytest.raises(ValueError, match="has to be told where"):
        model.predict(pd.DataFrame([{"image": row["image"]}]))


@pytest.mark.parametrize(
    ("config", "takes", "options"),
    [
        ({}, {"image"}, {"strength", "scale", "preserve_color", "reverse"}),  # of before there were tasks
        (
            {"task": "stylize", "reference": True},
            {"image"},
            {"strength", "scale", "preserve_color", "reverse", "reference", "style"},
        ),
        ({"task": "generate"}, {"seed"}, {"truncation", "code"}),
        ({"task": "restore"}, {"image", "mask"}, set()),
    ],
)
def test_the_signature_is_that_of_the_task(config: dict[str, object], takes: set[str], options: set[str]) -> None:
    signature = logged._signature(config)
    assert set(signature.inputs.input_names()) == takes
    assert {option.name for option in signature.params or []} == options | {"format"}
    assert signature.outputs.input_names() == ["image"]


def _as_text(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()
