"""The models at hand. A new version is loaded, checked and tried beside the old one, and then takes its place.

Whoever paints holds the model that was there when painting began, so a swap interrupts nobody.
"""

from __future__ import annotations

import io
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, cast

from PIL import Image

from pipeline.catalogue import Task, does
from pipeline.images import grid
from pipeline.sample_data import photo_bytes
from pipeline.serve.problems import Problem
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from pipeline.generation import Sampler
    from pipeline.inference import Stylizer

CHAMPION, CHALLENGER = "champion", "challenger"
ASKED: Mapping[str, str] = MappingProxyType({"stylize": "/api/stylize", "generate": "/api/generate"})
"""The tasks that are served, and where each is asked for."""
TRIAL_PHOTO = 1  # of the built-in samples: what every model is tried on, and shown by
TRIAL_SIDE = 320  # px
TRIAL_SEEDS = 4  # images that one which makes them out of noise is tried with, on one sheet
_AGAIN = 30.0  # seconds until a version that could not be loaded is tried again
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """A package that should be at hand, and which version of a registered model it is (None: of none)."""

    name: str
    alias: str
    version: int | None
    find: Callable[[], tuple[Path, str | None]]
    """Returns the package's folder, and the digest it must have if a registry recorded one."""


@dataclass(frozen=True)
class Model:
    """A model that was loaded, checked against its digest, and tried.

    loaded: what makes pictures, as the model's task has it.
    picture: of the trial, as JPEG.
    styles: the trial's picture in each style that a model has learnt which paints after references.
    """

    name: str
    alias: str
    version: int | None
    digest: str
    config: Mapping[str, Any]
    loaded: Stylizer | Sampler
    picture: bytes
    since: float
    styles: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def task(self) -> Task:
        """What it is for."""
        return cast(Task, self.config.get("task", "stylize"))

    @property
    def stylizer(self) -> Stylizer:
        """What repaints photographs; of a model of that task alone."""
        return cast("Stylizer", self.loaded)

    @property
    def sampler(self) -> Sampler:
        """What makes images out of noise; of a model of that task alone."""
        return cast("Sampler", self.loaded)

    @property
    def refers(self) -> bool:
        """Whether it paints after references."""
        return bool(self.config.get("reference"))

    @property
    def key(self) -> str:
        """How it is asked for: the name alone is the champion's."""
        return key_of(self.name, self.alias)

    @property
    def label(self) -> str:
        """How to speak of it."""
        return self.name if self.version is None else f"{self.name} version {self.version}"

    @property
    def both_ways(self) -> bool:
        """Whether it learnt the way from painting to photograph too."""
        return bool(self.config.get("reverse"))


class Source(Protocol):
    """Where models come from."""

    def __call__(self) -> Iterable[Wanted]:
        """Return what should be at hand now.

        Raises:
            ValueError, OSError: it cannot be told; what is at hand stays.
        """
        ...


class NotServedError(ValueError):
    """A package for a task that is not served."""


def key_of(name: str, alias: str) -> str:
    """Return how a model is asked for."""
    return f"{name}@{CHALLENGER}" if alias == CHALLENGER else name


class FromRegistry:
    """Champions and challengers of a workspace."""

    def __init__(self, workspace: Workspace, only: Iterable[str] = ()) -> None:
        """Remember where to look, and at which models; at all if none is named."""
        self._workspace, self._only = workspace, frozenset(only)

    def __call__(self) -> list[Wanted]:
        """Return every champion, and every challenger."""
        from pipeline.registry import models

        return [
            Wanted(name, alias, aliases[alias], self._finder(name, aliases[alias]))
            for name, aliases in models(self._workspace).items()
            for alias in (CHAMPION, CHALLENGER)
            if alias in aliases and (not self._only or name in self._only)
        ]

    def _finder(self, name: str, number: int) -> Callable[[], tuple[Path, str | None]]:
        def find() -> tuple[Path, str | None]:
            from pipeline.registry import version_of

            found = version_of(self._workspace, name, number)
            return found.directory, found.package

        return find


