"""`make demo`: the whole job in `work/demo`, a repository of its own, with this checkout's code and small settings.

The demo is what a studio does, done by the same commands: ingest, retrain, look. Only the copying is special.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.entry import run_stage
from pipeline.files import read_json, write_atomic, write_json
from pipeline.manifest import read_manifest
from pipeline.presets import overlay, read_preset
from pipeline.process import exclusive
from pipeline.terminal import capture, code_root, out, run_module, shown
from pipeline.workspace import PHOTOS, Workspace, check_name, slug

_PHOTOS, _ARTWORKS, _SIDE = 80, 48, 256  # samples: enough held-out images for intervals, few enough for seconds
# A workspace's own state, which a checkout that is itself a studio's may hold, is not the demo's.
_OWN = ("data/", ".dvc/", "dvc.lock", "params.yaml", "recipes.yaml")
_GIT_SETTINGS = {
    "user.name": "Style Atelier demo",
    "user.email": "demo@localhost",
    "commit.gpgsign": "false",
    "tag.gpgsign": "false",
    "core.hooksPath": "/dev/null",  # the user's own hooks have no business here
    "gc.auto": "0",
}


@dataclass(frozen=True)
class Request:
    """What to demonstrate: the user's folders, or None for samples, of a built-in style."""

    artworks: Path | None
    photos: Path | None
    sample_style: str
    preset: str

    @property
    def style(self) -> str:
        """The style's name: the artworks' folder's, else the sample style's."""
        if self.artworks is None:
            return self.sample_style
        return check_name(slug(self.artworks.resolve().name), "style")


class StepError(Exception):
    """A step ended with this exit status, after saying why."""


def main(request: Request, checkout: Path, demo: Workspace) -> None:
    """Run the demo and print where everything lies.

    Raises:
        ValueError: a folder that is missing, a checkout that git does not know, a demo already running.
        StepError: one of the commands failed.
    """
    _check(request)
    os.environ["ATELIER_HINTS"] = "off"  # the commands below say what comes next, and here that is us
    with exclusive(demo.var / "locks" / "demo.lock", "the demo"):
        _heading(f"workspace: {shown(demo.root)} (a copy of this checkout with presets/{request.preset}.yaml)")
        changed = copy_checkout(checkout, demo, request.preset)
        set_up(demo, changed)
        photos, artworks = _pictures(request, demo)
        forget_other_photos(demo, photos)
        _heading("images")
        _run(demo, "pipeline.cli", "ingest", str(photos), "--photos")
        _run(demo, "pipeline.cli", "ingest", str(artworks), "--style", request.style)
        _heading(f"retrain {request.style}: what is stale is built, evaluated, registered, and judged by the gate")
        _run(demo, "flows", "retrain", request.style)
    _heading("the result")
    tell(demo, request.style, photos)


def _check(request: Request) -> None:
    for name, folder in (("ARTWORKS", request.artworks), ("PHOTOS", request.photos)):
        if folder is not None and not folder.is_dir():
            raise ValueError(f"{name}={folder}: no such folder")
    if request.artworks is None:
        from pipeline.sample_data import check_styles

        check_styles([request.sample_style])
    assert request.style  # a folder without a usable name is refused before anything is made


def _heading(text: str) -> None:
    out.print(f"\n[bold]demo:[/] {text}")


def _run(demo: Workspace, module: str, *arguments: str) -> None:
    status = run_module(demo, module, arguments)
    if status != 0:
        raise StepError(status)


