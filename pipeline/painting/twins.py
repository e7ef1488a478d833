"""A twin of a network: other modules in some places, the same weights, and the network itself untouched.

Two threads that paint two pictures each have a twin of their own where one holds something, and share nothing that
changes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

from torch import nn


def twin(network: nn.Module, replace: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """Return a module tree like another in which each module is what `replace` makes of it; weights are shared.

    Args:
        network: stays as it is.
        replace: is asked about the innermost modules first, and about what holds these once they are replaced. It
            gets a module of `network`, or a copy where something within was replaced, and returns it or another.
    """
    made: dict[int, nn.Module] = {}

    def build(module: nn.Module) -> nn.Module:
        if id(module) not in made:
            inner = {name: child and build(child) for name, child in module._modules.items()}
            own = module
            if any(child is not module._modules[name] for name, child in inner.items()):
                own = copy.copy(module)
                own.__dict__["_modules"] = inner
            made[id(module)] = replace(own)
        return made[id(module)]

    return build(network)
