"""Fault 10: git's push is rejected, for whatever reason. The models are made; the next run publishes all."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import registry
from pipeline.files import read_json
from pipeline.workspace import Workspace
from tests.conftest import git
from tests.flows.studio import command
from tests.flows.team import Team, stale, team_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def team(studio: Path) -> Team:
    found = team_of(studio)
    done = found.publish()
    assert done.returncode == 0, done.stderr
    return found


def script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_a_faster_pusher_between_our_look_and_our_push(team: Team) -> None:
    theirs = team.colleague("bootstrap: 30", "bootstrap: 29", branch="colleague")
    team.build("second", "ink/v2")
    # The second time that anybody looks, the branch moves on right behind it.
    count, tool = team.bare.parent / "looks", team.bare.parent / "upload-pack"
    script(tool, f'git upload-pack "$@"; code=$?; echo >> {count}\n'
                 f'test "$(wc -l < {count})" = 2 && git -C {team.bare} update-ref refs/heads/main {theirs}\n'
                 f"exit $code")  # fmt: skip
    git(team.root, "config", "remote.origin.uploadpack", str(tool))
    done = team.publish()
    assert done.returncode == 0, done.stderr
    assert "somebody else pushed to origin/main in the meantime; once more" in done.stderr
    assert_both_are_there(team, theirs)


def test_a_faster_pusher_in_the_middle_of_our_push(team: Team) -> None:
    theirs = team.colleague("bootstrap: 30", "bootstrap: 29", branch="colleague")
    team.build("second", "ink/v2")
    hook = team.bare / "hooks" / "update"
    script(hook, f"unset GIT_QUARANTINE_PATH\nrm {hook}\ngit update-ref refs/heads/main {theirs}\nexit 0")
    done = team.publish()
    assert done.returncode == 0, done.stderr
    assert "in the meantime; once more" in done.stderr
    assert_both_are_there(team, theirs)


def assert_both_are_there(team: Team, theirs: str) -> None:
    git(team.bare, "merge-base", "--is-ancestor", theirs, "main")
    assert "Build ink (second)" in git(team.bare, "log", "--format=%s", "main")
    assert team.tip("refs/tags/ink/v2") == git(team.root, "rev-parse", "ink/v2")
    assert stale(team.clone("check")).returncode == 0
    assert git(team.root, "worktree", "list").count("\n") == 0


def test_a_branch_that_always_moves_on_is_given_up(team: Team) -> None:
    team.build("second", "ink/v2")
    script(team.bare / "hooks" / "update", "unset GIT_QUARANTINE_PATH\n"
           'git update-ref "$1" $(git commit-tree -p "$2" -m again "$2^{tree}")\nexit 0')  # fmt: skip
    git(team.bare, "config", "user.name", "x")
    git(team.bare, "config", "user.email", "x@localhost")
    done = team.publish()
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("not published: others pushed to origin faster, 3 times (publish.attempts)")
    (team.bare / "hooks" / "update").unlink()
    assert team.publish().returncode == 0


def test_a_protected_branch_fails_no_model_and_the_next_retrain_publishes_both(team: Team) -> None:
    team.build("second", "ink/v2")
    settings = (team.root / "params.yaml").read_text()
    (team.root / "params.yaml").write_text(settings.replace("publish:\n", "publish:\n", 1).replace(
        "  enabled: false ", "  enabled: true ", 1
    ))  # fmt: skip
    git(team.root, "commit", "-q", "-a", "-m", "Publish from now on")
    tip = team.tip()
    script(team.bare / "hooks" / "pre-receive", "echo 'main is protected: open a request' >&2; exit 1")

    done = command(team.root, "flows", "retrain")
    assert done.returncode == 0, done.stderr
    assert "ink: version 1 is not promoted." in done.stdout  # the model's own story, as ever
    said = done.stdout.splitlines()[-1]
    assert said.startswith("not published: origin refuses the push to main (pre-receive hook declined: ")
    assert "main is protected: open a request" in said
    assert read_json(team.root / "var" / "last_retrain.json")["published"] == said
    assert registry.aliases_of(Workspace(team.root), "ink") == {"challenger": 1}
    assert team.tip() == tip
    assert git(team.bare, "tag") == "ink/v1"

    (team.bare / "hooks" / "pre-receive").unlink()
    done = command(team.root, "flows", "retrain")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("published: origin/main has 2 more commits and their data")
    assert team.tip() == git(team.root, "rev-parse", "HEAD")
    assert git(team.bare, "tag").split() == ["ink/v1", "ink/v2"]


def test_a_remote_that_is_gone(team: Team) -> None:
    team.build("second", "ink/v2")
    away = team.bare.with_name("away.git")
    team.bare.rename(away)
    done = team.publish()
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("not published: the git remote origin cannot be reached (")
    away.rename(team.bare)
    assert team.publish().returncode == 0
    assert team.tip() == git(team.root, "rev-parse", "HEAD")


def test_commits_do_not_go_without_their_data(team: Team) -> None:
    team.build("second", "ink/v2")
    (team.root / "warm" / "more").mkdir()
    (team.root / "warm" / "more" / "file").write_text("new data\n")
    from tests.flows.team import dvc

    dvc(team.root, "add", "-q", "warm/more")
    git(team.root, "add", "warm/more.dvc", "warm/.gitignore")
    git(team.root, "commit", "-q", "-m", "More data")
    away, tip = team.store.with_name("away"), team.tip()
    team.store.rename(away)
    team.store.write_text("no folder\n")
    done = team.publish()
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("not published: `dvc push` failed: ")
    assert team.tip() == tip
    team.store.unlink()
    away.rename(team.store)
    assert team.publish().returncode == 0
