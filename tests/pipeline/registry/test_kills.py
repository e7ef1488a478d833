"""kill -9 at every step of a change to the registry: the old champion or the new one, and the next run settles it.

The same of what settles, makes anew and copies a registry: whoever is killed there, the next one comes to the same.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import registry
from pipeline.registry import change, journal, record, registration, settling, store
from pipeline.workspace import Workspace
from tests.pipeline.packages import write_package
from tests.pipeline.registry.conftest import copied
from tests.pipeline.registry.killing import in_a_process, killed, steps_of

# Imported before the forks, so that no child does it anew.
PRELOADED = ("torch", "mlflow.pyfunc", "pipeline.inference", "sqlalchemy")
MOST = 40  # steps that are all tried; of more, every few and the last twenty
Work = Callable[[Workspace], object]


def first_champion(workspace: Workspace) -> None:
    registry.promote(workspace, "ink", 1, "the first", by=registry.GATE)


def two_champions(workspace: Workspace) -> None:
    first_champion(workspace)
    registry.promote(workspace, "ink", 2, "the second", by=registry.GATE)


def held_one(workspace: Workspace) -> None:
    first_champion(workspace)
    registry.hold(workspace, "ink", 3, "look first", by="ana")


def a_new_package(workspace: Workspace) -> None:
    first_champion(workspace)
    write_package(workspace, "ink", 9)


# What was before, what is done, and which champions may be met on the way.
OPERATIONS: dict[str, tuple[Work, Work, set[int | None]]] = {
    "promote": (first_champion, lambda w: registry.promote(w, "ink", 2, "better", by=registry.GATE), {1, 2}),
    "promote the first": (lambda w: None, lambda w: registry.promote(w, "ink", 2, "good", by="ana"), {None, 2}),
    "promote what is held": (held_one, lambda w: registry.promote(w, "ink", 3, "fine", by="ana"), {1, 3}),
    "rollback": (two_champions, lambda w: registry.rollback(w, "ink", "smeared", by="ana"), {1, 2}),
    "hold": (first_champion, lambda w: registry.hold(w, "ink", 3, "look", by="ana"), {1}),
    "register": (a_new_package, lambda w: registry.register(w, "ink", {"style": "ink"}), {1}),
    "delete": (first_champion, lambda w: registry.delete(w, "ink", 2, "too old", by="ana"), {1}),
}


def state(workspace: Workspace) -> dict[str, Any]:
    """Return what the registry comes to, without times and MLflow's own names."""
    client = store.opened(workspace)
    versions = {
        int(one.version): {key: value for key, value in one.tags.items() if key != "promoted_at"}
        for one in store.versions(client, "ink")
    }
    told = record.read(workspace)
    return {
        "aliases": store.aliases(client, "ink"),
        "versions": {str(number): tags for number, tags in sorted(versions.items())},
        "packages": {str(n): registry.version_of(workspace, "ink", n).package for n in sorted(versions)},
        "the journal's": told.aliases["ink"],
        "open": [one.id for one in journal.operations(workspace) if one.open],
    }


