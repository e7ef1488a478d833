"""Use a model package: verify it, load it, repaint pictures of any size."""

from __future__ import annotations

import inspect
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
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
from pipeline.networks.adain import AdainGenerator
from pipeline.networks.dcgan import DcganGenerator
from pipeline.networks.generators import ResnetGenerator
from pipeline.networks.infogan import InfoganGenerator, InfoganRecogniser
from pipeline.networks.stylegan2 import StyleGenerator
from pipeline.networks.unet import RestorationGenerator
from pipeline.painting import tiles
from pipeline.painting.finish import finish
from pipeline.painting.layers import laid_over, layer_sizes
from pipeline.painting.options import check_scale, check_strength
from pipeline.painting.quick import quick, use_huge_pages
from pipeline.painting.working import working_size

NETWORKS: dict[str, type[nn.Module]] = {
    "resnet": ResnetGenerator,
    "adain": AdainGenerator,
    "dcgan": DcganGenerator,
    "restoration": RestorationGenerator,
    "stylegan2": StyleGenerator,
    "infogan": InfoganGenerator,
    "infogan_recogniser": InfoganRecogniser,
}

_OTHER_VERSION = (
    "an older or newer version made it. Use it with that version's code, or train anew and let a person promote the "
    "result (`atelier promote`): the two cannot be scored together"
)


