"""Publishing: what retrain committed goes to the remotes of DVC and git. Knows nothing of Prefect.

All of it happens in a worktree of its own, so a person's files, index and branch stay as they are. Where the remote's
branch has moved on, our commits are put behind its own, built again where that made anything stale, and only then
pushed; nothing is ever forced.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.proc import Deadline, DeadlineError, run
from pipeline.dvc import dvc
from pipeline.files import read_json, write_atomic, write_json
from pipeline.lockfile import damage, read_lock
from pipeline.params import Publish
from pipeline.process import exclusive
from pipeline.recipes import load_book
from pipeline.sharing.git import UNATTENDED, GitError, attempt, commit_of, environment, git, identity, is_ancestor
from pipeline.sharing.scratch import checked_out
from pipeline.terminal import capture, child_environment
from pipeline.workspace import Workspace

Say = Callable[[str], None]
_TAG = re.compile(r"[a-z0-9][a-z0-9_-]*/v\d+")
_FASTER = re.compile(r"\[rejected\]|cannot lock ref|incorrect old value|failed to update ref|stale info")
_REFUSED = re.compile(r"\[remote rejected\] \((.*)\)")
_TAIL = 60  # lines of a command's output kept to explain a failure
_REBUILD = "Build again what is stale behind the commits of others"
# Both sides have a dvc.lock of their own after each retrain. Which lines win does not matter: DVC builds again, or
# takes from its cache, what the outcome does not describe.
_LOCK_DRIVER = ("-c", "merge.lockfile.driver=git merge-file -q --theirs %A %O %B")


class NotPublishedError(Exception):
    """Something could not be published; the message says why, in one sentence. The next run tries all of it again."""


class _FasterError(Exception):
    """Somebody else pushed in the meantime."""


@dataclass(frozen=True)
class Offer:
    """What would go, and to where."""

    remote: str
    branch: str
    head: str
    """The commit that is checked out in the workspace."""
    tip: str | None
    """The remote branch's commit; None where there is no such branch."""
    base: str | None
    """Our commits begin behind it; None where all of `head`'s history is ours."""
    commits: tuple[str, ...]
    """Ours, oldest first, one line each: hash and subject."""
    tags: tuple[str, ...]
    """Version tags that the remote lacks."""
    clashing: tuple[str, ...]
    """Version tags that the remote has at other commits."""

    @property
    def behind(self) -> bool:
        """Whether the remote's branch has commits that are not in the workspace."""
        return self.tip is not None and bool(self.commits) and self.base != self.tip

    @property
    def empty(self) -> bool:
        """Whether there is nothing to push."""
        return not self.commits and not self.tags

    def lines(self) -> list[str]:
        """Return it in words."""
        if self.empty:
            return [f"nothing: {self.remote}/{self.branch} and its tags have all that is committed here"]
        said = [f"to {self.remote}/{self.branch}:", *(f"  {commit}" for commit in self.commits)]
        if self.behind:
            said.append("  behind the commits of others there, built again where that makes them stale")
        return [*said, *(f"  tag {tag}" for tag in self.tags)]


def offer(workspace: Workspace, settings: Publish) -> Offer:
    """Return what would be published; fetches the branch's commits, and changes nothing else.

    Raises:
        NotPublishedError: there is no such remote, it cannot be reached, or no branch is named.
    """
    try:
        return _offer(workspace, settings)
    except GitError as error:
        raise NotPublishedError(str(error)) from error


def publish(workspace: Workspace, settings: Publish, say: Say) -> list[str]:
    """Push data, then commits, then version tags; return what was done, in sentences.

    The caller holds the retrain lock.

    Raises:
        NotPublishedError: see there. What was pushed before stays pushed.
    """
    try:
        with exclusive(workspace.work / "publish.lock", "publishing"):
            return _publish(workspace, settings, say)
    except GitError as error:
        raise NotPublishedError(str(error)) from error


