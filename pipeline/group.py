"""Stage: one member of a group of styles, as a file that changes whenever what is learnt of the style does.

A DVC stage cannot have a list of inputs, but an input may be a folder that several stages fill. So a recipe of many
styles depends on `data/prepared/<group>/` and `judges/<group>/`, in which every member has a file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.entry import run_stage
from pipeline.files import sha256_file, write_json
from pipeline.recipes import load_book
from pipeline.workspace import Workspace


def main(group: str, style: str, workspace: Workspace, judge: bool = False) -> Path:
    """Write the file of a style in a group's folder and return it; files of styles that left the group go.

    Args:
        group: a group of recipes.yaml.
        style: a member.
        workspace: where the style's collection is prepared.
        judge: write the one of the style's judge, not of its prepared images.

    Raises:
        ValueError: there is no such group, the style is none of its members, or it is not prepared.
    """
    members = load_book(workspace).groups.get(group, ())
    if style not in members:
        known = ", ".join(members) or "none"
        raise ValueError(f"style {style!r} is not in the group {group!r} of recipes.yaml (there: {known})")
    place = workspace.judge if judge else workspace.prepared
    folder, source = place(group), place(style)
    if not source.is_dir():
        raise ValueError(f"{source} is missing; run `dvc repro`, which makes it first")
    for old in folder.glob("*.json"):
        if old.stem not in members:
            old.unlink()
    files = [path for path in sorted(source.rglob("*")) if path.is_file()]
    digests = {path.relative_to(source).as_posix(): sha256_file(path) for path in files}
    return write_json(folder / f"{style}.json", {"group": members, "files": digests})


def _command() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.group",
        description="Take note of what a group's style consists of. Example: python -m pipeline.group worlds monet",
    )
    parser.add_argument("group")
    parser.add_argument("style")
    parser.add_argument("--judge", action="store_true", help="of its judge, not of its images")
    given = parser.parse_args()
    print(main(given.group, given.style, Workspace(Path.cwd()), given.judge))


if __name__ == "__main__":
    run_stage(_command)