class FromFolders:
    """Package folders, which change only with a restart."""

    def __init__(self, folders: Iterable[Path]) -> None:
        """Name each after its recipe, or its folder.

        Raises:
            ValueError: a folder is no package, or two have one name.
        """
        from pipeline.inference import read_config

        self._folders: dict[str, Path] = {}
        for folder in folders:
            name = str(read_config(folder).get("recipe") or folder.resolve().name)
            if name in self._folders:
                raise ValueError(f"{folder} and {self._folders[name]} are both packages of {name}; serve one of them")
            self._folders[name] = folder

    def __call__(self) -> list[Wanted]:
        """Return every folder as a champion."""
        return [Wanted(name, CHAMPION, None, lambda at=at: (at, None)) for name, at in self._folders.items()]  # type: ignore[misc]


class Shelf:
    """The models at hand, by how they are asked for. Read from any thread, changed by `look` alone."""

    def __init__(self, source: Source, device: str = "cpu", on_swap: Callable[[str], None] | None = None) -> None:
        """Begin with none; `look` fetches them.

        Args:
            source: what should be at hand.
            device: where models run.
            on_swap: called with a model's name when another version of it has taken over.
        """
        self._source, self._device, self._on_swap = source, device, on_swap
        self._models: Mapping[str, Model] = MappingProxyType({})
        self._looking = threading.Lock()
        self._failed: dict[tuple[str, int | None], tuple[float, str]] = {}
        self._others: set[tuple[str, int | None]] = set()
        self.problems: tuple[str, ...] = ()
        """What is wrong with what should be at hand, in words."""
        self.looked = False
        """Whether the source was read at least once."""

    @property
    def models(self) -> Mapping[str, Model]:
        """All models by how they are asked for; a snapshot that does not change any more."""
        return self._models

    @property
    def champions(self) -> list[Model]:
        """The champions of every task, by name."""
        return sorted((one for one in self._models.values() if one.alias == CHAMPION), key=lambda one: one.name)

    def find(self, asked: str | None, task: Task | None = None) -> Model:
        """Return the model that is asked for; without a name the only champion there is.

        Args:
            asked: NAME, NAME@champion or NAME@challenger.
            task: what it must be for; whatever it is, without.

        Raises:
            Problem: there is none, or several, or it is for another task.
        """
        models = {key: one for key, one in self._models.items() if task in (None, one.task)}
        if asked is not None and (other := self._models.get(asked.removesuffix(f"@{CHAMPION}"))) is not None:
            if task in (None, other.task):
                return other
            raise Problem(422, "wrong_task", f"The model {other.label} {does(other.task)}; ask {ASKED[other.task]}.")
        if not models:
            raise Problem(503, "no_model", "There is no such model yet: train and promote one, then ask again.", 10)
        if asked is not None:
            known = ", ".join(sorted(models))
            raise Problem(404, "unknown_model", f"There is no model {asked[:80]!r}; there is {known}.")
        champions = [one for one in models.values() if one.alias == CHAMPION]
        if len(champions) == 1:
            return champions[0]
        raise Problem(422, "which_model", f"Say which model is meant: {', '.join(sorted(models))}.")

    def look(self) -> None:
        """Fetch what is new and swap it in. What fails is told in `problems`, and what was there stays."""
        with self._looking:
            try:
                wanted = list(self._source())
            except (ValueError, OSError) as error:
                self.problems = (f"the registry cannot be read ({error}); models stay as they are",)
                return
            except Exception as error:  # a database under repair may raise anything; those who paint must not notice
                _log.warning("the registry cannot be read", exc_info=True)
                self.problems = (f"the registry cannot be read ({type(error).__name__}); models stay as they are",)
                return
            problems: list[str] = []
            for one in wanted:
                self._take(one, problems)
            self._drop(wanted, problems)
            self.problems = tuple(problems)
            self.looked = True

    def _take(self, wanted: Wanted, problems: list[str]) -> None:
        """Put a model into its place, if it is not there."""
        key, which = key_of(wanted.name, wanted.alias), (wanted.name, wanted.version)
        present = self._models.get(key)
        if which in self._others or (present is not None and present.version == wanted.version):
            return
        failed = self._failed.get(which)
        if failed is None or time.monotonic() - failed[0] > _AGAIN:
            try:
                self._put(key, self._at_hand(wanted) or self._load(wanted))
                self._failed.pop(which, None)
                return
            except NotServedError:
                self._others.add(which)
                return
            except Exception as error:  # whatever is wrong with a new version, the old one paints on
                _log.warning("%s version %s cannot be loaded", *which, exc_info=not isinstance(error, ValueError))
                failed = self._failed[which] = time.monotonic(), str(error) or type(error).__name__
        stays = f"{present.label} paints on" if present else "it is not served"
        problems.append(f"{wanted.name} version {wanted.version} cannot be loaded, {stays}: {failed[1]}")

    def _at_hand(self, wanted: Wanted) -> Model | None:
        """Return the same version under another alias: a challenger that was promoted need not be loaded again."""
        for one in self._models.values():
            if wanted.version is not None and (one.name, one.version) == (wanted.name, wanted.version):
                return Model(**{**vars(one), "alias": wanted.alias, "since": time.time()})
        return None

    def _load(self, wanted: Wanted) -> Model:
        from pipeline.generation import Sampler
        from pipeline.inference import Stylizer, read_config, task_of

        folder, expected = wanted.find()
        task = task_of(read_config(folder))
        if task not in ASKED:
            raise NotServedError(f"{folder} {does(task)}, which is not served")
        styles: dict[str, bytes] = {}
        loaded: Stylizer | Sampler
        if task == "generate":
            loaded = Sampler.load(folder, self._device, expected)
            picture = _sheet(loaded)
        else:
            loaded = Stylizer.load(folder, self._device, expected)
            styles = {style: _painted(loaded, style) for style in loaded.references}
            picture = next(iter(styles.values())) if styles else _painted(loaded)
        return Model(
            name=wanted.name,
            alias=wanted.alias,
            version=wanted.version,
            digest=loaded.digest,
            config=loaded.config,
            loaded=loaded,
            picture=picture,
            since=time.time(),
            styles=MappingProxyType(styles),
        )

    def _put(self, key: str, model: Model) -> None:
        before = self._models.get(key)
        self._models = MappingProxyType({**self._models, key: model})  # one assignment: a reader sees old or new
        if before is not None and model.alias == CHAMPION:
            _log.info("%s takes over from version %s", model.label, before.version)
            if self._on_swap is not None:
                self._on_swap(model.name)

    def _drop(self, wanted: list[Wanted], problems: list[str]) -> None:
        """Take away challengers that are none any more. A champion is only ever replaced: an alias may be lost."""
        keys = {key_of(one.name, one.alias) for one in wanted}
        gone = [one for key, one in self._models.items() if key not in keys]
        lost = [one for one in gone if one.alias == CHAMPION]
        problems += [f"{one.name} has no champion any more; {one.label} paints on until a restart" for one in lost]
        kept = {key: one for key, one in self._models.items() if one not in gone or one in lost}
        self._models = MappingProxyType(kept)


