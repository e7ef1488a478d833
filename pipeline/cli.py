"""`atelier`: everything a person does with a workspace. Thin: each command asks, calls one function, and shows."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline import show
from pipeline.commands import sharing
from pipeline.commands import up as up_commands
from pipeline.commands import weights as weights_commands
from pipeline.commands.watching import checkup
from pipeline.entry import USER_ERROR
from pipeline.terminal import choose_workspace, code_root, enter, hint, out, run_module, shown
from pipeline.workspace import PHOTOS, Workspace, check_name, slug

app = typer.Typer(
    name="atelier",
    help="Folders of artworks in, style-transfer models out.",
    epilog="Start with: atelier ingest ~/pictures/monet --style monet",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


recipes_app = typer.Typer(help="The recipes: one a model to build.", no_args_is_help=True)
app.add_typer(recipes_app, name="recipe")
registry_app = typer.Typer(
    help="The registry itself: make it complete again, delete a version.", no_args_is_help=True
)
app.add_typer(registry_app, name="registry")
sharing.add_to(app)
up_commands.add(app)
weights_commands.add(app)


@dataclass(frozen=True)
class Invocation:
    """The command line as it was typed, and the `-C` in it."""

    arguments: tuple[str, ...]
    directory: Path | None = None

    def workspace(self) -> Workspace:
        """Return the workspace, running its own code: if this is another's, the command starts anew there."""
        workspace = choose_workspace(self.directory)
        enter(workspace, self.arguments)
        return workspace

    def workspace_if_any(self) -> Workspace | None:
        """Return the workspace, or None where there is none and none was named."""
        try:
            return self.workspace()
        except ValueError:
            if self.directory is not None:
                raise
            return None