class Stylizer:
    """A loaded package: photograph in, painting of the same size out."""

    def __init__(
        self,
        network: nn.Module,
        config: dict[str, Any],
        digest: str,
        device: torch.device,
        reverse: nn.Module | None = None,
        references: Mapping[str, Sequence[Image.Image]] = MappingProxyType({}),
    ) -> None:
        """Wrap a generator, and the one of the way back if there is one; use `load` to get them from a package.

        `references` are pictures of each style that a model has learnt which paints after references.
        """
        self.network = _ready(network, device)
        self.reverse = None if reverse is None else _ready(reverse, device)
        self._painters = tuple(_quickest(each, device) for each in (self.network, self.reverse))
        self.config, self.digest, self.device = config, digest, device
        self.references = references

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
        if device == "cpu":
            use_huge_pages()
        reverse = load_network(package, config, "reverse") if config.get("reverse") else None
        references = {style: read_references(package, style) for style in config.get("styles", ())}
        return cls(load_network(package, config), config, digest, torch.device(device), reverse, references)

    @classmethod
    def of_training(
        cls,
        networks: Path,
        config: dict[str, Any],
        references: Mapping[str, Sequence[Image.Image]] = MappingProxyType({}),
    ) -> Stylizer:
        """Return a state that the trainer kept as the model of a package of the same training, for scoring alone.

        Args:
            networks: a file of networks, as the train stage writes it.
            config: the package's.
            references: the package's.

        Raises:
            ValueError: a weight is not finite.
        """
        network = build_network(config["network"])
        network.load_state_dict(generator_weights(networks))
        return cls(network, config, "", torch.device("cpu"), references=references)

    def __call__(
        self,
        image: Image.Image,
        *,
        strength: float = 1.0,
        preserve_color: bool = False,
        reverse: bool = False,
        scale: float = 1.0,
        reference: Image.Image | Sequence[Image.Image] = (),
        weights: Sequence[float] = (),
        style: str | None = None,
    ) -> Image.Image:
        """Return the painting of an RGB picture, in the picture's size.

        Args:
            image: any size; it is painted with a short side of 1 to 1.4 times the side the model learnt at, so that
                strokes have the share of it that they had in training, and its edges guide the painting to full size.
            strength: 0 gives the picture back, 1 the painting. What lies between is a mixture of pictures; of a model
                that paints after references one of features, as the paper has it.
            preserve_color: keep the picture's colours and take only light and strokes from the painting.
            reverse: go from painting to photograph instead.
            scale: 2 paints with brushes half as wide, and so on, up to the picture's own size.
            reference: the picture, or pictures, after which a model paints that takes references; of any size.
            weights: how much each of several counts; alike without.
            style: instead of references, a style that such a model has learnt: a mixture of its own references.

        Raises:
            ValueError: `strength` or `scale` is out of range, the model did not learn the way back, it needs a
                reference or takes none, or weights and references do not belong together.
        """
        check_strength(strength), check_scale(scale)
        given = [reference] if isinstance(reference, Image.Image) else list(reference)
        code = self.code(given, weights, style)
        network = self._painter(reverse, code, strength)
        image = image if image.mode == "RGB" else image.convert("RGB")
        if strength == 0:
            return image.copy()
        small, painting = self._painted(image, scale, network, layered=not reverse)
        # On the way back the picture's finest detail is paint, which is just what has to go.
        share = strength if code is None else 1.0
        return finish(image, small, painting, strength=share, preserve_color=preserve_color, detail=not reverse)

    @property
    def refers(self) -> bool:
        """Whether the model paints after references."""
        return isinstance(self.network, AdainGenerator)

    @torch.inference_mode()
    def code(
        self, references: Sequence[Image.Image], weights: Sequence[float] = (), style: str | None = None
    ) -> Tensor | None:
        """Return what the model sees in a mixture of references; None where it takes none, and none were given.

        Raises:
            ValueError: the model needs a reference or takes none, both references and a style are named, it has not
                learnt that style, or the weights do not belong to the references.
        """
        if not isinstance(self.network, AdainGenerator):
            if references or weights or style is not None:
                raise ValueError(f"{self._whose} takes no reference: it paints in the one style that it has learnt")
            return None
        if weights and not references:
            raise ValueError("--weight says how much a --reference counts, and none was given: name one for each")
        if style is not None:
            references = self._of_style(style, references)
        shares = _shares(len(references), weights)
        if not references:
            raise ValueError(
                f"{self._whose} paints after reference pictures, and none was given: name some (--reference), or a "
                f"style that it has learnt (--style): {', '.join(self.references)}"
            )
        seen = [self.network.code(self._seen(image), torch.ones(1, device=self.device)) for image in references]
        return torch.stack([share * one for share, one in zip(shares, seen, strict=True)]).sum(0)

    @torch.inference_mode()
    def paint_tensor(
        self, photos: Tensor, reverse: bool = False, code: Tensor | None = None, strength: float = 1.0
    ) -> Tensor:
        """Return paintings (N, 3, H, W) in [-1, 1] of photographs in [-1, 1], of any H and W.

        Args:
            photos: (N, 3, H, W).
            reverse: whether they are paintings, and photographs are wanted.
            code: of the references, for a model that takes them.
            strength: of their style.

        Raises:
            ValueError: with `reverse`, photographs are asked of a model that only paints.
        """
        return self._apply(self._painter(reverse, code, strength), photos)

    @torch.inference_mode()
    def _apply(self, network: nn.Module, photos: Tensor) -> Tensor:
        padded, (height, width) = _pad(photos.to(self.device), self.config["multiple"])
        painted: Tensor = network(padded.to(memory_format=torch.channels_last))
        return painted[..., :height, :width]

    @property
    def _whose(self) -> str:
        return f"the model {self.config['recipe']} (method {self.config['method']})"

    def _of_style(self, style: str, references: Sequence[Image.Image]) -> Sequence[Image.Image]:
        """Return the model's own references of a style."""
        if references:
            raise ValueError("--style and --reference exclude each other: a style brings references of its own")
        if style not in self.references:
            known = ", ".join(self.references) or "none"
            raise ValueError(f"{self._whose} has not learnt the style {style!r}; it knows {known}")
        return self.references[style]

    def _seen(self, reference: Image.Image) -> Tensor:
        """Return a reference (1, 3, H, W) at the size at which paintings were learnt, on the model's device."""
        image = reference.convert("RGB")
        scale = self.config["view"] / min(image.size)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        return to_tensor(image.resize(size, Image.Resampling.LANCZOS))[None].to(self.device)

    def _network(self, reverse: bool) -> nn.Module:
        painter = self._painters[reverse]
        if painter is None:
            raise ValueError(
                f"{self._whose} paints photographs, and has not "
                f"learnt the way back; train a recipe with `method: cyclegan` for that"
            )
        return painter

    def _painter(self, reverse: bool, code: Tensor | None, strength: float) -> nn.Module:
        """Return what takes photographs alone: a network, or one with a code that it paints after."""
        network = self._network(reverse)
        if not isinstance(network, AdainGenerator):
            return network
        assert code is not None
        return network.after(code, strength)

    def _painted(
        self, image: Image.Image, scale: float, network: nn.Module, layered: bool
    ) -> tuple[Image.Image, Image.Image]:
        """Return a picture at the size that it was painted at, and its painting."""
        small = _resized(image, working_size(image.size, self.config["view"], scale))
        painting = self._paint(small, network)
        for size in layer_sizes(small.size, image.size) if layered else []:
            finer = _resized(image, size)
            painting, small = laid_over(small, painting, finer, self._paint(finer, network)), finer
        return small, painting

    def _paint(self, small: Image.Image, network: nn.Module) -> Image.Image:
        if small.width * small.height <= tiles.WHOLE:
            return to_image(self._apply(network, to_tensor(small)[None])[0])
        return tiles.paint(network, small, self.config["multiple"], self.device)


