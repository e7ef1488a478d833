"""Published networks, from local files: VGG16 and Inception as features, LPIPS as a distance. No download, no pickle.

A picture is looked at alone and with one thread, so no figure depends on what else is looked at, or on the machine's
number of cores.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.metrics.references import Features, Perceptual, Pixels
from pipeline.observers.looking import looking
from pipeline.weights import digest, load_tensors

_CONV5_3 = 30  # layers of torchvision's VGG16 up to the rectified conv5_3
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class _Features:
    """A network that describes pictures; `describe` takes 8-bit (1, 3, H, W) and returns (1, D)."""

    name: str
    describe: Callable[[Tensor], Tensor]

    def __call__(self, image: Pixels) -> NDArray[np.float64]:
        with looking():
            return np.asarray(self.describe(_tensor(image))[0].double().numpy())


@dataclass(frozen=True)
class _Distance:
    """A network that compares pictures; `compare` takes two of (1, 3, H, W) in [-1, 1] and returns one number."""

    name: str
    compare: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, one: Pixels, other: Pixels) -> float:
        with looking():
            return float(self.compare(_tensor(one) / 127.5 - 1, _tensor(other) / 127.5 - 1))


def _tensor(image: Pixels) -> Tensor:
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None]


def vgg16_features(path: Path) -> Features:
    """Return torchvision's VGG16 (Simonyan & Zisserman 2015) as features: the means of rectified conv5_3.

    Args:
        path: its state dict, with or without the classifier. Pictures need 16 px a side.

    Returns:
        features (512,), named `vgg16 <digest>`.

    Raises:
        ValueError: the file cannot be read, or holds another network.
    """
    layers = _vgg16(path)
    mean, std = (torch.tensor(values)[:, None, None] for values in (_IMAGENET_MEAN, _IMAGENET_STD))

    def describe(image: Tensor) -> Tensor:
        seen: Tensor = layers((image / 255 - mean) / std)
        return seen.mean(dim=(2, 3))

    return _Features(f"vgg16 {digest(path)}", describe)


def inception_features(path: Path) -> Features:
    """Return torch-fidelity's Inception (Szegedy et al. 2016) as features: the pool that FID and KID are defined on.

    Args:
        path: the state dict that torch-fidelity publishes. Pictures of any size; they are seen at 299 px.

    Returns:
        features (2048,), named `inception <digest>`.

    Raises:
        ValueError: the file cannot be read, or holds another network.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    # The package would unpickle the file whole. It is given a copy of the tensors instead, which is ours.
    copy = io.BytesIO()
    torch.save(load_tensors(path), copy)
    copy.seek(0)
    with torch.random.fork_rng(devices=[]):  # building a network draws random numbers
        try:
            network = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=copy)
        except RuntimeError as error:
            raise _other_network(path, "torch-fidelity's Inception", "inception", error) from error

    def describe(image: Tensor) -> Tensor:
        seen: Tensor = network(image)[0]
        return seen

    return _Features(f"inception {digest(path)}", describe)


def lpips(path: Path) -> Perceptual:
    """Return LPIPS (Zhang et al. 2018), version 0.1 over VGG16, with the linear heads that torchmetrics ships.

    Args:
        path: as for `vgg16_features`.

    Returns:
        a distance from 0 up, named `lpips vgg16 <digest>`. Pictures need 16 px a side.

    Raises:
        ValueError: as `vgg16_features`.
    """
    # The public class downloads a backbone of its own; the module behind it takes one.
    from torchmetrics.functional.image import lpips as package

    with torch.device("meta"):  # nothing is drawn and nothing held: every weight is loaded
        network = package._NoTrainLpips(pretrained=False, net="vgg", pnet_rand=True)
    heads = load_tensors(Path(package.__file__).parent / "lpips_models" / "vgg.pth")
    backbone = _vgg16(path).state_dict()
    # The module numbers layers as torchvision does, but in slices: slice5.28.bias is 28.bias.
    state = {f"net.{name}": backbone[name.partition(".")[2]] for name in network.net.state_dict()}
    state |= heads | {name.replace("lin", "lins.", 1): value for name, value in heads.items()}
    network.load_state_dict(state, assign=True)
    return _Distance(f"lpips vgg16 {digest(path)}", _frozen(network))


def _vgg16(path: Path) -> nn.Module:
    """Return the layers of a VGG16 up to the rectified conv5_3, as torchvision numbers them."""
    import torchvision  # takes seconds, and most runs look with a judge instead

    with torch.device("meta"):
        layers = torchvision.models.vgg16(weights=None, init_weights=False).features[:_CONV5_3]
    tensors = load_tensors(path)
    state = {
        name.removeprefix("features."): value.float()
        for name, value in tensors.items()
        if not name.startswith("classifier.")
    }
    try:
        layers.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise _other_network(path, "torchvision's VGG16", "vgg16", error) from error
    return _frozen(layers)


def _frozen(network: nn.Module) -> nn.Module:
    return network.eval().requires_grad_(False)


def _other_network(path: Path, wanted: str, kind: str, error: RuntimeError) -> ValueError:
    first = " ".join(str(error).split())[:200]
    return ValueError(f"{path} does not hold {wanted} ({first}); name another file as weights.{kind}")
