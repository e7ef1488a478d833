"""Publishing: data, commits and tags reach the remotes; a person's files, index and branch stay as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import git
from tests.flows.team import Team, dvc, stale, team_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def team(studio: Path) -> Team:
    return team_of(studio)


def state(root: Path) -> tuple[str, ...]:
    """Everything of a person's that publishing must leave: branch, index, changes, and the files themselves."""
    calls = (["rev-parse", "HEAD"], ["symbolic-ref", "HEAD"], ["ls-files", "-s"], ["diff"], ["status", "--porcelain"])
    return (*(git(root, *call) for call in calls), git(root, "worktree", "list"))


def test_it_publishes_all_that_is_committed_and_touches_nothing_of_a_persons(team: Team) -> None:
    (team.root / "README.md").write_text("staged\n")
    git(team.root, "add", "README.md")
    (team.root / "README.md").write_text("and changed again\n")
    (team.root / "params.yaml").write_text((team.root / "params.yaml").read_text() + "# unsaved thoughts\n")
    (team.root / "stray.txt").write_text("stray\n")
    before = state(team.root)
    told = team.publish("--dry-run")
    assert told.returncode == 0, told.stderr
    assert "to origin/main:" in told.stdout
    assert " Build ink (" in told.stdout
    assert told.stdout.endswith("  tag ink/v1\n")
    assert git(team.bare, "for-each-ref") == ""
    assert not team.store.exists()

    done = team.publish()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("origin/main has 2 more commits and their data\n")
    assert team.tip() == git(team.root, "rev-parse", "HEAD")
    assert team.tip("refs/tags/ink/v1") == git(team.root, "rev-parse", "ink/v1")
    assert state(team.root) == before
    assert not (team.root / "work" / "publish" / "tree").exists()

    again = team.publish()
    assert (again.returncode, again.stdout) == (
        0, "nothing: origin/main and its tags have all that is committed here\n",
    )  # fmt: skip

    # Elsewhere all of it can be had, and nothing there is stale.
    clone = team.clone("elsewhere")
    assert stale(clone).returncode == 0, "the lock file does not describe the clone"
    dvc(clone, "remote", "add", "--default", "store", str(team.store))
    dvc(clone, "pull")
    for path in ("models/ink/manifest.json", "runs/ink/networks.npz", "data/photos/manifest.jsonl"):
        assert (clone / path).read_bytes() == (team.root / path).read_bytes()
    assert "Running stage" not in dvc(clone, "repro", "--dry", "evaluate@ink").stdout


def test_a_clone_without_data_tells_what_is_stale(studio: Path, tmp_path: Path) -> None:
    clone = tmp_path / "ci"
    git(tmp_path, "clone", "-q", str(studio), str(clone))
    fresh = stale(clone)
    assert (fresh.returncode, "Running stage" in fresh.stdout) == (0, False), fresh.stderr
    for file, old, new in (
        ("params.yaml", "seed: 20", "seed: 9"),
        ("pipeline/evaluate.py", '"""Stage', '"""Other'),
        ("data/photos.dvc", "md5: ", "md5: 0"),
    ):
        text = (clone / file).read_text()
        (clone / file).write_text(text.replace(old, new, 1))
        assert stale(clone).returncode != 0, file
        (clone / file).write_text(text)


def test_behind_the_commits_of_others_it_is_built_again_and_then_pushed(team: Team) -> None:
    assert team.publish().returncode == 0
    theirs = team.colleague("bootstrap: 30", "bootstrap: 29")
    ours = team.build("second", "ink/v2")
    before = state(team.root)
    git(team.root, "worktree", "add", "-q", "--detach", "work/publish/tree", "HEAD~1")  # a killed run's
    done = team.publish()
    assert done.returncode == 0, done.stderr
    assert "Running stage 'evaluate@ink'" in done.stderr
    assert "train@ink" not in done.stderr  # nothing of it was stale
    assert state(team.root) == before
    assert git(team.bare, "log", "--format=%s", f"{theirs}..main").splitlines() == [
        "Build again what is stale behind the commits of others", "Build ink (second)",
    ]  # fmt: skip
    assert team.tip("refs/tags/ink/v2") == ours  # the tag names what the version was really made from
    clone = team.clone("elsewhere")
    assert stale(clone).returncode == 0
    dvc(clone, "remote", "add", "--default", "store", str(team.store))
    dvc(clone, "pull")  # what was built again is at the remote too

    # Ours stand there under other hashes; they go no second time.
    team.build("third", "ink/v3")
    tip = team.tip()
    assert team.publish().returncode == 0
    assert git(team.bare, "log", "--format=%s", f"{tip}..main") == "Build ink (third)"

    git(team.root, "reset", "-q", "--keep", "origin/main")  # as the message says
    assert team.publish().stdout.startswith("nothing: ")


def test_what_both_changed_is_left_to_a_person(team: Team) -> None:
    assert team.publish().returncode == 0
    theirs = team.colleague("seed: 20", "seed: 9")
    (team.root / "params.yaml").write_text((team.root / "params.yaml").read_text().replace("seed: 20", "seed: 8", 1))
    git(team.root, "commit", "-q", "-a", "-m", "Another seed")
    before = state(team.root)
    done = team.publish()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("not published: params.yaml: changed here and on origin/main both")
    assert team.tip() == theirs
    assert state(team.root) == before


def test_a_version_of_another_workspace_is_not_overwritten(team: Team) -> None:
    first = git(team.root, "rev-parse", "HEAD~1")
    git(team.root, "push", "-q", "origin", f"{first}:refs/tags/ink/v1")
    done = team.publish()
    assert done.returncode == 1
    assert "origin has other versions called ink/v1, of another workspace; all else is published" in done.stderr
    assert team.tip("refs/tags/ink/v1") == first
    assert team.tip() == git(team.root, "rev-parse", "HEAD")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("git", "remote", "remove", "origin"), "no remote 'origin'; add it with `git remote add origin URL`"),
        (("git", "checkout", "-q", "--detach"), "name the remote's with publish.branch"),
        (("dvc", "remote", "remove", "store"), "DVC has no default remote; add one with `dvc remote add --default"),
    ],
)
def test_what_is_not_set_up_is_said(team: Team, change: tuple[str, ...], says: str) -> None:
    git(team.root, *change[1:]) if change[0] == "git" else dvc(team.root, *change[1:])
    done = team.publish()
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert says in done.stderr
