"""Instance normalisation with statistics from elsewhere, so that every tile of a picture is painted alike.

Instance normalisation divides by what it finds in the picture before it (Ulyanov et al. 2016). Before a tile it finds
something else than before the whole, and a sky changes its colour where tiles meet. Here means and deviations are
measured once for a picture, and become inputs. Networks stay as they are: a twin of one, made of the same weights,
has other modules in the places of its norms.

A table of statistics has the shape (1, S, 2): mean and standard deviation of S channels, those of all instance norms
of a network one after another, in the order of `modules`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import torch
from torch import Tensor, nn

from pipeline.painting.twins import twin


def norms(network: nn.Module) -> list[nn.Module]:
    """Return a network's instance norms, in order."""
    return [module for module in network.modules() if _is_instance_norm(module)]


def table_length(network: nn.Module) -> int:
    """Return S: how many channels a network's instance norms have in all."""
    return sum(_channels(norm) for norm in norms(network))


@torch.inference_mode()
def measure(network: nn.Module, pictures: Tensor) -> Tensor:
    """Return the table of statistics that all of a batch have together.

    Args:
        network: any that takes `pictures`.
        pictures: (N, C, H, W), parts of one picture.
    """
    seen: dict[int, Tensor] = {}
    places = {id(norm): number for number, norm in enumerate(norms(network))}

    def pooled(norm: nn.Module) -> nn.Module:
        return _Pooled(norm, places[id(norm)], seen, len(places))

    with suppress(_EnoughError):
        _twin(network, pooled)(pictures)
    return torch.cat([seen[number] for number in sorted(seen)], dim=1)


def with_statistics(network: nn.Module, table: Tensor) -> nn.Module:
    """Return a network that normalises by `table` instead of by what it sees; the weights are shared, not copied.

    Raises:
        ValueError: the table is one of another network.
    """
    if table.shape != (1, table_length(network), 2):
        needed = (1, table_length(network), 2)
        raise ValueError(f"statistics have shape {tuple(table.shape)}, of another network; this one needs {needed}")
    parts = dict(zip(map(id, norms(network)), _split(network, table), strict=True))
    return _twin(network, lambda norm: _Fixed(norm, parts[id(norm)]))


class Steered(nn.Module):
    """A network with a table of statistics as its second input and its own as the second output, for an ONNX graph.

    Where the table's deviation is 0, the picture's own mean and deviation are used: a table of zeros changes nothing.
    """

    def __init__(self, network: nn.Module) -> None:
        """Wrap a network that takes one batch of pictures; it is for one thread at a time."""
        super().__init__()
        self.network = _twin(network, _Chosen)
        self.length = table_length(network)

    def forward(self, pictures: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the network makes of (N, C, H, W), and each picture's own statistics (N, S, 2)."""
        chosen = [module for module in self.network.modules() if isinstance(module, _Chosen)]
        start = 0
        for norm in chosen:
            norm.given = table[:, start : start + norm.channels]
            start += norm.channels
        made = self.network(pictures)
        return made, torch.cat([norm.own for norm in chosen], dim=1)


class _Affine(nn.Module):
    """What an instance norm does behind its statistics."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        assert isinstance(norm, nn.GroupNorm | nn.InstanceNorm2d)
        self.channels, self.eps = _channels(norm), norm.eps
        shape = (1, self.channels, 1, 1)
        self.weight = None if norm.weight is None else norm.weight.detach().view(shape)
        self.bias = None if norm.bias is None else norm.bias.detach().view(shape)

    def applied(self, x: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
        """Return x normalised, scaled and shifted; mean and deviation are (N or 1, channels, 1, 1)."""
        scale = 1 / deviation if self.weight is None else self.weight / deviation
        shift = -mean * scale if self.bias is None else self.bias - mean * scale
        return torch.addcmul(shift, x, scale)


class _Fixed(_Affine):
    """Statistics that were measured."""

    def __init__(self, norm: nn.Module, table: Tensor) -> None:
        super().__init__(norm)
        self.mean, self.deviation = (table[..., i, None, None] for i in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.applied(x, self.mean.to(x), self.deviation.to(x))


class _EnoughError(Exception):
    """The last norm was measured: what the network would go on to is not asked for."""


class _Pooled(_Affine):
    """Statistics of a whole batch, which are noted."""

    def __init__(self, norm: nn.Module, place: int, seen: dict[int, Tensor], wanted: int) -> None:
        super().__init__(norm)
        self.place, self.seen, self.wanted = place, seen, wanted

    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, (0, 2, 3), correction=0, keepdim=True)
        deviation = (variance + self.eps).sqrt()
        self.seen[self.place] = torch.stack([mean, deviation], dim=-1).flatten(1, 3)
        if len(self.seen) == self.wanted:
            raise _EnoughError
        return self.applied(x, mean, deviation)


class _Chosen(_Affine):
    """Statistics that are given, or each picture's own where none are."""

    given: Tensor
    own: Tensor

    def forward(self, x: Tensor) -> Tensor:
        given_mean, given_deviation = (self.given[..., i, None, None] for i in range(2))
        own_mean = x.mean((2, 3), keepdim=True)
        mean = torch.where(given_deviation > 0, given_mean, own_mean)
        centred = x - mean
        # Var(x) = E((x - a)^2) - (E(x) - a)^2 for any a: nothing is gone through twice.
        variance = (centred * centred).mean((2, 3), keepdim=True) - (own_mean - mean).square()
        own_deviation = (variance.clamp(min=0) + self.eps).sqrt()
        self.own = torch.cat([own_mean, own_deviation], dim=-1).flatten(2)
        deviation = torch.where(given_deviation > 0, given_deviation, own_deviation)
        scaled = centred * (1 / deviation if self.weight is None else self.weight / deviation)
        return scaled if self.bias is None else scaled + self.bias


def _is_instance_norm(module: nn.Module) -> bool:
    """Return whether a module normalises each channel of each picture by itself."""
    if isinstance(module, nn.GroupNorm):
        return module.num_groups == module.num_channels
    return isinstance(module, nn.InstanceNorm2d) and not module.track_running_stats


def _channels(norm: nn.Module) -> int:
    assert isinstance(norm, nn.GroupNorm | nn.InstanceNorm2d)
    return norm.num_channels if isinstance(norm, nn.GroupNorm) else norm.num_features


def _split(network: nn.Module, table: Tensor) -> Sequence[Tensor]:
    return torch.split(table, [_channels(norm) for norm in norms(network)], dim=1)


def _twin(network: nn.Module, replace: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """Return a twin of a network with other modules in the places of its instance norms."""
    return twin(network, lambda module: replace(module) if _is_instance_norm(module) else module)
