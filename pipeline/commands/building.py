"""Models: what is stale, build it, recipes and where they begin."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from pipeline import show
from pipeline.commands import up as up_commands
from pipeline.commands.app import AsJson
from pipeline.commands.watching import checkup
from pipeline.terminal import hint, out, run_module, shown

commands = typer.Typer()
PANEL = "Models"  # under which `atelier --help` lists them


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier -C work/demo status")
def status(
    context: typer.Context,
    as_json: AsJson = False,
    check: Annotated[
        bool, typer.Option("--check", help="For a monitor: exit 1 and the reasons if something is wrong.")
    ] = False,
) -> None:
    """Show what is up, styles, counts, recipes, champions, and what is stale."""
    from pipeline.status import status as look

    workspace = context.obj.workspace()
    if check:
        raise typer.Exit(checkup(workspace, as_json))
    found = look(workspace)
    if as_json:
        print(json.dumps({**found.to_dict(), "services": up_commands.services_now(workspace)}, indent=2))
        return
    up_commands.show_services(workspace)
    show.status(workspace, found)


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier plan")
def plan(context: typer.Context, as_json: AsJson = False) -> None:
    """Say what is stale and why, and what of it a retrain builds unasked and why not the rest. Changes nothing."""
    from pipeline.due import dueness
    from pipeline.plan import plan as look

    workspace = context.obj.workspace()
    plans = look(workspace)
    due = dueness(workspace, plans)
    if as_json:
        print(json.dumps([{**each.to_dict(), "due": due[each.recipe].to_dict()} for each in plans], indent=2))
        return
    show.plans(workspace, plans, due)


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier retrain monet")
def retrain(
    context: typer.Context,
    recipes: Annotated[list[str] | None, typer.Argument(metavar="[RECIPE]...", help="Which; all without.")] = None,
) -> None:
    """Build what is stale, evaluate it, register it, and promote what passes the gate."""
    raise typer.Exit(run_module(context.obj.workspace(), "flows", ["retrain", *(recipes or ())]))


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier methods")
def methods() -> None:
    """List the methods: what each is for, what it costs and needs, and when to choose it."""
    show.methods()


recipes_app = typer.Typer(help="The recipes: one a model to build.", no_args_is_help=True)
commands.add_typer(recipes_app, name="recipe", rich_help_panel=PANEL)


@recipes_app.command("add", epilog="Example: atelier recipe add monet-dcgan --method dcgan --style monet")
def add_recipe(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Of the recipe, and of the model that it makes.")],
    method: Annotated[str, typer.Option(help="One that `atelier methods` lists.")],
    style: Annotated[
        list[str], typer.Option(help="The style that it learns from; of adain several: the first is scored.")
    ],
) -> None:
    """Add a recipe for a style, so that `atelier retrain` builds a second model of it; comments stay."""
    from pipeline import recipes
    from pipeline.catalogue import facts_of

    workspace = context.obj.workspace()
    facts = facts_of(method)
    recipes.add_recipe(workspace, name, method, style)
    styles = ", ".join(dict.fromkeys(style))
    out.print(f"{name}: {method} on {styles} ({facts.what}), in {shown(workspace.recipes_file)}", markup=False)
    hint(workspace, f"retrain {name}")


@commands.command(
    "warm-start", rich_help_panel=PANEL, epilog="Example: atelier warm-start monet --from monet@champion"
)
def warm_start_command(
    context: typer.Context,
    recipe: Annotated[str, typer.Argument(help="The recipe that is to begin with trained networks.")],
    begin: Annotated[
        str | None,
        typer.Option("--from", metavar="WHAT", help="NAME@VERSION, NAME@ALIAS, a folder of warm/, or none."),
    ] = None,
) -> None:
    """Let a recipe begin with trained networks: its own champion's, another version's, a base model's, or none."""
    from pipeline.recipes import set_warm_start
    from pipeline.warm_version import named

    workspace = context.obj.workspace()
    name = named(workspace, begin or f"{recipe}@champion")
    changed = set_warm_start(workspace, recipe, name)
    out.print(f"{recipe} {'now begins' if changed else 'begins already'} with {shown(workspace.warm_start(name))}")
    hint(workspace, "plan", f"retrain {recipe}")
