"""Make `warm/base`: networks that have learnt to paint from all built-in styles at once, for others to begin with.

    python -m scripts.base_model

Takes half an hour on two cores. The samples are drawn, ingested and prepared as any style's, and the training is
an ordinary one with the demo's networks, so held-out images of the demo taught it nothing: the split goes by content.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from benchmarks.workspaces import ROOT, prepared, train, write_recipes
from pipeline import warm_start
from pipeline.files import read_json
from pipeline.sample_data import write_samples
from pipeline.workspace import Workspace

NAME = "base"
_PHOTOS, _ARTWORKS, _SIDE = 160, 96, 256  # artworks by each hand


def main() -> None:
    """Draw, prepare, train and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--into", type=Path, default=ROOT / "warm" / NAME, help="must not exist")
    given = parser.parse_args()
    if given.into.exists():
        raise SystemExit(f"error: {given.into} is there already, and warm starts never change; delete it first")
    with tempfile.TemporaryDirectory() as scratch:
        workspace = trained(Path(scratch), given.steps, given.threads)
        config = read_json(workspace.package(NAME) / "config.json")
        origin = {
            "recipe": NAME,
            "method": config["method"],
            "package": read_json(workspace.package(NAME) / "manifest.json")["package"],
            "trained_on": read_json(workspace.package(NAME) / "trained_on.json"),
        }
        folder = warm_start.keep(given.into, workspace.trained(NAME) / warm_start.NETWORKS, origin)
        shutil.copyfile(workspace.package(NAME) / "preview.jpg", given.into.with_suffix(".jpg"))
    print(f"warm start: {folder}, what it paints: {given.into.with_suffix('.jpg')}")


def trained(scratch: Path, steps: int, threads: int) -> Workspace:
    """Return a workspace with the trained and packaged recipe `base`."""
    samples = write_samples(scratch / "samples", photos=_PHOTOS, artworks=_ARTWORKS, side=_SIDE)
    pool = scratch / "artworks"
    pool.mkdir()
    for style, folder in samples.styles.items():
        for path in folder.iterdir():
            path.rename(pool / f"{style}-{path.name}")
    overlay = {
        "train": {"steps": steps, "threads": threads, "decay_from": 0.8, "sample_every": 500},
        "judge": {"steps": 2},  # nobody asks it
    }
    workspace = prepared(scratch / "workspace", samples.photos, pool, NAME, overlay)
    write_recipes(workspace, NAME, {NAME: {}})
    train(workspace, NAME)
    return workspace


if __name__ == "__main__":
    main()
