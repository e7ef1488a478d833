"""What every method offers to the loop, and nothing about the loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch._functorch import config as functorch

from pipeline.catalogue import Task, require_task
from pipeline.distributed import ALONE, Team
from pipeline.methods.conditions import NOTHING as NOTHING  # these two are every method's
from pipeline.methods.conditions import Condition as Condition
from pipeline.methods.conditions import NoCondition
from pipeline.networks.latent import LatentGenerator
from pipeline.networks.layers import shrink
from pipeline.params import Params
from pipeline.params.methods import SECTIONS

Losses = dict[str, dict[str, Tensor]]


class Batch:
    """One step's images: unpaired stacks (N, 3, H, W) in [-1, 1] on the training device."""

    def __init__(self, photos: Tensor | None, paintings: Tensor) -> None:
        """Hold both stacks; `photos` is None for a method that does not learn from photographs."""
        self._photos, self.paintings = photos, paintings

    @property
    def photos(self) -> Tensor:
        """The photographs, of a method that declares that it learns from them."""
        assert self._photos is not None, "a method that declares no photographs has asked for them"
        return self._photos

    @property
    def size(self) -> int:
        """How many images of each kind."""
        return len(self.paintings)


class Method(ABC):
    """Networks, players, and one step that returns every player's losses from one shared forward pass.

    A method of the task `stylize` has `translate`, one of the task `generate` has `sample`, one of the task `restore`
    has `damage` and `restore`.
    """

    name: ClassVar[str]
    """Its own, and that of its section of params.yaml, whose facts say `task` and `photographs`."""

    task: ClassVar[Task]
    """What the trained model is for."""

    photographs: ClassVar[bool] = True
    """Whether it learns from photographs beside the artworks; without, batches hold none."""

    conditions: tuple[type[Condition], ...] = (NoCondition,)
    """What `translate`, `sample` or `restore` may be told."""

    networks: dict[str, nn.Module]
    """All networks by name; all that a checkpoint must hold."""

    players: dict[str, tuple[str, ...]]
    """Player -> the networks whose parameters it trains."""

    averaged: ClassVar[tuple[str, ...]] = ("generator",)
    """Networks of which the loop keeps a moving average, to be packaged; that of `generator` is watched."""

    warmup_steps: int = 0
    """Steps in which the method only gets under way; nothing about its pictures counts before they are over."""

    accuracy: Tensor | None = None
    """Share of the discriminator's answers in the last step that were right, detached; None where it gave none."""

    figures: Mapping[str, Tensor] = MappingProxyType({})
    """Numbers about the last step that are no losses, detached, to be logged beside them."""

    warmed: bool = False
    """Whether the networks begin with what another training has learnt, so that no warm-up is needed."""

    memories: Mapping[str, nn.Module] = MappingProxyType({})
    """Modules without parameters whose buffers steps change: in checkpoints, not in results; a skipped step puts them
    back. In a team they are the same in every process, so a step makes them from the whole team's images."""

    team: Team = ALONE
    """Who takes the same steps beside this process; the trainer tells."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Take from the facts of a method what they say already."""
        super().__init_subclass__(**arguments)
        section = SECTIONS.get(cls.__dict__.get("name", ""))
        if section is not None:
            cls.task, cls.photographs = section.facts.task, section.facts.photographs

    @abstractmethod
    def __init__(self, params: Params) -> None:
        """Build and initialise the networks from `params.seed`."""

    @classmethod
    def brings(cls, params: Params) -> dict[str, str]:
        """Return what the networks begin with that is no file of the workspace, name -> digest.

        It tells two trainings apart as data and parameters do.
        """
        del params
        return {}

    @abstractmethod
    def step(self, batch: Batch, step: int, draw: torch.Generator) -> Losses:
        """Return weighted losses, player -> name -> scalar.

        The loop differentiates the sum of each player's losses by that player's parameters alone, all from
        this one forward pass, then updates all players. Every random choice comes from `draw` (on the CPU).
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what is needed to build the packaged network again: its class name and arguments."""

    def describe_beside(self) -> dict[str, dict[str, Any]]:
        """Return the same of each averaged network that is packaged beside and is built otherwise, by its name."""
        return {}

    def translate(self, photo: Tensor, condition: Condition = NOTHING) -> Tensor:
        """Return the painting (N, 3, H, W) of photographs in [-1, 1].

        Raises:
            ValueError: the method does not repaint photographs, or takes no such condition.
        """
        require_task(f"method {type(self).__name__}", self.task, "stylize")
        raise NotImplementedError

    def sample(self, count: int, draw: torch.Generator, condition: Condition = NOTHING) -> Tensor:
        """Return `count` new images (N, 3, H, W) in [-1, 1]; all that is random comes from `draw` (on the CPU).

        Raises:
            ValueError: the method does not make images out of noise, or takes no such condition.
        """
        require_task(f"method {type(self).__name__}", self.task, "generate")
        raise NotImplementedError

    def damage(self, originals: Tensor, draw: torch.Generator) -> tuple[Tensor, Condition]:
        """Return what a training step leaves of originals (N, 3, H, W) in [-1, 1], and what `restore` is told of it.

        Raises:
            ValueError: the method restores nothing.
        """
        require_task(f"method {type(self).__name__}", self.task, "restore")
        raise NotImplementedError

    def restore(self, pictures: Tensor, condition: Condition = NOTHING) -> Tensor:
        """Return whole pictures (N, 3, H, W) in [-1, 1] of damaged ones, larger where that is what they lack.

        Raises:
            ValueError: the method restores nothing, or takes no such condition.
        """
        require_task(f"method {type(self).__name__}", self.task, "restore")
        raise NotImplementedError

    def scores(self, images: Tensor, discriminator: str = "discriminator") -> Tensor:
        """Return what one of its discriminators says of any images, as it is asked in training; higher is more real.

        A method whose discriminator sees more than images, or gives more than scores, has one of its own.

        Args:
            images: (N, 3, H, W) in [-1, 1]; squares, if it makes images out of noise, whose size they are brought to.
            discriminator: its name among `networks`.

        Returns:
            (N, 1, h, w), a score a patch, or (N,), a score an image.
        """
        generator = self.networks["generator"]
        seen = shrink(images, generator.side) if isinstance(generator, LatentGenerator) else images
        found: Tensor = self.networks[discriminator](seen)
        return found

    def accept(self, condition: Condition) -> None:
        """Return when the method takes a condition of this type.

        Raises:
            ValueError: it does not.
        """
        if not isinstance(condition, self.conditions):
            known = ", ".join(kind.__name__ for kind in self.conditions)
            raise ValueError(f"{type(self).__name__} takes {known} as its condition, not {type(condition).__name__}")

    def compile(self, backend: str = "inductor") -> None:
        """Compile what a step calls (`torch.compile`); the first steps then take long."""
        # Two players' losses are differentiated through one forward pass: its tensors must outlive the first.
        functorch.donated_buffer = False
        for network in self.networks.values():
            network.compile(backend=backend)

    def player_parameters(self, player: str) -> list[nn.Parameter]:
        """Return the parameters a player trains, in a stable order."""
        return [parameter for name in self.players[player] for parameter in self.networks[name].parameters()]

    def to(self, device: torch.device) -> None:
        """Move every network, channels last: convolutions run faster so, and the numbers are the same."""
        for network in (*self.networks.values(), *self.memories.values()):
            network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
