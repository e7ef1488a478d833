"""What was cut short, what was deleted or changed by hand, and a database that was lost: settled, told, made anew."""

from __future__ import annotations

import gc
import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine

from pipeline import registry
from pipeline.registry import RegistryError, RegistryLostError, change, checksums, health, journal, record, store
from pipeline.registry.story import history
from pipeline.stylize import find_package
from pipeline.tracking import StoreError
from pipeline.workspace import Workspace
from tests.pipeline.packages import empty_workspace, write_package
from tests.pipeline.registry.conftest import copied

ROOT = Path(__file__).parents[3]


def crowned(studio: Workspace) -> Workspace:
    """Version 1, then 2 was made champion; a person holds 3."""
    registry.promote(studio, "ink", 1, "first", by=registry.GATE)
    registry.promote(studio, "ink", 2, "better", by="ana")
    registry.hold(studio, "ink", 3, "odd sky", by="bob")
    return studio


def tags(workspace: Workspace, number: int) -> dict[str, str]:
    return dict(store.opened(workspace).get_model_version("ink", str(number)).tags)


def cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next change be cut short after it was written down as checked."""

    def ended(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(change, "apply", ended)


def test_what_was_checked_is_finished_and_what_was_only_meant_is_taken_back(
    studio: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.promote(studio, "ink", 1, "first", by=registry.GATE)
    journal.begin(studio, "promote", "ink", **{"from": 1, "to": 3, "by": "ana"})
    assert registry.settle(studio) == [
        "promote of ink version 3, which was cut short, was taken back: nothing had been changed yet"
    ]
    with monkeypatch.context() as patch:
        cut_short(patch)
        with pytest.raises(KeyboardInterrupt):
            registry.promote(studio, "ink", 2, "better", by=registry.GATE)
    found = registry.champion(studio, "ink")
    assert found is not None
    assert found.version == 1
    assert registry.settle(studio) == ["promote of ink version 2, which was cut short, is done"]
    assert registry.aliases_of(studio, "ink") == {"champion": 2, "previous": 1, "challenger": 3, "anchor": 1}
    assert (tags(studio, 2)["promoted_why"], tags(studio, 2)["promoted_by"]) == ("better", "gate")
    assert registry.settle(studio) == []


def test_what_does_not_work_any_more_is_not_finished(studio: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.promote(studio, "ink", 1, "first", by=registry.GATE)
    with monkeypatch.context() as patch:
        cut_short(patch)
        with pytest.raises(KeyboardInterrupt):
            registry.promote(studio, "ink", 2, "better", by=registry.GATE)
    (record.read(studio).versions["ink", 2].directory(studio) / "generator.safetensors").unlink()
    assert "was taken back" in registry.settle(studio)[0]
    assert registry.aliases_of(studio, "ink")["champion"] == 1
    assert "promoted_by" not in tags(studio, 2)
    last = history(studio, "ink").events[-1]
    assert last.what == "promoted, not done"


def test_who_moved_the_champion_by_hand_meanwhile_is_heeded(
    studio: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.promote(studio, "ink", 1, "first", by=registry.GATE)
    with monkeypatch.context() as patch:
        cut_short(patch)
        with pytest.raises(KeyboardInterrupt):
            registry.promote(studio, "ink", 2, "better", by=registry.GATE)
    store.opened(studio).set_registered_model_alias("ink", "champion", "3")
    assert "somebody made version 3 the champion meanwhile" in registry.settle(studio)[0]


def test_what_cannot_make_a_picture_is_not_promoted(studio: Workspace) -> None:
    registry.promote(studio, "ink", 1, "first", by=registry.GATE)
    code = record.read(studio).versions["ink", 2].folder(studio) / "code" / "pipeline" / "inference.py"
    code.write_text("import os\n" + code.read_text())
    with pytest.raises(RegistryError, match=r"version 2 is not what was registered: code/pipeline/inference\.py was"):
        registry.promote(studio, "ink", 2, "better", by="ana")
    assert registry.aliases_of(studio, "ink")["champion"] == 1
    assert journal.operations(studio)[-1].phase == journal.ABANDONED
    config = studio.package("ink") / "config.json"
    plain = json.loads(config.read_text())
    plain["network"]["arguments"]["channels"] = 8
    config.write_text(json.dumps(plain))
    from pipeline.package import write_manifest

    write_manifest(studio.package("ink"), {"data": "d" * 64, "params": "p" * 64, "code": "c" * 64})
    number = registry.register(studio, "ink").version
    with pytest.raises(RegistryError, match="version 4 cannot be used: the generator of package"):
        registry.promote(studio, "ink", number, "better", by="ana")
    assert registry.aliases_of(studio, "ink")["champion"] == 1


def test_a_package_that_was_exchanged_in_store_and_registry_alike_is_refused(studio: Workspace) -> None:
    registry.promote(studio, "ink", 1, "first", by=registry.GATE)
    directory = record.read(studio).versions["ink", 1].directory(studio)
    digest = write_package(studio, "ink", seed=77)
    shutil.rmtree(directory)
    shutil.copytree(studio.package("ink"), directory)
    store.opened(studio).set_model_version_tag("ink", "1", "package", digest)
    with pytest.raises(RegistryError, match=r"was registered with package .* and the registry now says"):
        registry.champion(studio, "ink")


def test_files_are_held_against_the_journal(studio: Workspace) -> None:
    known = record.read(studio).versions["ink", 1]
    assert "MLmodel" in known.files
    assert "artifacts/ink/generator.safetensors" in known.files
    assert checksums.changes(studio, known) == []
    (known.folder(studio) / "code" / "torch.py").write_text("print('mine')\n")
    (known.folder(studio) / "MLmodel").unlink()
    (known.directory(studio) / "config.json").write_text("{}")
    cache = known.folder(studio) / "code" / "pipeline" / "__pycache__"
    cache.mkdir()
    (cache / "files.cpython-311.pyc").touch()  # which loading it makes
    assert checksums.changes(studio, known) == [
        "MLmodel is missing",
        "artifacts/ink/config.json was changed",
        "code/torch.py was added",
    ]
    shutil.rmtree(known.folder(studio))
    assert "is missing" in checksums.changes(studio, known)[0]


def test_what_an_alias_names_is_not_deleted_and_what_none_names_is_gone_with_its_files(studio: Workspace) -> None:
    crowned(studio)
    for number, alias in ((2, "anchor and champion"), (1, "previous"), (3, "challenger")):
        with pytest.raises(RegistryError, match=f"version {number} is the {alias}, and what an alias names"):
            registry.delete(studio, "ink", number, "space", by="ana")
    registry.promote(studio, "ink", 3, "fine", by="ana")
    with pytest.raises(RegistryError, match="no version 9"):
        registry.delete(studio, "ink", 9, "space", by="ana")
    folder = record.read(studio).versions["ink", 1].folder(studio)
    registry.delete(studio, "ink", 1, "space", by="ana")
    assert not folder.parent.exists()
    with pytest.raises(RegistryError, match="no version 1"):
        registry.version_of(studio, "ink", 1)
    assert ("deleted", 1, "ana", "space") in [
        (event.what, event.version, event.by, event.why) for event in history(studio, "ink").events
    ]
    assert registry.settle(studio) == []
    assert [problem.detail for problem in health.problems(studio)] == []


def test_a_champion_that_was_deleted_by_hand_is_used_told_and_comes_back(studio: Workspace) -> None:
    """Fault 13: nothing is lost, the champion keeps loading, a rerun converges."""
    crowned(studio)
    package = record.read(studio).versions["ink", 2].package
    store.opened(studio).delete_model_version("ink", "2")
    assert registry.aliases_of(studio, "ink") == {"champion": 2, "anchor": 2, "previous": 1, "challenger": 3}
    assert find_package(studio, "ink").expected == package
    found = registry.champion(studio, "ink")
    assert found is not None
    assert (found.version, found.package, found.tags["promoted_by"]) == (2, package, "ana")
    told = list(health.problems(studio))
    assert "ink version 2, the champion and anchor, was deleted from the registry by hand" in told[0].detail
    assert told[0].grave
    assert "`atelier registry rebuild`" in told[0].remedy
    assert registry.settle(studio) == [
        "ink: version 2 was deleted from the registry by hand, and is back as version 4: champion, anchor"
    ]
    assert registry.aliases_of(studio, "ink") == {"champion": 4, "anchor": 4, "previous": 1, "challenger": 3}
    again = registry.champion(studio, "ink")
    assert again is not None
    assert again.package == package
    assert (again.tags["restored_from"], again.tags["promoted_by"]) == ("2", "ana")
    assert registry.settle(studio) == []
    assert [problem.detail for problem in health.problems(studio)] == []
    assert registry.rollback(studio, "ink", "and away", by="ana").version == 1
    assert registry.aliases_of(studio, "ink") == {"champion": 1, "anchor": 1, "previous": 4, "challenger": 3}


def test_a_champion_deleted_by_hand_with_its_files_is_told(studio: Workspace) -> None:
    crowned(studio)
    known = record.read(studio).versions["ink", 2]
    store.opened(studio).delete_model_version("ink", "2")
    shutil.rmtree(known.folder(studio))
    assert registry.settle(studio) == []
    with pytest.raises(RegistryError, match=r"no manifest\.json"):
        registry.champion(studio, "ink")
    assert "its files are gone too" in next(iter(health.problems(studio))).remedy
    assert registry.rollback(studio, "ink", "the files are gone", by="ana").version == 1
    assert registry.aliases_of(studio, "ink")["champion"] == 1


def test_aliases_that_were_moved_by_hand_are_told(studio: Workspace) -> None:
    crowned(studio)
    store.opened(studio).set_registered_model_alias("ink", "champion", "1")
    assert "version 1, and the journal says 2: moved by hand" in next(iter(health.problems(studio))).detail
    store.opened(studio).delete_registered_model_alias("ink", "champion")
    told = next(iter(health.problems(studio)))
    assert (told.grave, "somebody took the alias from version 2" in told.detail) == (True, True)
    assert registry.champion(studio, "ink") is None


@pytest.mark.parametrize("how", ["cut off", "emptied", "overwritten", "removed"])
def test_a_lost_database_is_no_lost_champion(studio: Workspace, how: str) -> None:
    """Fault 14: the champion keeps loading, and nothing begins anew with version 1."""
    crowned(studio)
    aliases = registry.aliases_of(studio, "ink")
    lose(studio, how)
    found = registry.champion(studio, "ink")
    assert found is not None
    assert (found.version, found.tags["promoted_by"]) == (2, "ana")
    assert find_package(studio, None).label == "ink version 2 (champion)"
    assert registry.models(studio) == {"ink": aliases}
    for work in (
        lambda: registry.promote(studio, "ink", 3, "r", by="ana"),
        lambda: registry.register(studio, "ink"),
        lambda: registry.settle(studio),
    ):
        with pytest.raises(RegistryLostError, match=r"`atelier restore DIR` .* `atelier registry rebuild`"):
            work()
    assert next(iter(health.problems(studio))).grave


@pytest.mark.slow
@pytest.mark.parametrize("how", ["cut off", "removed"])
def test_a_lost_database_is_made_anew(studio: Workspace, how: str) -> None:
    """Fault 14: nothing is lost, a rerun converges."""
    crowned(studio)
    before = {number: tags(studio, number) for number in (1, 2, 3)}
    aliases = registry.aliases_of(studio, "ink")
    lose(studio, how)
    said = rebuilt(studio)
    assert [f"ink version {number}: from the artifact store" for number in (1, 2, 3)] == said[-3:]
    assert len(list(studio.var.glob("mlflow.db.damaged-*"))) == (0 if how == "removed" else 1)
    assert {number: tags(studio, number) for number in (1, 2, 3)} == before
    assert all((store.model_folder(store.opened(studio), "ink", n) / "MLmodel").is_file() for n in (1, 2, 3))
    assert registry.aliases_of(studio, "ink") == aliases
    assert registry.rebuild(studio) == []
    assert [problem.detail for problem in health.problems(studio)] == []
    assert registry.promote(studio, "ink", 3, "fine", by="ana")
    write_package(studio, "ink", seed=8)
    assert registry.register(studio, "ink").version == 4


def rebuilt(workspace: Workspace) -> list[str]:
    """Rebuild in a process of its own, as the command does: MLflow remembers which databases it has made."""
    script = (
        "import json, sys; from pathlib import Path; from pipeline import registry; "
        "from pipeline.workspace import Workspace; print(json.dumps(registry.rebuild(Workspace(Path(sys.argv[1])))))"
    )
    command = [sys.executable, "-c", script, str(workspace.root)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said: list[str] = json.loads(done.stdout.splitlines()[-1])
    return said


def lose(workspace: Workspace, how: str) -> None:
    path = workspace.var / "mlflow.db"
    if how == "cut off":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif how == "emptied":
        path.write_bytes(b"")
    elif how == "overwritten":
        path.write_bytes(b"\0" * path.stat().st_size)
    else:
        path.unlink()
    # A process that finds the database so has none of its connections; this one keeps them.
    for engine in [each for each in gc.get_objects() if type(each) is Engine]:
        engine.dispose()


@pytest.mark.slow
def test_a_rebuilt_registry_keeps_numbers_where_versions_are_missing(studio: Workspace) -> None:
    registry.promote(studio, "ink", 3, "good", by="ana")
    registry.delete(studio, "ink", 2, "space", by="ana")
    lose(studio, "removed")
    rebuilt(studio)
    assert [int(one.version) for one in store.versions(store.opened(studio), "ink")] == [1, 3]
    assert registry.aliases_of(studio, "ink") == {"champion": 3, "anchor": 3}
    assert registry.rebuild(studio) == []


def test_a_model_that_the_registry_forgot_is_not_begun_anew(studio: Workspace) -> None:
    crowned(studio)
    store.opened(studio).delete_registered_model("ink")
    with pytest.raises(RegistryLostError, match="does not know model 'ink'"):
        registry.register(studio, "ink")
    assert "does not know model ink" in next(iter(health.problems(studio))).detail
    assert registry.aliases_of(studio, "ink")["champion"] == 2


def test_versions_of_before_there_was_a_record_are_recorded_by_a_rebuild(studio: Workspace) -> None:
    registry.promote(studio, "ink", 1, "first", by=registry.GATE)
    journal.journal_file(studio).unlink()
    assert registry.champion(studio, "ink") is not None
    told = list(health.problems(studio))
    assert [problem.grave for problem in told] == [False]
    assert "of version(s) 1, 2, 3 no checksums were recorded" in told[0].detail
    assert len(registry.rebuild(studio)) == 3
    assert list(health.problems(studio)) == []
    assert checksums.changes(studio, record.read(studio).versions["ink", 1]) == []


def test_a_registration_that_was_cut_short_is_finished(studio: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.registry import registration

    def ended(*_: object) -> None:
        raise KeyboardInterrupt

    write_package(studio, "ink", seed=5)
    with monkeypatch.context() as patch:
        patch.setattr(registration, "complete_registration", ended)
        with pytest.raises(KeyboardInterrupt):
            registry.register(studio, "ink", {"style": "ink"})
    assert registry.aliases_of(studio, "ink") == {"challenger": 3}
    assert not registry.register(studio, "ink").new, "it was registered twice"
    assert registry.aliases_of(studio, "ink") == {"challenger": 4}
    assert tags(studio, 4)["style"] == "ink"


def test_the_story_of_a_model(studio: Workspace) -> None:
    crowned(studio)
    registry.rollback(studio, "ink", "smeared", by="cleo")
    registry.note_verdict(studio, "ink", 3, {"verdict": "refused", "verdict_sentence": "Too flat."})
    registry.note_verdict(studio, "ink", 3, {"verdict": "refused", "verdict_sentence": "Too flat."})
    registry.promote(studio, "ink", 1, "still good", by="dan")
    story = history(studio, "ink")
    assert story.aliases == {"champion": 1, "previous": 2, "anchor": 1, "challenger": 3}
    told = [(event.what, event.version, event.by, event.why) for event in story.events if event.what != "trained"]
    assert [line for line in told if line[0] not in ("registered", "accepted")] == [
        ("promoted", 1, "gate", "first"),
        ("promoted", 2, "ana", "better"),
        ("held", 3, "bob", "odd sky"),
        ("rolled back", 1, "cleo", "from version 2: smeared"),
        ("refused", 3, "gate", "Too flat."),
    ]
    assert [number for what, number, _, _ in told if what == "registered"] == [1, 2, 3]
    assert [event.time for event in story.events] == sorted(event.time for event in story.events)
    assert sum(event.what == "trained" for event in story.events) == 3
    assert json.loads(json.dumps(story.plain()))["events"][0]["time"].endswith("Z")
    with pytest.raises(RegistryError, match="nothing is known of a model named 'oil'; known: ink"):
        history(studio, "oil")
    lose(studio, "removed")
    assert [event for event in history(studio, "ink").events if event.what == "rolled back"]


def test_approving_the_champion_is_told_too(studio: Workspace) -> None:
    registry.promote(studio, "ink", 1, "first", by=registry.GATE)
    registry.promote(studio, "ink", 2, "second", by=registry.GATE)
    assert not registry.promote(studio, "ink", 2, "I looked at it", by="ana")
    assert registry.aliases_of(studio, "ink")["anchor"] == 2
    last = history(studio, "ink").events[-1]
    assert (last.what, last.version, last.by, last.why) == ("approved", 2, "ana", "I looked at it")


def test_a_workspace_where_nothing_was_registered_has_nothing_to_settle(tmp_path: Path) -> None:
    workspace = empty_workspace(tmp_path)
    assert registry.settle(workspace) == []
    assert list(health.problems(workspace)) == []
    assert not workspace.var.exists()


def test_a_copied_studio_works_at_its_new_place(studio: Workspace, tmp_path: Path) -> None:
    registry.promote(studio, "ink", 1, "first", by=registry.GATE)
    there = copied(studio, tmp_path / "elsewhere")
    shutil.rmtree(studio.root)
    found = registry.champion(there, "ink")
    assert found is not None
    assert found.directory.is_relative_to(there.root)
    with sqlite3.connect(there.var / "mlflow.db") as database:
        assert database.execute("select count(*) from model_versions").fetchone() == (3,)


def test_what_was_decided_is_not_deleted_though_somebody_took_its_alias_away_by_hand(studio: Workspace) -> None:
    crowned(studio)
    store.opened(studio).delete_registered_model_alias("ink", "champion")
    store.opened(studio).delete_registered_model_alias("ink", "anchor")
    with pytest.raises(RegistryError, match="version 2 is the anchor and champion, and what an alias names"):
        registry.delete(studio, "ink", 2, "space", by="ana")
    assert registry.promote(studio, "ink", 2, "it is the champion", by="ana")
    champion = registry.champion(studio, "ink")
    assert champion is not None
    assert champion.version == 2


def test_a_deletion_that_was_cut_short_is_not_done_to_what_became_champion_meanwhile(studio: Workspace) -> None:
    registry.promote(studio, "ink", 1, "first", by=registry.GATE)
    known = record.read(studio).versions["ink", 2]
    journal.begin(studio, "delete", "ink", version=2, model=known.model, reason="space", by="ana")
    store.opened(studio).set_registered_model_alias("ink", "champion", "2")
    assert registry.settle(studio) == ["deleting ink version 2 was cut short, and is not done: an alias names it"]
    assert registry.version_of(studio, "ink", 2).package == known.package


@pytest.mark.slow
def test_a_database_that_does_not_answer_is_one_sentence_and_champions_are_the_journals(studio: Workspace) -> None:
    crowned(studio)
    package = record.read(studio).versions["ink", 2].package
    with closing(sqlite3.connect(store.database(studio), isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        found = registry.champion(studio, "ink")
        assert found is not None
        assert (found.version, found.package) == (2, package)
        for work in (
            lambda: registry.promote(studio, "ink", 3, "r", by="ana"),
            lambda: registry.register(studio, "ink"),
            lambda: registry.settle(studio),
        ):
            with pytest.raises(StoreError, match=r"mlflow\.db does not answer \(.*database is locked.*run the same"):
                work()
    assert registry.settle(studio) == []
    assert registry.promote(studio, "ink", 3, "r", by="ana")


def test_a_registration_of_which_a_line_was_damaged_hides_no_other_version(studio: Workspace) -> None:
    crowned(studio)
    path = journal.journal_file(studio)
    lines = path.read_text().splitlines()
    hurt = [line[:20] if '"register"' in line and '"done"' not in line else line for line in lines[:2]]
    path.write_text("\n".join([*hurt, *lines[2:]]) + "\n")
    assert sorted(record.read(studio).versions) == [("ink", 2), ("ink", 3)]
    found = registry.champion(studio, "ink")
    assert found is not None
    assert found.version == 2
    assert len(history(studio, "ink").events) > 3


def test_a_rebuild_that_was_cut_short_hides_no_champion_and_is_finished_first(studio: Workspace) -> None:
    crowned(studio)
    client = store.opened(studio)
    client.delete_model_version("ink", "2")  # as it is where version 1 has its place again, and 2 has not yet
    client.delete_registered_model_alias("ink", "previous")
    client.set_registered_model_tag("ink", "rebuild", "under way")
    assert registry.aliases_of(studio, "ink") == {"champion": 2, "anchor": 2, "previous": 1, "challenger": 3}
    assert registry.version_of(studio, "ink", 2).package == record.read(studio).versions["ink", 2].package
    for work in (lambda: registry.settle(studio), lambda: registry.rollback(studio, "ink", "r")):
        with pytest.raises(RegistryLostError, match="a rebuild of ink was cut short; run `atelier registry rebuild`"):
            work()
    assert [problem.detail for problem in health.problems(studio)] == ["a rebuild of ink was cut short"]