def _publish(workspace: Workspace, settings: Publish, say: Say) -> list[str]:
    for _ in range(settings.attempts):
        found = _offer(workspace, settings)
        done = []
        if not found.empty:
            _require_dvc_remote(workspace, settings)
            try:
                done = _push(workspace, settings, found, say)
            except _FasterError:
                say(f"somebody else pushed to {found.remote}/{found.branch} in the meantime; once more")
                continue
        if found.clashing:
            raise NotPublishedError(
                f"{found.remote} has other versions called {', '.join(found.clashing)}, of another workspace; all "
                f"else is published: give this one a remote of its own (publish.remote), or its recipes other names"
            )
        return done or found.lines()
    raise NotPublishedError(
        f"others pushed to {settings.remote} faster, {settings.attempts} times (publish.attempts); the next run "
        f"tries again, or give this workspace a branch of its own (publish.branch)"
    )


def _offer(workspace: Workspace, settings: Publish) -> Offer:
    root, remote = workspace.root, settings.remote
    branch, head = _branch(workspace, settings), git(root, "rev-parse", "--verify", "HEAD")
    if remote not in git(root, "remote").splitlines():
        raise NotPublishedError(f"git has no remote {remote!r}; add it with `git remote add {remote} URL`")
    there = _listed(workspace, settings)
    tip = there.get(f"refs/heads/{branch}")
    if tip is not None:
        _network(workspace, settings, ["fetch", "--quiet", "--no-tags", remote, f"refs/heads/{branch}"])
        tip = git(root, "rev-parse", "--verify", "FETCH_HEAD")
    base = _base(workspace, remote, branch, head, tip)
    ours = git(root, "log", "--reverse", "--format=%h %s", head if base is None else f"{base}..{head}").splitlines()
    tags = git(root, "for-each-ref", "--format=%(refname) %(objectname)", "refs/tags").splitlines()
    mine: dict[str, str] = dict(line.split(maxsplit=1) for line in tags)
    versions = [name for name in mine if _TAG.fullmatch(name.removeprefix("refs/tags/"))]
    new = tuple(name.removeprefix("refs/tags/") for name in versions if name not in there)
    clashing = tuple(
        name.removeprefix("refs/tags/") for name in versions if name in there and there[name] != mine[name]
    )
    return Offer(remote, branch, head, tip, base, tuple(ours), new, clashing)


def _branch(workspace: Workspace, settings: Publish) -> str:
    if settings.branch:
        return settings.branch
    here = attempt(workspace.root, "symbolic-ref", "--short", "--quiet", "HEAD")
    if here.returncode != 0:
        raise NotPublishedError("no branch is checked out; name the remote's with publish.branch in params.yaml")
    return here.stdout.strip()


def _listed(workspace: Workspace, settings: Publish) -> dict[str, str]:
    """Return the branches and tags of the remote: ref -> object."""
    lines = _network(workspace, settings, ["ls-remote", settings.remote])
    pairs = (line.split("\t") for line in lines if re.match(r"[0-9a-f]{40,}\t", line))
    return {ref: commit for commit, ref in pairs}


def _base(workspace: Workspace, remote: str, branch: str, head: str, tip: str | None) -> str | None:
    """Return the commit behind which our commits begin."""
    root = workspace.root
    if tip is None or is_ancestor(root, tip, head):
        return tip
    last = _last(workspace)
    if (last.get("remote"), last.get("branch")) == (remote, branch):
        # Ours may stand there under other hashes, behind the commits of others.
        ours, theirs = str(last["local"]), str(last["published"])
        if is_ancestor(root, ours, head) and is_ancestor(root, theirs, tip):
            return ours
    found = attempt(root, "merge-base", head, tip)
    if found.returncode != 0:
        raise NotPublishedError(
            f"{remote}/{branch} has another history than this workspace; name another branch with publish.branch"
        )
    return found.stdout.strip()


def _last(workspace: Workspace) -> dict[str, str]:
    path = workspace.var / "publish.json"
    return dict(read_json(path)) if path.is_file() else {}


