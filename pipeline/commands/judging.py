"""How good a model is: figures, judges, comparisons, votes, maps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline import show
from pipeline.terminal import code_root, hint, out, run_here, shown
from pipeline.workspace import Workspace, check_name

commands = typer.Typer()
PANEL = "Judging"  # under which `atelier --help` lists them


@commands.command(
    rich_help_panel=PANEL,
    epilog="Example: atelier evaluate --package models/monet --photos ~/photos --artworks ~/monet",
)
def evaluate(
    context: typer.Context,
    package: Annotated[Path, typer.Option(help="Package folder.")],
    photos: Annotated[Path, typer.Option(help="Folder of photographs that it never saw.")],
    artworks: Annotated[Path, typer.Option(help="Folder of artworks of the style that it never saw.")],
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the metrics here.")] = None,
    training: Annotated[Path | None, typer.Option(help="Folder of training artworks, to look for copies.")] = None,
    judge: Annotated[
        Path | None, typer.Option(help="Folder of the style's judge; without, this workspace's, if it has one.")
    ] = None,
) -> None:
    """Score any package on any folders, beside the controls."""
    from pipeline.catalogue import require_task
    from pipeline.folders import params_for, score_folders
    from pipeline.held_out import judge_of
    from pipeline.inference import read_config, task_of

    workspace = context.obj.workspace_if_any() or Workspace(code_root())
    for folder in filter(None, (package, photos, artworks, training, judge)):
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder")
    config = read_config(package)
    require_task(f"the package {package}", task_of(config), "stylize")
    params = params_for(workspace, config.get("recipe"))
    judge = judge or judge_of(workspace, config)
    metrics = score_folders(package, photos, artworks, params, training, judge)
    show.metrics(metrics)
    if json_file is not None:
        from pipeline.files import write_json

        out.print(f"metrics: {shown(write_json(json_file, metrics))}")


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier judge monet")
def judge(
    context: typer.Context,
    style: Annotated[str, typer.Argument(help="Whose judge.")],
    renew: Annotated[bool, typer.Option("--renew", help="Train the next version, on today's images.")] = False,
) -> None:
    """Tell what a style's frozen judge was trained on and what it is worth; train it if there is none."""
    from pipeline.dvc import dvc
    from pipeline.observers.facts import read_facts

    workspace = context.obj.workspace()
    folder = workspace.judge(check_name(style, "style"))
    if renew or read_facts(folder) is None:
        options = ["--force", "--single-item"] if renew else []
        if run_here(workspace, dvc(workspace, "repro", *options, f"judge@{style}")):
            raise typer.Exit(1)
    facts = read_facts(folder)
    if facts is None:
        raise ValueError(f"{folder} holds no judge after training; see what was printed above")
    show.judge(facts, folder)
    if renew:
        hint(workspace, "retrain")


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier compare monet@4 monet@champion")
def compare(
    context: typer.Context,
    a: Annotated[str, typer.Argument(metavar="A", help="NAME (its champion), NAME@3, NAME@challenger, or a folder.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The other, named likewise.")],
    photos: Annotated[Path | None, typer.Option(help="Folder of photographs, in place of the held-out ones.")] = None,
    artworks: Annotated[Path | None, typer.Option(help="Folder of artworks, in place of the held-out ones.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the figures here.")] = None,
) -> None:
    """Compare two packages on the same images: paired differences with intervals, and a page of pictures."""
    from pipeline.stylize import find_package

    workspace = context.obj.workspace()
    for folder in (photos, artworks):
        if folder is not None and not folder.is_dir():
            raise ValueError(f"{folder}: no such folder")
    packages = find_package(workspace, a), find_package(workspace, b)
    from pipeline.reports import comparison

    page, found = comparison.any_two(workspace, *packages, photos, artworks)
    show.comparison(found, page)
    if json_file is not None:
        from pipeline.files import write_json

        out.print(f"figures: {shown(write_json(json_file, found))}")


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier vote monet --against lab_transfer")
def vote(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A model, NAME@VERSION, NAME@ALIAS, or a package folder.")],
    against: Annotated[
        str | None, typer.Option(help="Another, or photograph, lab_transfer, lab_painterly; the champion without.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Photographs to vote on, at most.")] = 24,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0: a free one.")] = 0,
    browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
    tally: Annotated[bool, typer.Option("--tally", help="Only say what the votes are so far.")] = False,
) -> None:
    """Let painters choose between two paintings of each photograph, not knowing whose they are."""
    from pipeline.vote import command

    workspace = context.obj.workspace()
    if tally:
        command.show_tally(workspace, name)
    else:
        command.run(workspace, name, against, count, port, browser)


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier explain photo.jpg --recipe monet --out map.png")
def explain(
    context: typer.Context,
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A picture of any size.")],
    recipe: Annotated[str, typer.Option(help="Whose discriminator; the recipe must have been trained here.")],
    target: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the picture with its map goes.")],
    network: Annotated[str, typer.Option(help="Of cyclegan also reverse_discriminator.")] = "discriminator",
) -> None:
    """Show what a recipe's discriminator takes for painted and for false in a picture: a heat map."""
    from pipeline import explain as maps
    from pipeline.stylize import picture_limits

    workspace = context.obj.workspace()
    if not image.is_file():
        raise ValueError(f"{image}: no such file")
    said = maps.explain(workspace, recipe, image, target, picture_limits(workspace), network)
    out.print(said, markup=False)
    out.print(f"blue is taken for real, orange for false: {shown(target)}", markup=False)
