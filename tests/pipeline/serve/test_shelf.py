"""The models at hand: what is promoted takes over by itself, what is broken never does, and nobody is interrupted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import httpx
import pytest

from pipeline import registry
from pipeline.files import read_json, write_json
from pipeline.package import write_manifest
from pipeline.serve.metrics import Figures
from pipeline.serve.problems import Problem
from pipeline.serve.shelf import FromFolders, FromRegistry, Shelf
from pipeline.tracking import client
from pipeline.workspace import Workspace
from tests.pipeline.packages import empty_workspace, write_package
from tests.pipeline.serve.serving import PHOTO, package, served, settings


@pytest.fixture
def place(mlflow_store: Callable[[Path], None], tmp_path: Path) -> Workspace:
    """A workspace whose model `ink` has three versions, the first of them champion."""
    workspace = empty_workspace(tmp_path / "studio")
    mlflow_store(workspace.root)
    for seed in range(3):
        write_package(workspace, "ink", seed)
        registry.register(workspace, "ink")
    registry.promote(workspace, "ink", 1, "first", by="ana")
    return workspace


def _at_hand(shelf: Shelf) -> dict[str, int | None]:
    shelf.look()
    return {key: one.version for key, one in shelf.models.items()}


def test_champion_and_challenger_follow_their_aliases(place: Workspace) -> None:
    swaps: list[str] = []
    shelf = Shelf(FromRegistry(place), on_swap=swaps.append)
    assert not shelf.looked
    assert _at_hand(shelf) == {"ink": 1, "ink@challenger": 3}
    champion = shelf.find("ink")
    assert champion.digest == registry.version_of(place, "ink", 1).package
    assert shelf.find(None) is shelf.find("ink@champion") is champion
    registry.promote(place, "ink", 3, "better", by="ana")
    before = shelf.find("ink@challenger").stylizer
    assert _at_hand(shelf) == {"ink": 3}  # a challenger that was promoted is none any more
    assert shelf.find("ink").stylizer is before  # and need not be loaded again
    registry.rollback(place, "ink", "too dark")
    assert _at_hand(shelf) == {"ink": 1}
    assert swaps == ["ink", "ink"]
    assert shelf.looked
    assert not shelf.problems


def test_only_the_models_that_are_named_are_fetched(place: Workspace) -> None:
    write_package(place, "oil", 7)
    registry.register(place, "oil")
    assert set(_at_hand(Shelf(FromRegistry(place)))) == {"ink", "ink@challenger", "oil@challenger"}
    assert set(_at_hand(Shelf(FromRegistry(place, ["oil"])))) == {"oil@challenger"}


def test_a_damaged_version_never_takes_over(place: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(FromRegistry(place))
    shelf.look()
    registry.promote(place, "ink", 2, "better", by="ana")
    weights = registry.version_of(place, "ink", 2).directory / "generator.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert _at_hand(shelf)["ink"] == 1
    [problem] = shelf.problems
    assert "ink version 2 cannot be loaded, ink version 1 paints on" in problem
    assert "does not match the package's manifest" in problem
    weights.write_bytes(whole)
    assert _at_hand(shelf)["ink"] == 1  # it is not hashed anew every few seconds
    assert shelf.problems
    monkeypatch.setattr("pipeline.serve.shelf._AGAIN", 0.0)
    assert _at_hand(shelf)["ink"] == 2
    assert not shelf.problems


def test_a_package_that_was_changed_together_with_its_manifest_is_not_the_registered_one(place: Workspace) -> None:
    version = registry.version_of(place, "ink", 1)
    config = read_json(version.directory / "config.json")
    write_json(version.directory / "config.json", {**config, "view": 64})
    write_manifest(version.directory, {"data": "d" * 64, "params": "p" * 64, "code": "c" * 64})
    shelf = Shelf(FromRegistry(place))
    assert _at_hand(shelf) == {"ink@challenger": 3}
    assert "has digest" in shelf.problems[0]


def test_a_lost_alias_or_registry_stops_nobody(place: Workspace) -> None:
    shelf = Shelf(FromRegistry(place))
    shelf.look()
    store = client(place)
    store.delete_registered_model_alias("ink", "champion")
    assert _at_hand(shelf)["ink"] == 1
    assert "ink has no champion any more; ink version 1 paints on" in shelf.problems[0]
    (place.var / "mlflow.db").rename(place.var / "gone.db")
    (place.var / "mlflow.db").write_bytes(b"no database at all" * 100)
    shelf.look()
    assert shelf.find("ink").version == 1


def test_what_is_of_another_task_is_passed_over(tmp_path: Path) -> None:
    folder = package(tmp_path)
    write_json(folder / "config.json", {**read_json(folder / "config.json"), "task": "restore"})
    write_manifest(folder, {"data": "d" * 64, "params": "p" * 64, "code": "c" * 64})
    shelf = Shelf(FromFolders([folder]))
    assert _at_hand(shelf) == {}
    assert not shelf.problems
    with pytest.raises(Problem) as refused:
        shelf.find("ink")
    assert refused.value.status == 503


def test_folders_are_named_after_their_recipes(tmp_path: Path) -> None:
    folders = [package(tmp_path / name, name) for name in ("oil", "ink")]
    assert _at_hand(Shelf(FromFolders(folders))) == {"oil": None, "ink": None}
    with pytest.raises(ValueError, match="both packages of oil"):
        FromFolders([folders[0], package(tmp_path / "more", "oil")])
    with pytest.raises(ValueError, match="is no model package"):
        FromFolders([tmp_path])


@pytest.mark.slow
def test_promotion_and_rollback_under_load_fail_no_request(place: Workspace) -> None:
    shelf, figures, stop = Shelf(FromRegistry(place)), Figures(), Event()
    shelf.look()
    wanted = settings(at_once=2, waiting=50, poll_seconds=0.05)
    packages = {str(n): registry.version_of(place, "ink", n).package for n in (1, 2, 3)}
    with served(shelf, wanted, figures=figures) as client:

        def paint() -> Counter[tuple[int, str, str]]:
            seen: Counter[tuple[int, str, str]] = Counter()
            while not stop.is_set():
                answer = client.post("/api/stylize", params={"model": "ink"}, content=PHOTO)
                told = answer.headers.get("X-Atelier-Version", ""), answer.headers.get("X-Atelier-Package", "")
                seen[answer.status_code, *told] += 1
            return seen

        with ThreadPoolExecutor(4) as askers:
            asked = [askers.submit(paint) for _ in range(4)]
            try:
                for change in (
                    lambda: registry.promote(place, "ink", 2, "better", by="ana"),
                    lambda: registry.rollback(place, "ink", "too dark"),
                    lambda: registry.promote(place, "ink", 3, "best", by="ana"),
                    lambda: registry.rollback(place, "ink", "too dark"),
                ):
                    change()
                    _serves(client, str(registry.aliases_of(place, "ink")["champion"]))
            finally:
                stop.set()
            seen = sum((one.result(60) for one in asked), Counter[tuple[int, str, str]]())
    assert {status for status, _, _ in seen} == {200}
    assert {version for _, version, _ in seen} == {"1", "2", "3"}
    assert all(packages[version] == digest for _, version, digest in seen)  # what is said is what painted
    assert sum(seen.values()) > 20


def _serves(client: httpx.Client, version: str) -> None:
    end = time.monotonic() + 60
    while True:
        answer = client.post("/api/stylize", params={"model": "ink"}, content=PHOTO)
        assert answer.status_code == 200
        if answer.headers["X-Atelier-Version"] == version:
            return
        assert time.monotonic() < end, f"version {version} did not take over"