def _require_dvc_remote(workspace: Workspace, settings: Publish) -> None:
    listed = capture(workspace, dvc(workspace, "remote", "list")).stdout.splitlines()
    names = [line.split()[0] for line in listed if line.strip()]
    if settings.dvc_remote and settings.dvc_remote not in names:
        raise NotPublishedError(
            f"DVC has no remote {settings.dvc_remote!r} (publish.dvc_remote); it has {', '.join(names) or 'none'}"
        )
    default = capture(workspace, dvc(workspace, "config", "core.remote")).stdout.strip()
    if not settings.dvc_remote and not default:
        raise NotPublishedError("DVC has no default remote; add one with `dvc remote add --default NAME URL`")


def _push(workspace: Workspace, settings: Publish, found: Offer, say: Say) -> list[str]:
    done = []
    with checked_out(
        workspace, found.head, workspace.work / "publish" / "tree", remote=settings.dvc_remote
    ) as place:
        for commit in dict.fromkeys(commit_of(place.root, f"refs/tags/{tag}") for tag in found.tags):
            if commit is not None and commit != found.head:
                git(place.root, *UNATTENDED, "checkout", "--quiet", "--detach", commit)
                _push_data(place, settings)
        git(place.root, *UNATTENDED, "checkout", "--quiet", "--detach", found.head)
        if found.commits:
            published = _after_theirs(workspace, place, settings, found, say) if found.behind else found.head
            _push_data(place, settings)
            _push_refs(workspace, settings, [f"{published}:refs/heads/{found.branch}"], found)
            record = {"remote": found.remote, "branch": found.branch, "local": found.head, "published": published}
            when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            write_json(workspace.var / "publish.json", record | {"time": when})
            done.append(f"{found.remote}/{found.branch} has {len(found.commits)} more commits and their data")
            if found.behind:
                done.append(
                    f"they stand behind the commits of others; `git reset --keep {found.remote}/{found.branch}` and "
                    f"`dvc checkout` bring those here"
                )
        elif found.tags:
            _push_data(place, settings)
        if found.tags:
            _push_refs(workspace, settings, [f"refs/tags/{tag}" for tag in found.tags], found)
            done.append(f"{found.remote} has the tags {', '.join(found.tags)}")
    return done


def _after_theirs(workspace: Workspace, place: Workspace, settings: Publish, found: Offer, say: Say) -> str:
    """Put our commits behind the remote's, build again what that made stale, and return the new commit."""
    say(f"{found.remote}/{found.branch} has moved on: our commits go behind it")
    assert found.tip is not None
    assert found.base is not None
    attributes = write_atomic(workspace.work / "publish" / "attributes", "dvc.lock merge=lockfile\n")
    options = [*UNATTENDED, "-c", f"core.attributesFile={attributes}", *_LOCK_DRIVER, *identity(place.root)]
    rebased = attempt(place.root, *options, "rebase", "--onto", found.tip, found.base, found.head)
    if rebased.returncode != 0:
        both = git(place.root, "diff", "--name-only", "--diff-filter=U").splitlines()
        attempt(place.root, *options, "rebase", "--abort")
        what = ", ".join(both) or "the same files"
        raise NotPublishedError(
            f"{what}: changed here and on {found.remote}/{found.branch} both, which a person must settle: "
            f"`git pull --rebase {found.remote} {found.branch}`, then `atelier retrain`"
        )
    lock = place.root / "dvc.lock"
    if lock.is_file() and damage(lock.read_text()) is not None:
        write_atomic(lock, git(place.root, "show", f"{found.head}:dvc.lock") + "\n")
    _build_again(place, settings, say)
    if git(place.root, "status", "--porcelain", "--", "dvc.lock"):
        who = identity(place.root)
        git(place.root, *UNATTENDED, *who, "commit", "--quiet", "--only", "-m", _REBUILD, "--", "dvc.lock")
    return git(place.root, "rev-parse", "HEAD")


