"""Images: take them in, fetch, report on and remove them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline import show
from pipeline.commands.app import Reason
from pipeline.terminal import hint, out, shown
from pipeline.workspace import PHOTOS, check_name, slug

commands = typer.Typer()
PANEL = "Images"  # under which `atelier --help` lists them


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier ingest ~/pictures/monet --style monet")
def ingest(
    context: typer.Context,
    source: Annotated[
        Path, typer.Argument(metavar="SRC", help="Folder of images and archives; nothing in it is changed.")
    ],
    style: Annotated[str, typer.Option(help="They are artworks of this style.")] = "",
    photos: Annotated[bool, typer.Option("--photos", help="They are photographs.")] = False,
) -> None:
    """Take images into the workspace: checked, without duplicates, split into training and test."""
    from pipeline.ingest import ingest as take
    from pipeline.params import load_params

    workspace = context.obj.workspace()
    if not source.is_dir():
        raise ValueError(f"{source}: no such folder")
    name = _collection(source, style, photos)
    with show.file_progress(f"ingest {name}") as advance:
        result = take(workspace, source, name, load_params(workspace.params_file), progress=advance)
    out.print(result.sentence())
    for remark in result.remarks():
        out.print(remark, markup=False)
    if result.refused:
        out.print(f"refused files and reasons: {shown(workspace.quarantine(name))}/quarantine.jsonl")
    out.print(f"they lie in {shown(workspace.collection(name))}")
    hint(workspace, "plan", "retrain")


def _collection(source: Path, style: str, photos: bool) -> str:
    """Return the collection that the options name; where they name none, offer the folder's own name."""
    if style and photos:
        raise ValueError("--style and --photos exclude each other: images are artworks or photographs")
    if photos:
        return PHOTOS
    if style:
        return check_name(style, "style")
    offered = slug(source.resolve().name) or "mystyle"
    option = "--photos" if offered == PHOTOS else f"--style {offered}"
    if not sys.stdin.isatty():
        raise ValueError(f"say what the images are: {option} (after the folder's name), another --style, or --photos")
    if not typer.confirm(f"Take them as {option}?", default=True):
        raise ValueError("nothing was ingested; name the style with --style NAME, or say --photos")
    return offered


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier fetch monet2photo --no-photos")
def fetch(
    context: typer.Context,
    what: Annotated[
        str | None, typer.Argument(metavar="NAME|URL", help="A known dataset, or an archive's or picture's address.")
    ] = None,
    style: Annotated[str, typer.Option(help="Name of the artworks' style; a dataset has one of its own.")] = "",
    photos: Annotated[
        bool | None,
        typer.Option("--photos/--no-photos", help="What is at the address are photographs; leave a dataset's out."),
    ] = None,
    sha256: Annotated[str, typer.Option(metavar="HEX", help="What the file at the address must hash to.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show size and licence; download nothing.")] = False,
    list_known: Annotated[bool, typer.Option("--list", help="Show the datasets that are known by name.")] = False,
) -> None:
    """Download a known dataset, an archive or a picture, with its licence noted, and ingest it."""
    from pipeline.fetch import command
    from pipeline.fetch.errands import plan
    from pipeline.params import load_params

    if list_known:
        command.list_datasets()
        return
    if what is None:
        raise ValueError("say what to fetch: a dataset's name (`atelier fetch --list` shows them) or an address")
    workspace = context.obj.workspace()
    params = load_params(workspace.params_file)
    command.run(workspace, plan(workspace, what, params, style=style, photos=photos, sha256=sha256), params, dry_run)


@commands.command(
    rich_help_panel=PANEL, epilog='Example: atelier remove 3fa8c1d0 --style monet --reason "It is a forgery."'
)
def remove(
    context: typer.Context,
    what: Annotated[
        list[str],
        typer.Argument(metavar="WHAT...", help="A hash (6 digits or more), name or source folder; * and ? work."),
    ],
    style: Annotated[str, typer.Option(help="Only in this style.")] = "",
    photos: Annotated[bool, typer.Option("--photos", help="Only among the photographs.")] = False,
    reason: Reason = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Let removed images come back.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done; change nothing.")] = False,
) -> None:
    """Take images out for good, and name every version that was trained on them."""
    from pipeline.removal import command

    workspace = context.obj.workspace()
    if style and photos:
        raise ValueError("--style and --photos exclude each other: leave both out to look everywhere")
    collection = PHOTOS if photos else style or None
    if undo:
        command.run_undo(workspace, what, collection, yes=yes, dry_run=dry_run)
        return
    raise typer.Exit(command.run(workspace, what, collection, reason, yes=yes, dry_run=dry_run))


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier report --style monet")
def report(
    context: typer.Context,
    style: Annotated[str, typer.Option(help="On the artworks of this style.")] = "",
    photos: Annotated[bool, typer.Option("--photos", help="On the photographs.")] = False,
    browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
) -> None:
    """Say how good a collection is to train on and what would raise that, with a page to look at."""
    from pipeline.params import load_params
    from pipeline.quality.facts import gather
    from pipeline.quality.page import write

    workspace = context.obj.workspace()
    if bool(style) == photos:
        known = ", ".join(f"--style {name}" for name in workspace.collections() if name != PHOTOS)
        raise ValueError(f"say which one collection the report is on: --photos, or {known or '--style NAME'}")
    params = load_params(workspace.params_file)
    facts = gather(workspace, PHOTOS if photos else check_name(style, "style"), params)
    show.quality(workspace, facts, params, write(workspace, facts, params), browser)


@commands.command(
    rich_help_panel=PANEL, epilog="Example: atelier samples samples && atelier ingest samples/photos --photos"
)
def samples(
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for photos/ and styles/<style>/.")],
    photos: Annotated[int, typer.Option(min=0, help="How many photographs.")] = 96,
    artworks: Annotated[int, typer.Option(min=0, help="How many artworks of each style.")] = 48,
    side: Annotated[int, typer.Option(help="Side of the images, px.")] = 256,
    style: Annotated[list[str] | None, typer.Option(help="Only this style (may be repeated).")] = None,
) -> None:
    """Write the built-in sample photographs and artworks."""
    from pipeline.sample_data import write_samples

    with show.file_progress("samples") as advance:
        made = write_samples(target, photos=photos, artworks=artworks, side=side, styles=style, progress=advance)
    out.print(f"{made.photo_count} photographs: {shown(made.photos)}")
    for folder in made.styles.values():
        out.print(f"{made.artwork_count} artworks: {shown(folder)}")
    hint(None, f"ingest {shown(made.photos)} --photos")
