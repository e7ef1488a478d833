"""The section `fastcut`: the method `cut` with other settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pipeline.params.facts import Facts
from pipeline.params.methods.cut import Cut


@dataclass(frozen=True)
class FastCut(Cut):
    """FastCUT, as published."""

    facts: ClassVar[Facts] = Facts(
        task="stylize",
        photographs=True,
        what="FastCUT as published: contrastive translation with mirrored images, and no statistics losses",
        cost="one and a half times cut's a step on a CPU; as published, many more steps",
        needs="some hundred photographs and artworks",
        choose="for the published method at the least cost and memory",
    )