def _painted(stylizer: Stylizer, style: str | None = None) -> bytes:
    """Return the model's painting of the trial photograph as JPEG, in a style that it has learnt if one is named.

    Raises:
        ValueError: it paints one colour all over.
    """
    with Image.open(io.BytesIO(photo_bytes(TRIAL_PHOTO, side=TRIAL_SIDE))) as photograph:
        return _shown(stylizer(photograph, style=style))


def _sheet(sampler: Sampler) -> bytes:
    """Return the first images of a model that makes them out of noise, on one sheet, as JPEG.

    Raises:
        ValueError: each is one colour all over.
    """
    first = list(sampler(range(TRIAL_SEEDS)))
    return _shown(grid([first[:2], first[2:]], gap=0))


def _shown(picture: Image.Image) -> bytes:
    if all(band.getextrema()[0] == band.getextrema()[1] for band in picture.split()):
        raise ValueError("it makes one colour all over")
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=90)
    return stream.getvalue()


class Watch:
    """Looks for new versions every few seconds, in a thread of its own."""

    def __init__(self, shelf: Shelf, seconds: float) -> None:
        """Prepare it; `start` begins."""
        self._shelf, self._seconds = shelf, seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="models", daemon=True)

    def start(self) -> None:
        """Begin looking."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, within a look."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(30)

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            self._shelf.look()
