"""Use a model: repaint, draw, repair, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline import show
from pipeline.commands.app import check_device
from pipeline.terminal import out, shown

commands = typer.Typer()
PANEL = "Using a model"  # under which `atelier --help` lists them


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier stylize holiday/ painted/ --model monet")
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

    check_device(device)
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


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier generate monet-dcgan studies/ --count 64")
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
    check_device(device)
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


@commands.command(
    rich_help_panel=PANEL, epilog="Example: atelier repair scan.png whole.png --model monet-inpaint --mask lost.png"
)
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

    check_device(device)
    restorer = Restorer.load(package.directory, device, package.expected)
    limits = files.picture_limits(workspace)
    results = []
    with show.file_progress(f"restore with {package.label}", say=len(pairs) > 1) as advance:
        for result in mending.restore(restorer, pairs, given, target, limits):
            results.append(result)
            advance(len(results), len(pairs))
    if show.paintings(results, target, "restored"):
        raise typer.Exit(1)


@commands.command(rich_help_panel=PANEL, epilog="Example: atelier export monet monet.onnx --format onnx --half")
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
