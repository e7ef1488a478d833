"""Where everything of a workspace lies. Paths only: nothing here reads a file or writes one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PHOTOS = "photos"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True)
class Workspace:
    """A git checkout holding `dvc.yaml`, with its data, models and state."""

    root: Path

    @property
    def params_file(self) -> Path:
        """Every parameter, tracked by DVC."""
        return self.root / "params.yaml"

    @property
    def recipes_file(self) -> Path:
        """The models to build and the styles to prepare."""
        return self.root / "recipes.yaml"

    @property
    def inbox(self) -> Path:
        """The drop folder: `inbox/<style>/` and `inbox/photos/`. Never tracked."""
        return self.root / "inbox"

    def collection(self, name: str) -> Path:
        """Accepted images of a style, or of the photographs when `name` is `photos`."""
        return self.root / "data" / PHOTOS if name == PHOTOS else self.root / "data" / "styles" / name

    def collections(self) -> list[str]:
        """Names of all collections that hold images: `photos` first, then the styles."""
        styles = sorted(path.parent.name for path in self.collection("*").parent.glob("*/manifest.jsonl"))
        return ([PHOTOS] if (self.collection(PHOTOS) / "manifest.jsonl").is_file() else []) + styles

    def quarantine(self, name: str) -> Path:
        """Refused files of a collection, each with its reason."""
        return self.root / "data" / "quarantine" / name

    def copies(self, name: str) -> Path:
        """Where exact copies of a collection's images were met."""
        return self.root / "data" / "copies" / f"{name}.jsonl"

    def prepared(self, name: str) -> Path:
        """Packed crops of a collection."""
        return self.root / "data" / "prepared" / name

    def prepared_once(self, name: str) -> Path:
        """A file that always holds the same: for a stage that comes after `prepare`, but not with every artwork."""
        return self.root / "data" / "prepared" / f"{name}.once"

    def judge(self, style: str) -> Path:
        """The frozen judge of a style."""
        return self.root / "judges" / style

    def sheet(self, name: str) -> Path:
        """The contact sheet of a collection: originals beside their crops."""
        return self.root / "data" / "sheets" / f"{name}.jpg"

    def warm_start(self, name: str) -> Path:
        """Networks that a training may begin with."""
        return self.root / "warm" / name

    def trained(self, recipe: str) -> Path:
        """What the train stage leaves: networks, history, samples."""
        return self.root / "runs" / recipe

    def package(self, recipe: str) -> Path:
        """The model package of a recipe."""
        return self.root / "models" / recipe

    def report(self, recipe: str) -> Path:
        """What the evaluate stage leaves: metrics, gallery, report, model card."""
        return self.root / "reports" / recipe

    @property
    def work(self) -> Path:
        """Caches and checkpoints; may be deleted at any time."""
        return self.root / "work"

    def quality(self, name: str) -> Path:
        """The page on a collection's quality, which `atelier report` writes."""
        return self.work / "quality" / f"{name}.html"

    def checkpoints(self, recipe: str) -> Path:
        """Checkpoints of a recipe, one folder a key."""
        return self.work / "checkpoints" / recipe

    @property
    def var(self) -> Path:
        """State that may not be deleted: registry, journal, locks."""
        return self.root / "var"

    @property
    def tracking_uri(self) -> str:
        """MLflow's store."""
        return f"sqlite:///{self.var / 'mlflow.db'}"

    @property
    def artifacts(self) -> Path:
        """MLflow's artifact root."""
        return self.var / "mlartifacts"


def find_workspace(start: Path) -> Workspace:
    """Return the workspace of the nearest folder at or above `start` that holds `dvc.yaml`.

    Raises:
        ValueError: there is none.
    """
    start = start.resolve()
    for place in (start, *start.parents):
        if (place / "dvc.yaml").is_file():
            return Workspace(place)
    raise ValueError(f"no workspace at or above {start} (no dvc.yaml); name one with -C DIR")


def check_name(name: str, what: str) -> str:
    """Return `name` when it can name a style or recipe in paths, stages and the registry.

    Raises:
        ValueError: it cannot; the message says what can.
    """
    if not _NAME.fullmatch(name) or (what == "style" and name in {PHOTOS, "quarantine"}):
        raise ValueError(
            f"{what} name {name!r} will not do: use lower-case letters, digits, '-' and '_' "
            f"(at most 63, starting with a letter or digit), and not 'photos' or 'quarantine'"
        )
    return name


def slug(text: str) -> str:
    """Return `text` as a legal name: `Van Gogh (1889)` -> `van-gogh-1889`; empty if nothing is left."""
    return re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-_")[:63]
