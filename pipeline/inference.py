"""Use a model package: verify it, load it, repaint pictures of any size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.catalogue import Task, require_task
from pipeline.files import digest_json, read_json, sha256_file
from pipeline.images import to_image, to_tensor
from pipeline.networks.dcgan import DcganGenerator
from pipeline.networks.generators import ResnetGenerator
from pipeline.painting import tiles
from pipeline.painting.finish import finish
from pipeline.painting.layers import laid_over, layer_sizes
from pipeline.painting.options import check_scale, check_strength
from pipeline.painting.working import working_size

NETWORKS: dict[str, type[nn.Module]] = {"resnet": ResnetGenerator, "dcgan": DcganGenerator}


class Stylizer:
    """A loaded package: photograph in, painting of the same size out."""

    def __init__(
        self,
        network: nn.Module,
        config: dict[str, Any],
        digest: str,
        device: torch.device,
        reverse: nn.Module | None = None,
    ) -> None:
        """Wrap a generator, and the one of the way back if there is one; use `load` to get them from a package."""
        self.network = _ready(network, device)
        self.reverse = None if reverse is None else _ready(reverse, device)
        self.config, self.digest, self.device = config, digest, device

    @classmethod
    def load(cls, package: Path, device: str = "cpu", expected: str | None = None) -> Stylizer:
        """Return the model of a package folder, after checking every file against the package's manifest.

        Args:
            package: folder made by the package stage.
            device: where to run, `cpu` or `cuda`.
            expected: the package digest it must have, recorded outside of the folder.

        Raises:
            ValueError: a file is missing or changed, the package is not the expected one, or does not repaint.
        """
        config, digest = open_package(package, "stylize", expected)
        reverse = load_network(package, config, "reverse") if config.get("reverse") else None
        return cls(load_network(package, config), config, digest, torch.device(device), reverse)

    @classmethod
    def of_training(cls, networks: Path, config: dict[str, Any]) -> Stylizer:
        """Return a state that the trainer kept as the model of a package of the same training, for scoring alone.

        Args:
            networks: a file of networks, as the train stage writes it.
            config: the package's.

        Raises:
            ValueError: a weight is not finite.
        """
        network = build_network(config["network"])
        network.load_state_dict(generator_weights(networks))
        return cls(network, config, "", torch.device("cpu"))

    def __call__(
        self,
        image: Image.Image,
        *,
        strength: float = 1.0,
        preserve_color: bool = False,
        reverse: bool = False,
        scale: float = 1.0,
    ) -> Image.Image:
        """Return the painting of an RGB picture, in the picture's size.

        Args:
            image: any size; it is painted with a short side of 1 to 1.4 times the side the model learnt at, so that
                strokes have the share of it that they had in training, and its edges guide the painting to full size.
            strength: 0 gives the picture back, 1 the painting.
            preserve_color: keep the picture's colours and take only light and strokes from the painting.
            reverse: go from painting to photograph instead.
            scale: 2 paints with brushes half as wide, and so on, up to the picture's own size.

        Raises:
            ValueError: `strength` or `scale` is out of range, or the model did not learn the way back.
        """
        check_strength(strength), check_scale(scale), self._network(reverse)
        image = image if image.mode == "RGB" else image.convert("RGB")
        if strength == 0:
            return image.copy()
        small, painting = self._painted(image, scale, reverse)
        # On the way back the picture's finest detail is paint, which is just what has to go.
        detail = not reverse
        return finish(image, small, painting, strength=strength, preserve_color=preserve_color, detail=detail)

    @torch.inference_mode()
    def paint_tensor(self, photos: Tensor, reverse: bool = False) -> Tensor:
        """Return paintings (N, 3, H, W) in [-1, 1] of photographs in [-1, 1], of any H and W.

        Raises:
            ValueError: with `reverse`, photographs are asked of a model that only paints.
        """
        padded, (height, width) = _pad(photos.to(self.device), self.config["multiple"])
        padded = padded.to(memory_format=torch.channels_last)
        painted: Tensor = self._network(reverse)(padded)
        return painted[..., :height, :width]

    def _network(self, reverse: bool) -> nn.Module:
        if not reverse:
            return self.network
        if self.reverse is None:
            raise ValueError(
                f"the model {self.config['recipe']} (method {self.config['method']}) paints photographs, and has not "
                f"learnt the way back; train a recipe with `method: cyclegan` for that"
            )
        return self.reverse

    def _painted(self, image: Image.Image, scale: float, reverse: bool) -> tuple[Image.Image, Image.Image]:
        """Return a picture at the size that it was painted at, and its painting."""
        small = _resized(image, working_size(image.size, self.config["view"], scale))
        painting = self._paint(small, reverse)
        for size in [] if reverse else layer_sizes(small.size, image.size):
            finer = _resized(image, size)
            painting, small = laid_over(small, painting, finer, self._paint(finer, reverse)), finer
        return small, painting

    def _paint(self, small: Image.Image, reverse: bool) -> Image.Image:
        if small.width * small.height <= tiles.WHOLE:
            return to_image(self.paint_tensor(to_tensor(small)[None], reverse)[0])
        return tiles.paint(self._network(reverse), small, self.config["multiple"], self.device)


def open_package(package: Path, task: Task, expected: str | None = None) -> tuple[dict[str, Any], str]:
    """Return config and digest of a package folder, after checking every file against its manifest.

    Args:
        package: folder made by the package stage.
        task: what the package must be for.
        expected: the package digest it must have, recorded outside of the folder.

    Raises:
        ValueError: a file is missing or changed, the package is not the expected one, or is for another task.
    """
    digest = verify_package(package, expected)
    config = read_config(package)
    require_task(f"the package {package}", task_of(config), task)
    return config, digest


def load_network(package: Path, config: Mapping[str, Any], name: str = "generator") -> nn.Module:
    """Return a network of a package that `open_package` has checked: `generator`, or `reverse` where there is one.

    Raises:
        ValueError: this version builds the network with other layers than the package's has.
    """
    network, weights = build_network(config["network"]), load_file(package / f"{name}.safetensors")
    wanted = {key: value.shape for key, value in network.state_dict().items()}
    if wanted != {key: value.shape for key, value in weights.items()}:
        raise ValueError(
            f"the {name} of package {package} has other layers than this version gives a "
            f"{config['network']['name']!r}: an older or newer version made it. Use it with that version's code, or "
            f"train anew and let a person promote the result (`atelier promote`): the two cannot be scored together"
        )
    network.load_state_dict(weights)
    return network


def task_of(config: Mapping[str, Any]) -> str:
    """Return what a package of this config is for; those of before there were others say nothing of it."""
    return str(config.get("task", "stylize"))


def build_network(description: dict[str, Any]) -> nn.Module:
    """Return the network that a package's config describes, with fresh weights.

    Raises:
        ValueError: its class is unknown here.
    """
    name = description["name"]
    if name not in NETWORKS:
        raise ValueError(f"the package holds a {name!r} network; this version knows {', '.join(NETWORKS)}")
    return NETWORKS[name](**description["arguments"])


def read_config(package: Path) -> dict[str, Any]:
    """Return the config of a package folder.

    Raises:
        ValueError: the folder holds none.
    """
    if not (package / "config.json").is_file():
        raise ValueError(f"{package} is no model package: it has no config.json")
    config: dict[str, Any] = read_json(package / "config.json")
    return config


def generator_weights(path: Path, name: str = "generator") -> dict[str, Tensor]:
    """Return an averaged network's weights from a file of the trainer's.

    Raises:
        ValueError: a weight is not finite.
    """
    prefix = f"{name}."
    with np.load(path, allow_pickle=False) as arrays:
        weights = {
            key.removeprefix(prefix): torch.from_numpy(arrays[key]) for key in arrays.files if key.startswith(prefix)
        }
    for key, weight in weights.items():
        if not torch.isfinite(weight).all():
            raise ValueError(
                f"weight {prefix}{key} of {path} is not finite: the training failed; lower train.learning_rate"
            )
    return weights


def verify_package(package: Path, expected: str | None = None) -> str:
    """Return the digest of a package folder whose files all match its manifest.

    Raises:
        ValueError: a file is missing or changed, or the digest is not `expected`.
    """
    manifest_file = package / "manifest.json"
    if not manifest_file.is_file():
        raise ValueError(f"{package} is no model package: it has no manifest.json")
    manifest = read_json(manifest_file)
    for name, digest in manifest["files"].items():
        path = package / name
        if not path.is_file():
            raise ValueError(f"package {package} lacks {name}; build or fetch it again")
        if sha256_file(path) != digest:
            raise ValueError(f"{path} does not match the package's manifest; build or fetch the package again")
    digest = package_digest(manifest)
    if digest != manifest["package"] or (expected is not None and digest != expected):
        raise ValueError(f"package {package} has digest {digest[:12]}, not {(expected or manifest['package'])[:12]}")
    return digest


def package_digest(manifest: dict[str, Any]) -> str:
    """Return the digest that names a package: over the digests of its files and of what it was made from."""
    return digest_json({key: manifest[key] for key in ("format", "files", "digests")})


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)


def _ready(network: nn.Module, device: torch.device) -> nn.Module:
    """Return a network for use; channels-last convolutions take two thirds of the time (benchmarks/inference.py)."""
    return network.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)  # type: ignore[call-overload,no-any-return]


def _pad(photos: Tensor, multiple: int) -> tuple[Tensor, tuple[int, int]]:
    """Extend bottom and right to multiples that the network can halve; edges repeat, so that any size works."""
    height, width = photos.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    smallest = 4 * multiple  # reflection inside of the network needs a few pixels at its lowest resolution
    bottom = max(bottom, smallest - height)
    right = max(right, smallest - width)
    return F.pad(photos, (0, right, 0, bottom), mode="replicate"), (height, width)