def copy_checkout(checkout: Path, demo: Workspace, preset: str) -> bool:
    """Make the demo's files equal to the checkout's and return whether anything changed.

    Only files that differ are written and only files that an earlier copy brought are removed, so the demo's data and
    results stay and DVC sees just what changed.

    Raises:
        ValueError: git does not list the checkout's files.
    """
    record = demo.var / "copied.json"
    before = set(read_json(record)) if record.is_file() else set()
    now = [name for name in listed_files(checkout) if not name.startswith(_OWN)]
    write_json(record, sorted(before | set(now)))  # first: a copy that is cut short knows what it may have brought
    changed = False
    for name in now:
        changed |= _copy(checkout / name, demo.root / name)
    for name in sorted(before - set(now)):
        (demo.root / name).unlink(missing_ok=True)
        changed = True
    text = overlay((checkout / "params.yaml").read_text(), read_preset(checkout / "presets", preset))
    changed |= _write(demo.params_file, text.encode(), executable=False)
    if not demo.recipes_file.exists():
        changed |= _write(demo.recipes_file, b"styles: []\nrecipes: {}\n", executable=False)
    write_json(record, sorted(now))
    return changed


def listed_files(checkout: Path) -> list[str]:
    """Return the files of a checkout that git tracks or would track, and that exist.

    Raises:
        ValueError: it is no git repository, or git refuses to read it.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ValueError(f"git cannot list the files of {checkout}: {done.stderr.strip()}")
    return sorted({name for name in done.stdout.split("\0") if name and (checkout / name).is_file()})


def _copy(source: Path, target: Path) -> bool:
    return _write(target, source.read_bytes(), bool(source.stat().st_mode & 0o100))


def _write(target: Path, data: bytes, executable: bool) -> bool:
    if target.is_file() and target.read_bytes() == data:
        return False
    write_atomic(target, data)
    if executable:
        target.chmod(0o755)
    return True


def set_up(demo: Workspace, changed: bool) -> None:
    """Make the demo a git and DVC repository, if it is none yet, and commit what was copied."""
    if not (demo.root / ".git" / "HEAD").is_file():
        _tool(demo, "git", "init", "-q", "-b", "main")
        for key, value in _GIT_SETTINGS.items():
            _tool(demo, "git", "config", key, value)
        write_atomic(demo.root / ".git" / "info" / "exclude", "/samples/\n")
    if not (demo.root / ".dvc" / "config").is_file():
        # -f: an earlier attempt may have been cut short
        _tool(demo, sys.executable, "-P", "-m", "dvc", "init", "-q", "-f")
        for key in ("core.analytics", "core.check_update"):
            _tool(demo, sys.executable, "-P", "-m", "dvc", "config", key, "false")
        changed = True
    if changed:
        _tool(demo, "git", "add", "-A")
        if _tool(demo, "git", "status", "--porcelain"):
            _tool(demo, "git", "commit", "-q", "-m", "Copy of the checkout, with the demo's parameters")


def _tool(demo: Workspace, *command: str) -> str:
    """Run a tool in the demo and return its output."""
    done = capture(demo, command)
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split())
        raise ValueError(f"`{' '.join(command)}` failed in {demo.root}: {said}")
    return done.stdout


def _pictures(request: Request, demo: Workspace) -> tuple[Path, Path]:
    """Return the folders of photographs and artworks: the user's, or samples, painted when they are not there yet."""
    samples = demo.root / "samples"
    photos = request.photos or samples / PHOTOS
    artworks = request.artworks or samples / "styles" / request.sample_style
    wanted_photos = 0 if request.photos or _count(photos) >= _PHOTOS else _PHOTOS
    wanted_artworks = 0 if request.artworks or _count(artworks) >= _ARTWORKS else _ARTWORKS
    if wanted_photos or wanted_artworks:
        _heading(f"samples: {shown(samples)} (pictures that ship with the project)")
        counts = ["--photos", str(wanted_photos), "--artworks", str(wanted_artworks), "--side", str(_SIDE)]
        _run(demo, "pipeline.cli", "samples", str(samples), *counts, "--style", request.sample_style)
    return photos.resolve(), artworks.resolve()


def _count(folder: Path) -> int:
    return sum(1 for path in folder.glob("*") if path.is_file() and not path.name.startswith("."))


