"""What `atelier history` and `atelier registry` do and show."""

from __future__ import annotations

import getpass
import json
import os

from rich.table import Table
from rich.text import Text

from pipeline.registry.deletion import delete as give_up
from pipeline.registry.rebuilding import rebuild as make_anew
from pipeline.registry.story import Story
from pipeline.registry.story import history as story_of
from pipeline.terminal import hint, out
from pipeline.workspace import Workspace


def history(workspace: Workspace, name: str, as_json: bool) -> None:
    """Show a model's story.

    Raises:
        RegistryError: nothing is known of such a model.
    """
    story = story_of(workspace, name)
    if as_json:
        print(json.dumps(story.plain(), indent=2))
        return
    _show(story)


def rebuild(workspace: Workspace) -> None:
    """Make the registry complete again and say what was done.

    Raises:
        RegistryError: a version's package is nowhere to be had.
    """
    said = make_anew(workspace)
    for sentence in said:
        out.print(sentence, markup=False)
    if not said:
        out.print("the registry lacks nothing", markup=False)
    hint(workspace, "doctor", "status")


def delete(workspace: Workspace, name: str, version: int, reason: str) -> None:
    """Delete a version that no alias names.

    Raises:
        RegistryError: there is no such version, or an alias names it.
    """
    give_up(workspace, name, version, reason, _person())
    out.print(f"{name} version {version} is deleted; its story stays (`atelier history {name}`)", markup=False)


def _show(story: Story) -> None:
    named = ", ".join(f"{alias} version {number}" for alias, number in sorted(story.aliases.items()))
    out.print(f"{story.name}: {named or 'no alias'}\n", markup=False)
    table = Table("when (UTC)", "what", "version", "by", "why", box=None, pad_edge=False)
    for event in story.events:
        when = event.time.replace("T", " ").removesuffix("Z")
        number = "" if event.version is None else str(event.version)
        table.add_row(*map(Text, (when, event.what, number, event.by, event.why)))
    out.print(table)


def _person() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a user database
        return f"uid {os.getuid()}"