Reason = Annotated[str, typer.Option("--reason", help="A sentence for the record.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command line. What a user can fix is one sentence and exit status 2; `--debug` shows the traceback."""
    given = tuple(sys.argv[1:] if arguments is None else arguments)
    try:
        app(args=list(given), prog_name="atelier", obj=Invocation(given))
    except (ValueError, OSError) as error:
        if os.environ.get("ATELIER_DEBUG"):
            raise
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(USER_ERROR)


@app.callback()
def options(
    context: typer.Context,
    directory: Annotated[
        Path | None,
        typer.Option("-C", metavar="DIR", help="The workspace; without, the nearest folder above with a dvc.yaml."),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Folders of artworks in, style-transfer models out."""
    if debug:
        os.environ["ATELIER_DEBUG"] = "1"  # children and the stages read it too
    context.obj = Invocation(context.obj.arguments, directory)


@app.command(epilog="Example: atelier ingest ~/pictures/monet --style monet")
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


@app.command(epilog="Example: atelier fetch monet2photo --no-photos")
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


@app.command(epilog='Example: atelier remove 3fa8c1d0 --style monet --reason "It is a forgery."')
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


@app.command(epilog="Example: atelier report --style monet")
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


@app.command(epilog="Example: atelier plan")
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


@app.command(epilog="Example: atelier retrain monet")
def retrain(
    context: typer.Context,
    recipes: Annotated[list[str] | None, typer.Argument(metavar="[RECIPE]...", help="Which; all without.")] = None,
) -> None:
    """Build what is stale, evaluate it, register it, and promote what passes the gate."""
    raise typer.Exit(run_module(context.obj.workspace(), "flows.retrain", recipes or ()))


@app.command(epilog='Example: atelier promote monet 3 --reason "The sky is calmer."')
def promote(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[int | None, typer.Argument(help="Which; the challenger without.")] = None,
    reason: Reason = "",
) -> None:
    """Make a version the champion, by a person's decision: later versions must not fall below it."""
    workspace = context.obj.workspace()
    arguments = [name, *([] if version is None else [str(version)]), "--reason", _said(reason)]
    raise typer.Exit(run_module(workspace, "flows.promote", arguments))


@app.command(epilog='Example: atelier hold monet --reason "The curator looks at it first."')
def hold(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[int | None, typer.Argument(help="Which; the challenger without.")] = None,
    reason: Reason = "",
) -> None:
    """Keep a version from being promoted, whatever the gate says, until a person promotes it."""
    arguments = [name, *([] if version is None else [str(version)]), "--hold", "--reason", _said(reason)]
    raise typer.Exit(run_module(context.obj.workspace(), "flows.promote", arguments))


@app.command(epilog='Example: atelier rollback monet --reason "Faces are smeared."')
def rollback(
    context: typer.Context, name: Annotated[str, typer.Argument(help="The model.")], reason: Reason = ""
) -> None:
    """Make the champion before this one the champion again."""
    arguments = [name, "--rollback", "--reason", _said(reason)]
    raise typer.Exit(run_module(context.obj.workspace(), "flows.promote", arguments))


@app.command(epilog="Example: atelier history monet")
def history(
    context: typer.Context, name: Annotated[str, typer.Argument(help="The model.")], as_json: AsJson = False
) -> None:
    """Tell a model's story: trainings, verdicts, promotions, holds and rollbacks, by whom and why."""
    workspace = context.obj.workspace()
    from pipeline.registry import command

    command.history(workspace, name, as_json)


@registry_app.command("rebuild", epilog="Example: atelier registry rebuild")
def rebuild_registry(context: typer.Context) -> None:
    """Make a lost or damaged registry anew from the journal, the packages, git tags and DVC's cache."""
    workspace = context.obj.workspace()
    from pipeline.registry import command

    command.rebuild(workspace)


@registry_app.command("delete", epilog='Example: atelier registry delete monet 3 --reason "It holds a stolen face."')
def delete_version(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[int, typer.Argument(help="Which; never one that an alias names.")],
    reason: Reason = "",
) -> None:
    """Delete a version and its files; its story stays."""
    workspace = context.obj.workspace()
    said = _said(reason)
    from pipeline.registry import command

    command.delete(workspace, name, version, said)


@app.command(epilog="Example: atelier backup /mnt/safe/studio")
def backup(
    context: typer.Context,
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="A new folder; backups/<time> without.")
    ] = None,
    packages: Annotated[
        bool, typer.Option("--packages/--no-packages", help="Copy the registered packages too.")
    ] = True,
) -> None:
    """Copy what may not be lost: registry, journal, schedules, packages, lock file and parameters."""
    workspace = context.obj.workspace()
    from pipeline.safekeeping import command

    command.backup(workspace, folder, packages)


@app.command(epilog="Example: atelier restore /mnt/safe/studio --force")
def restore(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A backup.")],
    force: Annotated[
        bool, typer.Option("--force", help="Take the place of what is there, which is kept beside it.")
    ] = False,
) -> None:
    """Put a backup in place, after reading all of it."""
    workspace = context.obj.workspace()
    from pipeline.safekeeping import command

    command.restore(workspace, folder, force)


@app.command(epilog="Example: atelier prune --apply")
def prune(
    context: typer.Context,
    apply: Annotated[bool, typer.Option("--apply", help="Let it go; without, only show it.")] = False,
) -> None:
    """Show, or let go, what nothing names any more and whose time is over (params.yaml, prune)."""
    workspace = context.obj.workspace()
    from pipeline.safekeeping import command

    command.prune(workspace, apply)


def _said(reason: str) -> str:
    if not reason.strip():
        raise ValueError('say why with --reason "...": it stands in the record of promotions')
    return reason


@app.command(epilog="Example: atelier -C work/demo status")
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


@app.command(epilog="Example: atelier stylize holiday/ painted/ --model monet")
def stylize(
    context: typer.Context,
    given: Annotated[list[Path], typer.Argument(metavar="IN...", help="Pictures, folders, globs; - is stdin.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="A picture, or a folder; - is stdout.")],
    model: Annotated[str | None, typer.Option(help="A model (its champion is used), or a package folder.")] = None,
    strength: Annotated[float, typer.Option(min=0, max=1, help="0: the picture, 1: the painting.")] = 1.0,
    preserve_color: Annotated[bool, typer.Option("--preserve-color", help="Keep the picture's colours.")] = False,
    scale: Annotated[float, typer.Option(help="2: brushes half as wide; 1: as wide a share as in training.")] = 1.0,
    reverse: Annotated[bool, typer.Option("--reverse", help="Painting to photograph; of cyclegan alone.")] = False,
    reference: Annotated[
        list[Path] | None, typer.Option(help="A picture to paint after; may be repeated. Of adain alone.")
    ] = None,
    weight: Annotated[
        list[float] | None, typer.Option(min=0, help="How much that reference counts; one for each, or none.")
    ] = None,
    style: Annotated[
        str | None, typer.Option(help="Instead of references, a style that an adain model has learnt.")
    ] = None,
    extension: Annotated[str, typer.Option("--format", help="jpg, png, webp, tif; without, the picture's.")] = "",
    quality: Annotated[int, typer.Option(help="Of JPEG and WebP, 1 to 100.")] = 93,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Repaint pictures of any size; what an earlier run has painted is left alone."""
    from pipeline import stylize as files
    from pipeline.painting.options import check_scale

    saving = files.Saving(extension, quality)
    check_scale(scale)
    workspace = context.obj.workspace_if_any()
    package = files.find_package(workspace, model)
    total = sum(len(files.sources(path)) for path in given)  # a wrong path is told before torch is imported
    from pipeline.inference import Stylizer

    _check_device(device)
    stylizer = Stylizer.load(package.directory, device, package.expected)
    limits = files.picture_limits(workspace)
    references = files.read_references(reference or (), limits)
    wishes = (strength, preserve_color, reverse, scale, saving, references, weight or (), style)
    results = []
    with show.file_progress(f"paint with {package.label}", say=total > 1) as advance:
        for result in files.stylize(stylizer, given, target, limits, *wishes):
            results.append(result)
            advance(len(results), total)
    if show.paintings(results, target):
        raise typer.Exit(1)


@app.command(epilog="Example: atelier export monet monet.onnx --format onnx --half")
def export(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model (its champion), or a package folder.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The file.")],
    extension: Annotated[str, typer.Option("--format", help="onnx, pt2 or safetensors.")] = "onnx",
    half: Annotated[bool, typer.Option("--half", help="Convolutions in half precision; of onnx alone.")] = False,
    network: Annotated[str, typer.Option(help="Which, if there are several: generator, reverse.")] = "",
) -> None:
    """Write a model for other programs, held against torch first."""
    from pipeline import stylize as files

    package = files.find_package(context.obj.workspace_if_any(), model)
    from pipeline.exporting import export as write

    written = write(package.directory, target, extension, half=half, name=network, expected=package.expected)
    out.print(f"{package.label}: {shown(written)}", markup=False)


def _check_device(device: str) -> None:
    if device not in ("cpu", "cuda"):
        raise ValueError(f"--device {device}: choose cpu or cuda")
    if device == "cuda":
        from torch.cuda import is_available

        if not is_available():
            raise ValueError("--device cuda: no CUDA device is visible; leave the option out to paint on the CPU")


Packages = Annotated[
    list[Path] | None, typer.Option("--package", help="A package folder, in place of the champions; may be repeated.")
]
Host = Annotated[str | None, typer.Option(help="Address to listen on, in place of serve.host.")]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Port, in place of serve.port; 0: a free one.")]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", metavar="FILE", help="Holds the token that every request must bring.")
]


@app.command(epilog="Example: atelier serve --port 8080")
def serve(
    context: typer.Context,
    packages: Packages = None,
    host: Host = None,
    port: Port = None,
    token_file: TokenFile = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Paint over HTTP with the champions; a version that is promoted takes over without a restart."""
    from pipeline.serve import command

    workspace = context.obj.workspace_if_any() or Workspace(code_root())
    _check_device(device)
    command.run(workspace, packages or [], host=host, port=port, token_file=token_file, device=device)


@app.command(epilog="Example: atelier studio")
def studio(
    context: typer.Context,
    packages: Packages = None,
    host: Host = None,
    port: Port = None,
    token_file: TokenFile = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
) -> None:
    """Open the painter's page: a photograph in, a style chosen by its picture, a painting out."""
    from pipeline.serve import command

    workspace = context.obj.workspace_if_any() or Workspace(code_root())
    _check_device(device)
    command.run(
        workspace,
        packages or [],
        host=host,
        port=port,
        token_file=token_file,
        device=device,
        studio=True,
        browser=browser,
    )


@app.command(epilog="Example: atelier generate monet-dcgan studies/ --count 64")
def generate(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model (its champion), or a package folder.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="A folder, or a picture for one sheet.")],
    count: Annotated[int, typer.Option(min=1, help="How many images.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="The first image's; the others have the next ones.")] = 0,
    interpolate: Annotated[
        bool, typer.Option("--interpolate", help="Images on the way from the seed's image to the next seed's.")
    ] = False,
    truncation: Annotated[
        float, typer.Option(min=0, max=1, help="1: as trained; less: nearer to the average, where a network has it.")
    ] = 1.0,
    code: Annotated[
        list[str] | None,
        typer.Option("--code", metavar="NAME=VALUE", help="Of a model with codes: k1=3, c1=-0.5; may be repeated."),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Make images out of noise with a model that does."""
    from pipeline import stylize as files
    from pipeline.generate import parse_codes

    codes = parse_codes(code or ())
    package = files.find_package(context.obj.workspace_if_any(), model)
    _check_device(device)
    from pipeline.generate import generate as make
    from pipeline.generation import Sampler

    sampler = Sampler.load(package.directory, device, package.expected)
    made = []
    with show.file_progress(f"draw with {package.label}", say=count > 1) as advance:
        paths = make(sampler, target, count, seed, interpolate=interpolate, truncation=truncation, code=codes)
        for path in paths:
            made.append(path)
            advance(len(made), count)
    out.print(f"{count} images: {shown(target)}", markup=False)


@app.command(epilog="Example: atelier repair scan.png whole.png --model monet-inpaint --mask lost.png")
def repair(
    context: typer.Context,
    given: Annotated[Path, typer.Argument(metavar="IN", help="A damaged picture, or a folder of them.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="A picture, or a folder.")],
    model: Annotated[str | None, typer.Option(help="A model (its champion is used), or a package folder.")] = None,
    mask: Annotated[
        Path | None, typer.Option(help="White where the picture is lost; of a folder IN, a folder of like names.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Restore a picture or a folder, in any size: fill holes under a mask, clean, or enlarge."""
    from pipeline import restore as mending
    from pipeline import stylize as files

    workspace = context.obj.workspace_if_any()
    package = files.find_package(workspace, model)
    pairs = mending.pairs(given, mask)  # wrong paths are told before torch is imported
    from pipeline.restoration import Restorer

    _check_device(device)
    restorer = Restorer.load(package.directory, device, package.expected)
    limits = files.picture_limits(workspace)
    results = []
    with show.file_progress(f"restore with {package.label}", say=len(pairs) > 1) as advance:
        for result in mending.restore(restorer, pairs, given, target, limits):
            results.append(result)
            advance(len(results), len(pairs))
    if show.paintings(results, target, "restored"):
        raise typer.Exit(1)


@app.command(epilog="Example: atelier explain photo.jpg --recipe monet --out map.png")
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


@app.command(epilog="Example: atelier methods")
def methods() -> None:
    """List the methods: what each is for, what it costs and needs, and when to choose it."""
    show.methods()


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


@app.command(epilog="Example: atelier evaluate --package models/monet --photos ~/photos --artworks ~/monet")
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


@app.command(epilog="Example: atelier judge monet")
def judge(
    context: typer.Context,
    style: Annotated[str, typer.Argument(help="Whose judge.")],
    renew: Annotated[bool, typer.Option("--renew", help="Train the next version, on today's images.")] = False,
) -> None:
    """Tell what a style's frozen judge was trained on and what it is worth; train it if there is none."""
    from pipeline.observers.facts import read_facts

    workspace = context.obj.workspace()
    folder = workspace.judge(check_name(style, "style"))
    if renew or read_facts(folder) is None:
        options = ["--force", "--single-item"] if renew else []
        if run_module(workspace, "dvc", ["repro", *options, f"judge@{style}"]):
            raise typer.Exit(1)
    facts = read_facts(folder)
    if facts is None:
        raise ValueError(f"{folder} holds no judge after training; see what was printed above")
    show.judge(facts, folder)
    if renew:
        hint(workspace, "retrain")


@app.command("warm-start", epilog="Example: atelier warm-start monet --from monet@champion")
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


@app.command(epilog="Example: atelier vote monet --against lab_transfer")
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


@app.command(epilog="Example: atelier compare monet@4 monet@champion")
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


@app.command(epilog="Example: atelier calibrate --minutes 30 --write")
def calibrate(
    context: typer.Context,
    minutes: Annotated[float | None, typer.Option(min=0.1, help="Training time to fit.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Write the steps that fit into params.yaml.")] = False,
) -> None:
    """Measure a training step on this machine and say how many fit into a time."""
    from pipeline.calibrate import measure
    from pipeline.params import load_params
    from pipeline.recipes import load_book

    workspace = context.obj.workspace()
    if write and minutes is None:
        raise ValueError("--write needs --minutes: how long training may take")
    params = load_params(workspace.params_file)
    recipes = load_book(workspace).recipes.values()
    method = next((recipe.method for recipe in recipes), "cut")
    out.print(f"measuring steps of {method} with params.yaml's settings (about half a minute)")
    found = measure(params, method)
    show.measurement(found, params.train.steps)
    if minutes is None:
        hint(workspace, "calibrate --minutes M [--write]")
    else:
        show.written_steps(workspace, recipes, found, minutes, write)


@app.command(epilog="Example: atelier doctor")
def doctor(context: typer.Context) -> None:
    """Check versions, device, servers, weights and disk, and say what to do about each."""
    from pipeline.doctor import diagnose

    workspace = context.obj.workspace_if_any() or Workspace(code_root())
    if show.checks(diagnose(workspace)):
        raise typer.Exit(1)


@app.command(epilog="Example: atelier preset gpu")
def preset(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Which; the list without.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change and change nothing.")] = False,
) -> None:
    """Lay a preset (demo, gpu, smoke) over params.yaml; comments stay."""
    from pipeline import presets
    from pipeline.params import load_params, merge, read_tree

    workspace = context.obj.workspace()
    folder = workspace.root / "presets"
    if name is None:
        out.print(f"presets: {', '.join(presets.preset_names(folder))}")
        return
    overlay = presets.read_preset(folder, name)
    before: dict[str, Any] = read_tree(workspace.params_file)
    if dry_run:
        found = presets.differences(before, merge(before, overlay))
    else:
        found = presets.apply_changes(workspace.params_file, overlay)
        load_params(workspace.params_file)
    show.changes(workspace, found, dry_run)


@app.command(epilog="Example: atelier samples samples && atelier ingest samples/photos --photos")
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


if __name__ == "__main__":
    main()