def forget_other_photos(demo: Workspace, photos: Path) -> None:
    """Drop the photographs that an earlier demo took from another folder: figures on a mixture would say nothing.

    The folder itself is not touched, and models made with them stay registered.
    """
    record = demo.var / "photos.json"
    before = read_json(record)["folder"] if record.is_file() else str(photos)
    if before != str(photos):
        _heading(f"photographs: {shown(photos)} take the place of {shown(Path(before))}")
        shutil.rmtree(demo.collection(PHOTOS), ignore_errors=True)
        demo.collection(PHOTOS).with_suffix(".dvc").unlink(missing_ok=True)
    write_json(record, {"folder": str(photos)})


def tell(demo: Workspace, style: str, photos: Path) -> None:
    """Print where gallery and report lie, the verdict, the champion, and three commands that work when pasted."""
    from pipeline.registry import CHAMPION, aliases_of

    version = aliases_of(demo, style).get(CHAMPION)
    champion = f"{style} version {version}" if version is not None else f"none yet for {style}; the verdict says why"
    out.print(f"before/after gallery, for a browser: {shown(report_file(demo, style))}", markup=False)
    out.print(f"verdict: {verdict_sentence(demo, style)}", markup=False)
    out.print(f"champion: {champion}")
    tools = Path(sys.executable).parent
    atelier = [shown(tools / "atelier"), "-C", shown(demo.root)]
    model = style if version is not None else shown(demo.package(style))
    painted = shown(demo.root.with_name("painted.jpg"))
    registry = f"sqlite:///{shown(demo.var / 'mlflow.db')}"
    out.print("\ntry next:")
    for command in (
        [*atelier, "status"],
        [*atelier, "stylize", shown(a_photo(demo, photos)), painted, "--model", model],
        [shown(tools / "mlflow"), "ui", "--backend-store-uri", registry],
    ):
        out.print(f"  {shlex.join(command)}", markup=False)


def verdict_sentence(demo: Workspace, style: str) -> str:
    """Return the gate's last sentence on a recipe."""
    return str(_verdict(demo, style).get("sentence", "none was given"))


def report_file(demo: Workspace, style: str) -> Path:
    """Return the report with the verdict in it, or else the evaluate stage's."""
    package = str(_verdict(demo, style).get("package", ""))
    judged = demo.var / "reports" / f"{style}-{package[:12]}.html"
    return judged if judged.is_file() else demo.report(style) / "report.html"


def _verdict(demo: Workspace, style: str) -> dict[str, Any]:
    path = demo.var / "verdicts" / f"{style}.json"
    verdict: dict[str, Any] = read_json(path) if path.is_file() else {}
    return verdict


def a_photo(demo: Workspace, photos: Path) -> Path:
    """Return a photograph that no model was trained on: one of the folder `photos`, if it still is there."""
    held_out = [entry for entry in read_manifest(demo.collection(PHOTOS)) if entry.split == "test"]
    candidates = [photos / entry.name for entry in held_out]
    candidates += [demo.collection(PHOTOS) / entry.file for entry in held_out]
    return next(path for path in candidates if path.is_file())


def _command() -> None:
    example = "Example: python -m pipeline.demo --artworks ~/monet --photos ~/photos (make demo does this)"
    parser = argparse.ArgumentParser(prog="python -m pipeline.demo", description=example)
    parser.add_argument("--artworks", type=Path, help="your artworks; the style takes the folder's name")
    parser.add_argument("--photos", type=Path, help="your photographs")
    parser.add_argument("--style", default="impasto", help="built-in style, without --artworks")
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--place", type=Path, default=None, help="workspace to make or update (default work/demo)")
    given = parser.parse_args()
    checkout = code_root()
    demo = Workspace((given.place or checkout / "work" / "demo").resolve())
    try:
        main(Request(given.artworks, given.photos, given.style, given.preset), checkout, demo)
    except StepError as failed:
        print(f"error: the demo stopped here (exit status {failed}); see above", file=sys.stderr)
        sys.exit(2)



if __name__ == "__main__":
    run_stage(_command)