def write_references(pictures: Sequence[Image.Image]) -> bytes:
    """Return square pictures of one size as a JPEG strip, the first at the left: what `read_references` reads."""
    side, stream = pictures[0].height, io.BytesIO()
    strip = Image.new("RGB", (side * len(pictures), side))
    for place, picture in enumerate(pictures):
        strip.paste(picture, (place * side, 0))
    strip.save(stream, "JPEG", quality=95, subsampling=0)
    return stream.getvalue()


def references_file(style: str) -> str:
    """Return the name under which a package holds references of a style."""
    return f"references-{style}.jpg"


def read_references(package: Path, style: str) -> tuple[Image.Image, ...]:
    """Return the references of a style that a package holds."""
    with Image.open(package / references_file(style), formats=["JPEG"]) as stored:
        strip = stored.convert("RGB")
    side = strip.height
    return tuple(strip.crop((left, 0, left + side, side)) for left in range(0, strip.width, side))


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
    """Return a network of a package that `open_package` has checked: `generator`, or one that lies beside it.

    Raises:
        ValueError: this version builds the network with other layers than the package's has.
    """
    description = description_of(config, name)
    network, weights = build_network(description), load_file(package / f"{name}.safetensors")
    wanted = {key: value.shape for key, value in network.state_dict().items()}
    if wanted != {key: value.shape for key, value in weights.items()}:
        raise ValueError(
            f"the {name} of package {package} has other layers than this version gives a "
            f"{description['name']!r}: {_OTHER_VERSION}"
        )
    network.load_state_dict(weights)
    return network


def task_of(config: Mapping[str, Any]) -> str:
    """Return what a package of this config is for; those of before there were others say nothing of it."""
    return str(config.get("task", "stylize"))


def description_of(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what describes a packaged network: its own entry in `beside`, or else it is built as the generator."""
    description: dict[str, Any] = config.get("beside", {}).get(name, config["network"])
    return description


def build_network(description: dict[str, Any]) -> nn.Module:
    """Return the network that a package's config describes, with fresh weights.

    Raises:
        ValueError: its class is unknown here, or takes other arguments.
    """
    name, arguments = description["name"], description["arguments"]
    if name not in NETWORKS:
        raise ValueError(f"the package holds a {name!r} network; this version knows {', '.join(NETWORKS)}")
    if unknown := sorted(set(arguments) - set(inspect.signature(NETWORKS[name]).parameters)):
        raise ValueError(
            f"the package holds a {name!r} network with {', '.join(unknown)}, which this version does not give one: "
            f"{_OTHER_VERSION}"
        )
    return NETWORKS[name](**arguments)


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


def _shares(count: int, weights: Sequence[float]) -> list[float]:
    """Return how much each of some references counts, of sum 1."""
    if weights and len(weights) != count:
        raise ValueError(
            f"there are {len(weights)} weights for {count} references; name one weight for each (--weight), or none"
        )
    given = list(weights) or [1.0] * count
    if any(not math.isfinite(each) or each < 0 for each in given) or (count and not sum(given)):
        told = ", ".join(f"{each:g}" for each in given)
        raise ValueError(f"the weights are {told}; they must be 0 or more, and not all 0")
    return [each / sum(given) for each in given]


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)


def _ready(network: nn.Module, device: torch.device) -> nn.Module:
    """Return a network for use; channels-last convolutions take two thirds of the time (benchmarks/inference.py)."""
    return network.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)  # type: ignore[call-overload,no-any-return]


def _quickest(network: nn.Module | None, device: torch.device) -> nn.Module | None:
    """Return what paints as a network does; on a CPU a twin that is sooner done."""
    return network if network is None or device.type != "cpu" else quick(network)


def _pad(photos: Tensor, multiple: int) -> tuple[Tensor, tuple[int, int]]:
    """Extend bottom and right to multiples that the network can halve; edges repeat, so that any size works."""
    height, width = photos.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    smallest = 4 * multiple  # reflection inside of the network needs a few pixels at its lowest resolution
    bottom = max(bottom, smallest - height)
    right = max(right, smallest - width)
    return F.pad(photos, (0, right, 0, bottom), mode="replicate"), (height, width)
