"""dvc.lock: is it whole? DVC takes an empty one for none and a truncated one for changes, both without a word."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.params import read_tree
from pipeline.sharing.git import attempt
from pipeline.workspace import Workspace

_MARKERS = re.compile(r"^(<{7}|={7}|>{7})( |$)", re.MULTILINE)
_SHOWN = 3


def check_lock(workspace: Workspace) -> None:
    """Return when dvc.lock is whole, or was never there.

    Raises:
        ValueError: it is missing although the last commit has one, empty, in conflict, cut off, or lacks stages of
            the last commit that are still to be built; the message says what to do. Nothing is lost by that: DVC's
            cache remembers what each stage made of what, so the next retrain takes from it what is not in the file.
    """
    path = workspace.root / "dvc.lock"
    committed = _committed(workspace)
    if not path.is_file():
        if committed is not None:
            raise ValueError(f"dvc.lock is missing, and the last commit has one; {_remedy(committed)}")
        return
    text = path.read_text(errors="replace")
    if _MARKERS.search(text):
        raise ValueError(f"dvc.lock is in conflict: two histories changed it; {_resolution(workspace, committed)}")
    wrong = damage(text)
    if wrong is not None:
        raise ValueError(f"dvc.lock {wrong}; {_remedy(committed)}")
    lacking = _lacking(workspace, text, committed)
    if lacking:
        names = ", ".join(lacking[:_SHOWN]) + (" and others" if len(lacking) > _SHOWN else "")
        raise ValueError(
            f"dvc.lock is cut off: it lacks what the last commit has of {names}; {_remedy(committed)} (or "
            f"`git commit dvc.lock`, if it is meant)"
        )


def damage(text: str) -> str | None:
    """Return what is wrong with the text of a dvc.lock taken by itself, as it reads behind its name, or None."""
    if not text.strip():
        return "is empty"
    stages = _stages(text)
    if stages is None or not text.endswith("\n"):
        return "is cut off or damaged"
    broken = [name for name, entry in stages.items() if not _is_whole(entry)]
    return f"is cut off or damaged (in {broken[0]})" if broken else None


def _stages(text: str) -> Mapping[str, Any] | None:
    """Return the stages of a lock file, or None when the text is none."""
    import yaml

    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError:
        return None
    stages = tree.get("stages") if isinstance(tree, Mapping) and "schema" in tree else None
    return stages if isinstance(stages, Mapping) else None


def _is_whole(entry: Any) -> bool:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("cmd"), str | list):
        return False
    files = [*(entry.get("deps") or ()), *(entry.get("outs") or ())]
    return all(isinstance(each, Mapping) and "path" in each and each.get("hash", "md5") in each for each in files)


def _lacking(workspace: Workspace, text: str, committed: str | None) -> list[str]:
    """Return the stages that the last commit's lock file has whole and this one not, though they are still wanted."""
    before = _stages(committed) if committed is not None else None
    now = _stages(text) or {}
    if not before or attempt(workspace.root, "diff", "--quiet", "HEAD", "--", "dvc.yaml").returncode != 0:
        return []  # other stages have other outputs
    wanted = _wanted(workspace)
    return [
        name
        for name, entry in before.items()
        if (name in wanted or "@" not in name)
        and (name not in now or len(now[name].get("outs") or ()) < len(entry.get("outs") or ()))
    ]


def _wanted(workspace: Workspace) -> set[str]:
    """Return what recipes.yaml asks for, as names of stages; whatever is wrong there is told by who reads it all."""
    try:
        book = read_tree(workspace.recipes_file)
    except ValueError:
        return set()
    kinds = {"prepare": "styles", "judge": "styles", "group": "groups", "group_judge": "groups"}
    kinds |= dict.fromkeys(("train", "package", "evaluate"), "recipes")
    return {f"{kind}@{name}" for kind, part in kinds.items() for name in book.get(part) or ()}


def _committed(workspace: Workspace) -> str | None:
    """Return dvc.lock as the last commit has it, or None where it has none, or one that is damaged too."""
    shown = attempt(workspace.root, "show", "HEAD:./dvc.lock")
    return shown.stdout if shown.returncode == 0 and damage(shown.stdout) is None else None


def _remedy(committed: str | None) -> str:
    if committed is None:
        return "`mv dvc.lock dvc.lock.damaged`, then go on: what was built comes out of DVC's cache"
    return "`git checkout HEAD -- dvc.lock`, then go on: what was built since comes out of DVC's cache"


def _resolution(workspace: Workspace, committed: str | None) -> str:
    if attempt(workspace.root, "ls-files", "--unmerged", "--", "dvc.lock").stdout:
        return (
            "take one side whole (`git checkout --ours dvc.lock`, `git add dvc.lock`), finish what `git status` says "
            "is under way, then go on: a retrain mends what differs"
        )
    return _remedy(committed)


def read_lock(root: Path) -> dict[str, Any]:
    """Return the stages in a folder's dvc.lock, name -> entry; empty where there is no such file."""
    path = root / "dvc.lock"
    if not path.is_file():
        return {}
    return dict(_stages(path.read_text()) or {})