def _build_again(place: Workspace, settings: Publish, say: Say) -> None:
    """Run `dvc repro` for what was built here; data is fetched only for what is stale."""
    built = {name.partition("@")[2] for name in read_lock(place.root) if name.startswith("evaluate@")}
    targets = [f"evaluate@{name}" for name in load_book(place).recipes if name in built]
    if not targets:
        return
    deadline = Deadline(settings.build_minutes * 60)

    def hear(line: str) -> None:
        if line.startswith("Running stage"):
            deadline.restart()
            say(f"behind the commits of others: {line.rstrip(':')}")

    command = dvc(place, "repro", "--pull", "--allow-missing", *targets)
    code, tail = _run(place, command, deadline, hear, child_environment(place))
    if code != 0:
        told = [line.partition("error: ")[2] or line.partition("ERROR: ")[2] for line in tail]
        why = next((each for each in told if each), tail[-1] if tail else f"exit status {code}")
        raise NotPublishedError(
            f"behind the commits of others it cannot be built ({why}); `git pull --rebase` here, then "
            f"`atelier retrain`"
        )


def _push_data(place: Workspace, settings: Publish) -> None:
    code, tail = _run(place, dvc(place, "push"), Deadline(settings.minutes * 60), None, child_environment(place))
    if code != 0:
        why = next((line.partition("ERROR: ")[2] for line in tail if "ERROR: " in line), " ".join(tail[-2:]))
        raise NotPublishedError(f"`dvc push` failed: {why}; see `dvc remote list`, and that one can write there")


def _push_refs(workspace: Workspace, settings: Publish, refs: Sequence[str], found: Offer) -> None:
    """Push refs, never by force: from the workspace, from where a remote's relative path counts.

    Raises:
        _FasterError: somebody else has pushed since we looked.
        NotPublishedError: the remote refuses, or cannot be reached.
    """
    command = ["git", *UNATTENDED, "push", "--porcelain", "--no-verify", found.remote, *refs]
    code, tail = _run(workspace, command, Deadline(settings.minutes * 60), None, environment())
    if code == 0:
        return
    text = "\n".join(tail)
    if _FASTER.search(text):
        raise _FasterError
    refused = _REFUSED.search(text)
    if refused is not None:
        words = " ".join(line.removeprefix("remote:").strip() for line in tail if line.startswith("remote:"))
        raise NotPublishedError(
            f"{found.remote} refuses the push to {found.branch} ({refused[1]}{': ' + words if words else ''}); allow "
            f"it there, or name another branch with publish.branch"
        )
    raise NotPublishedError(_unreachable(found.remote, tail))


def _network(workspace: Workspace, settings: Publish, arguments: Sequence[str]) -> list[str]:
    """Run a git command that talks to the remote and return its output."""
    tail: list[str] = []
    command = ["git", *UNATTENDED, *arguments]
    code, last = _run(workspace, command, Deadline(settings.minutes * 60), tail.append, environment())
    if code != 0:
        raise NotPublishedError(_unreachable(settings.remote, last))
    return tail


def _unreachable(remote: str, tail: Sequence[str]) -> str:
    why = next((line.partition("fatal: ")[2] for line in tail if "fatal: " in line), " ".join(tail[-2:]))
    return f"the git remote {remote} cannot be reached ({why}); see `git remote -v`"


def _run(
    place: Workspace,
    command: Sequence[str],
    deadline: Deadline,
    hear: Callable[[str], None] | None,
    env: dict[str, str],
) -> tuple[int, list[str]]:
    """Run a command to its end and return its exit status and the last lines it said."""
    tail: deque[str] = deque(maxlen=_TAIL)

    def take(line: str) -> None:
        tail.append(line)
        if hear is not None:
            hear(line)

    try:
        return run(command, cwd=place.root, env=env, deadline=deadline, on_line=take), list(tail)
    except DeadlineError as error:
        shown = " ".join(Path(part).name for part in command[:1]) + " " + " ".join(command[-2:])
        raise NotPublishedError(
            f"`{shown}` did not end within {deadline.seconds / 60:g} minutes (publish.minutes, publish.build_minutes)"
        ) from error