def points(steps: int) -> list[int]:
    """Return the steps to be killed at: registering writes a hundred files before the registry sees anything."""
    last = range(max(1, steps - MOST // 2 + 1), steps + 1)
    return list(range(1, steps + 1)) if steps <= MOST else [*range(1, last[0], 2 * steps // MOST), *last]


def champion(workspace: Workspace) -> int | None:
    found = registry.champion(workspace, "ink")
    return found.version if found else None


def after_a_kill(workspace: Workspace, again: Work, before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return what a next run meets, what settling makes of it, and what doing it again comes to."""
    met = champion(workspace)
    registry.settle(workspace)
    settled = state(workspace)
    name = "before" if settled == before else "after" if settled == after else "neither"
    if name == "before":
        again(workspace)
    return {"champion": met, "settled": name, "found": settled, "at last": state(workspace)}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", OPERATIONS)
def test_killed_anywhere_it_is_settled_by_the_next_run(name: str, three_versions: Workspace, tmp_path: Path) -> None:
    for module in PRELOADED:
        __import__(module)
    prepare, work, champions = OPERATIONS[name]
    first = copied(three_versions, tmp_path / "studio")
    in_a_process(lambda: prepare(first) and None)
    before = in_a_process(lambda: state(first))
    kept = tmp_path / "kept"
    first.root.rename(kept)

    def fresh() -> Workspace:  # at the same place, because MLflow's database knows it
        shutil.rmtree(first.root, ignore_errors=True)
        return Workspace(Path(shutil.copytree(kept, first.root)))

    workspace = fresh()
    after = in_a_process(lambda: (work(workspace), state(workspace))[1])
    assert after != before
    met: list[tuple[int | None, str]] = []
    steps = steps_of(fresh().root, lambda: work(workspace))
    for step in points(steps):
        assert killed(fresh().root, lambda: work(workspace), step), f"step {step} of {steps} was not reached"
        told = in_a_process(lambda: after_a_kill(workspace, work, before, after))
        assert told["champion"] in champions, f"killed at step {step}"
        assert told["settled"] != "neither", f"killed at step {step}: {told['found']}"
        assert told["at last"] == after, f"killed at step {step}"
        met.append((told["champion"], told["settled"]))
    assert len(met) >= 6
    assert {name for _, name in met} == {"before", "after"}, "one side of the change was never met"
    assert {number for number, _ in met} == champions


def left_open(workspace: Workspace) -> None:
    """Leave a registration, a promotion and a deletion that were cut short behind their `checked` line."""
    two_champions(workspace)
    write_package(workspace, "ink", 9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registration, "complete_registration", cut)
        end(lambda: registry.register(workspace, "ink", {"style": "ink"}))
        patch.setattr(settling, "settle_all", lambda *_: [])
        patch.setattr(change, "apply", cut)
        end(lambda: registry.promote(workspace, "ink", 3, "better", by="ana"))


def cut(*_: object) -> None:
    raise KeyboardInterrupt


def end(work: Callable[[], object]) -> None:
    with pytest.raises(KeyboardInterrupt):
        work()


def deleted_by_hand(workspace: Workspace) -> None:
    two_champions(workspace)
    store.opened(workspace).delete_model_version("ink", "2")


def lost(workspace: Workspace) -> None:
    """Lose the database; in its place lies half of it."""
    two_champions(workspace)
    registry.hold(workspace, "ink", 3, "look first", by="ana")
    database = store.database(workspace)
    database.write_bytes(database.read_bytes()[: database.stat().st_size // 2])


# What was before, and what is done; the champion is the same all the time, and must load all the time.
MENDING: dict[str, tuple[Work, Work]] = {
    "settle": (left_open, registry.settle),
    "settle what was deleted by hand": (deleted_by_hand, registry.settle),
    "rebuild": (lost, registry.rebuild),
}


def paths_at(workspace: Workspace) -> dict[str, int]:
    """Return how often which file of the artifact store is named; the journal's own lines are not compared."""
    return {str(path.relative_to(workspace.artifacts)): 1 for path in workspace.artifacts.rglob("MLmodel")}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", MENDING)
def test_mending_that_is_killed_anywhere_is_done_by_the_next(
    name: str, three_versions: Workspace, tmp_path: Path
) -> None:
    for module in PRELOADED:
        __import__(module)
    prepare, work = MENDING[name]
    workspace = copied(three_versions, tmp_path / "studio")
    in_a_process(lambda: prepare(workspace) and None)
    package = in_a_process(lambda: found(workspace))
    kept = workspace.root.rename(tmp_path / "kept")

    def fresh() -> Workspace:
        shutil.rmtree(workspace.root, ignore_errors=True)
        return Workspace(Path(shutil.copytree(kept, workspace.root)))

    after = in_a_process(lambda: (work(fresh()), state(workspace), paths_at(workspace))[1:])
    steps = steps_of(fresh().root, lambda: work(workspace))
    assert steps >= 6
    for step in points(steps):
        assert killed(fresh().root, lambda: work(workspace), step), f"step {step} of {steps} was not reached"
        if name != "settle":  # where a promotion is finished it is the old one or the new one, see above
            assert in_a_process(lambda: found(workspace)) == package, f"killed at step {step}"
        else:
            assert in_a_process(lambda: champion(workspace)) in {2, 3}, f"killed at step {step}"
        told = in_a_process(lambda: (work(workspace), state(workspace), paths_at(workspace))[1:])
        assert told == after, f"killed at step {step} of {steps}"
        assert in_a_process(lambda: work(workspace)) == [], f"killed at step {step}: something is still to be done"


def found(workspace: Workspace) -> str | None:
    """Return the package of the champion, checked."""
    one = registry.champion(workspace, "ink")
    return one.package if one else None
