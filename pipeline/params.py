"""params.yaml -> frozen dataclasses. Every key is required, every value is checked, and a mistake is named.

There are no defaults in code: what is not in params.yaml would be invisible to DVC.
"""

from __future__ import annotations

import copy
import json
import typing
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias

from pipeline.catalogue import METHODS

Tree = dict[str, Any]


@dataclass(frozen=True)
class Between:
    """An inclusive range, written beside a number's type."""

    low: float
    high: float


Adversarial: TypeAlias = Literal["minimax", "non_saturating", "lsgan", "hinge"]
"""The adversarial losses by name, see `pipeline.losses`."""

Weight: TypeAlias = Annotated[float, Between(0, 1000)]
"""Weight of a loss; 0 leaves it out."""


@dataclass(frozen=True)
class Transform:
    """One albumentations transform: its name and its arguments."""

    name: str
    args: dict[str, Any]


@dataclass(frozen=True)
class Augment:
    """Transforms of each domain, applied in order to make one stored crop."""

    paintings: tuple[Transform, ...]
    photos: tuple[Transform, ...]


@dataclass(frozen=True)
class Archives:
    """How much a zip or tar file may unpack to."""

    max_members: Annotated[int, Between(1, 10_000_000)]
    max_bytes: Annotated[int, Between(10_000, 10_000_000_000_000)]  # unpacked, of all members
    max_ratio: Annotated[float, Between(2, 100_000)]  # unpacked bytes / packed bytes
    max_seconds: Annotated[float, Between(1, 1_000_000)]


@dataclass(frozen=True)
class Ingest:
    """What is accepted into a collection, and what is refused."""

    min_side: Annotated[int, Between(16, 4096)]  # px
    max_pixels: Annotated[int, Between(10_000, 1_000_000_000)]
    max_bytes: Annotated[int, Between(10_000, 10_000_000_000)]
    max_aspect: Annotated[float, Between(1, 100)]  # long side / short side
    quiet_seconds: Annotated[float, Between(0, 86_400)]  # a file younger than this is still arriving
    executor: Literal["processes", "inline"]
    workers: Annotated[int, Between(0, 4096)]  # 0: one a core
    decode_seconds: Annotated[float, Between(0.1, 86_400)]  # of one file; beyond it the file is refused
    decoder_memory_mb: Annotated[int, Between(256, 1_000_000)]  # of one worker, above what it starts with
    archives: Archives
    duplicate_distance: Annotated[int, Between(0, 32)]  # bits of 64 in which near duplicates may differ
    test_share: Annotated[float, Between(0.05, 0.5)]
    min_photos: Annotated[int, Between(4, 100_000)]  # fewer than this and nothing is trained
    min_artworks: Annotated[int, Between(2, 100_000)]
    warm_start: str  # what the recipe of a new style begins with


@dataclass(frozen=True)
class Prepare:
    """How images become crops."""

    crop: Annotated[int, Between(32, 2048)]  # side of a stored crop, px
    crops_per_image: Annotated[int, Between(1, 256)]
    crop_borders: bool  # leave out the uniform borders and frames that ingestion found
    view: Annotated[int, Between(32, 2048)]  # side of the square views that are held out for evaluation, px
    augment: Augment


@dataclass(frozen=True)
class Collapse:
    """When the watch of `pipeline.collapse` alarms, and what happens then."""

    action: Literal["warn", "rollback", "stop"]
    after: Annotated[int, Between(0, 10_000_000)]  # steps behind the warm-up before a watch counts
    patience: Annotated[int, Between(1, 1000)]  # watches in a row beyond a limit
    min_diversity: Annotated[float, Between(0, 10)]  # of the outputs' compositions; 1: as diverse as the photographs
    min_change: Annotated[float, Between(0, 1)]  # of a pixel on average; 1: from black to white
    min_light: Annotated[float, Between(-1, 1)]  # correlation of luminance with the photograph's
    max_accuracy: Annotated[float, Between(0.5, 1)]  # of the discriminator since the last watch; 1: never too much


@dataclass(frozen=True)
class Converged:
    """When training ends before its last step: at a watch of which nothing better came for a while."""

    window: Annotated[int, Between(0, 1000)]  # watches without an improvement; 0: train all steps
    tolerance: Annotated[float, Between(0, 1)]  # a better validation counts if it is lower by this share


@dataclass(frozen=True)
class Train:
    """The loop, whatever the method."""

    steps: Annotated[int, Between(1, 10_000_000)]  # the schedule, hence the result
    batch: Annotated[int, Between(1, 4096)]
    crop: Annotated[int, Between(16, 2048)]  # side of the random crop of a stored crop, px
    learning_rate: Annotated[float, Between(1e-7, 1.0)]
    beta1: Annotated[float, Between(0, 0.999)]
    beta2: Annotated[float, Between(0, 0.99999)]
    decay_from: Annotated[float, Between(0, 1)]  # share of the steps after which the rate falls linearly to 0
    ema: Annotated[float, Between(0, 0.99999)]  # decay of the averaged generator
    device: Literal["auto", "cpu", "cuda"]
    require_device: Literal["any", "cpu", "cuda"]  # refuse to train on another
    processes: Annotated[int, Between(1, 1024)]  # on this machine, one a GPU; each with `batch` images a step
    precision: Literal["auto", "fp32", "bf16"]  # what networks compute in; auto: bf16 on CUDA devices that have it
    compile: bool  # with torch.compile: the first steps take long, the others are faster on a GPU
    threads: Annotated[int, Between(1, 256)]  # CPU threads; part of what makes a CPU result reproducible
    max_minutes: Annotated[float, Between(0.01, 100_000)]  # stops with an error and keeps the checkpoint
    stall_minutes: Annotated[float, Between(0.01, 100_000)]  # without a step: the process starts itself again, once
    log_every: Annotated[int, Between(1, 100_000)]
    sample_every: Annotated[int, Between(1, 1_000_000)]
    watch_every: Annotated[int, Between(1, 1_000_000)]  # looks at a fixed panel, see `pipeline.collapse`
    collapse: Collapse
    converged: Converged
    package: Literal["last", "best"]  # networks: those of the last step, or of the best watch
    checkpoint_every: Annotated[int, Between(1, 1_000_000)]  # also where a rollback goes back to
    keep_checkpoints: Annotated[int, Between(1, 100)]
    max_bad_steps: Annotated[int, Between(1, 100_000)]  # in a row, with losses or gradients that are not finite
    rollback_rate: Annotated[float, Between(0.001, 1)]  # what a rollback multiplies the learning rate by
    max_rollbacks: Annotated[int, Between(0, 100)]  # then training stops, and keeps its checkpoint


@dataclass(frozen=True)
class Generator:
    """ResNet generator."""

    channels: Annotated[int, Between(4, 512)]  # after the first convolution
    blocks: Annotated[int, Between(1, 32)]
    downsamplings: Annotated[int, Between(1, 4)]
    antialias: bool  # blur-pooled down- and upsampling; else strided and nearest
    detail: bool  # full-resolution features of the first layer join the last one
    norm: Literal["channel", "instance"]  # behind the encoder


@dataclass(frozen=True)
class Discriminator:
    """PatchGAN discriminator."""

    channels: Annotated[int, Between(4, 512)]
    layers: Annotated[int, Between(1, 6)]
    spectral_norm: bool
    scale: Annotated[float, Between(0.01, 1000)]  # of the scores


@dataclass(frozen=True)
class StatisticsWeights:
    """Weights of the losses that need no network, of the painting of a photograph."""

    texture: Weight
    palette: Weight
    contrast: Weight
    structure: Weight
    calm: Weight
    chroma: Weight
    smoothness: Weight


@dataclass(frozen=True)
class CutWeights(StatisticsWeights):
    """Weights of the generator's losses."""

    gan: Weight
    nce: Weight
    identity: Weight  # L1 between a painting and what becomes of it
    nce_identity: Weight  # PatchNCE between the two


@dataclass(frozen=True)
class Cut:
    """Contrastive unpaired translation; CUT and FastCUT differ in their settings alone."""

    generator: Generator
    discriminator: Discriminator
    gan: Adversarial
    warmup_steps: Annotated[int, Between(0, 1_000_000)]  # L1 to the photograph alone
    flip_equivariance: bool  # half of the steps paint mirrored photographs; PatchNCE compares unmirrored features
    nce_layers: tuple[str, ...]  # feature levels that PatchNCE compares, see `networks.generators.level_names`
    nce_patches: Annotated[int, Between(1, 65_536)]  # of each level
    nce_negatives: Literal["internal", "external"]  # other patches of the same image | of the whole batch
    nce_features: Annotated[int, Between(4, 4096)]
    nce_temperature: Annotated[float, Between(0.001, 10)]
    weights: CutWeights


@dataclass(frozen=True)
class CycleGanWeights(StatisticsWeights):
    """Weights of the generators' losses; those of `gan`, `cycle` and `identity` hold in both directions."""

    gan: Weight
    cycle: Weight
    identity: Weight  # times `cycle`


@dataclass(frozen=True)
class CycleGan:
    """Cycle-consistent translation, both ways."""

    generator: Generator
    discriminator: Discriminator
    gan: Adversarial
    pool: Annotated[int, Between(0, 100_000)]  # earlier outputs of each generator, for its discriminator; 0: none
    weights: CycleGanWeights


@dataclass(frozen=True)
class AdainEncoder:
    """What sees photographs and references."""

    kind: Literal["auto", "vgg16", "own"]  # auto: VGG16 where its weights are at hand when training begins, else own
    channels: Annotated[int, Between(2, 512)]  # of its own, at full resolution; doubled at each level
    levels: Annotated[int, Between(2, 5)]  # of its own


@dataclass(frozen=True)
class AdainWeights(StatisticsWeights):
    """Weights of the generator's losses; those of the statistics are of each output and its own reference."""

    gan: Weight
    content: Weight
    style: Weight
    identity: Weight  # L1 between a picture and what is drawn of its own features


@dataclass(frozen=True)
class Adain:
    """Style transfer from any reference."""

    encoder: AdainEncoder
    discriminator: Discriminator
    gan: Adversarial
    warmup_steps: Annotated[int, Between(0, 1_000_000)]  # in which its own encoder is trained; 0: it stays random
    weights: AdainWeights


@dataclass(frozen=True)
class DcganGenerator:
    """Transposed convolutions."""

    channels: Annotated[int, Between(2, 512)]  # before the last layer, doubled at each halving of the side


@dataclass(frozen=True)
class DcganDiscriminator:
    """Strided convolutions."""

    channels: Annotated[int, Between(2, 512)]  # after the first layer, doubled at each halving of the side
    normalise: Literal["batch", "spectral", "none"]
    scale: Annotated[float, Between(0.01, 1000)]  # of the scores


@dataclass(frozen=True)
class DcganWeights:
    """Weights of the generator's losses; all but the first need no network and are not in the paper."""

    gan: Weight
    texture: Weight
    palette: Weight
    contrast: Weight


@dataclass(frozen=True)
class Dcgan:
    """Images out of noise."""

    side: Literal[8, 16, 32, 64, 128]  # px of the images; train.crop at least
    latent: Annotated[int, Between(1, 4096)]
    generator: DcganGenerator
    discriminator: DcganDiscriminator
    gan: Adversarial
    r1: Annotated[float, Between(0, 1000)]  # gamma of R1; 0: none
    weights: DcganWeights


@dataclass(frozen=True)
class Information:
    """How much it counts that the codes can be read off an image: lambda of InfoGAN."""

    categorical: Weight
    continuous: Weight


@dataclass(frozen=True)
class Infogan(Dcgan):
    """DCGAN with codes beside the noise, which can be read off its images."""

    categories: tuple[int, ...]  # of each categorical code, 2 or more
    continuous: Annotated[int, Between(0, 64)]  # codes from -1 to 1
    recogniser: Annotated[int, Between(4, 4096)]  # hidden features of the head that reads the codes
    information: Information


@dataclass(frozen=True)
class Unet:
    """U-Net of pix2pix."""

    channels: Annotated[int, Between(2, 512)]  # of the first layer, doubled up to 8 times
    depth: Annotated[int, Between(2, 10)]  # halvings; 8 bring 256 px down to 1
    norm: Literal["batch", "instance", "channel", "none"]
    dropout: Annotated[float, Between(0, 0.9)]  # in the three lowest layers of the decoder, while training; 0: none
    residual: bool  # the network corrects a first guess (holes filled smoothly, bicubic); else it draws from nothing


@dataclass(frozen=True)
class Damage:
    """How badly artworks are damaged at most; each is drawn anew for every crop."""

    sizes: tuple[str, ...]  # of holes, see `pipeline.damage.masks.SIZES`
    scratches: Annotated[int, Between(0, 16)]  # of `restore`, a picture
    stains: Annotated[int, Between(0, 8)]  # of `restore`, a picture
    fading: Annotated[float, Between(0, 1)]  # share of contrast and of colour that is lost
    blur: Annotated[float, Between(0, 8)]  # deviation, px of the picture before it is reduced
    noise: Annotated[float, Between(0, 64)]  # deviation, 8-bit levels
    quality: Annotated[int, Between(5, 100)]  # least of JPEG; 100: it is not compressed


@dataclass(frozen=True)
class Pix2PixWeights:
    """Weights of the generator's losses."""

    gan: Weight
    l1: Weight


@dataclass(frozen=True)
class Pix2Pix:
    """Conditional GAN that undoes damage."""

    task: Literal["inpaint", "restore", "super_resolution"]
    scale: Literal[2, 4]  # of super_resolution
    generator: Unet
    discriminator: Discriminator
    gan: Adversarial
    damage: Damage
    weights: Pix2PixWeights


@dataclass(frozen=True)
class StyleMapping:
    """Noise to the latents of StyleGAN2."""

    layers: Annotated[int, Between(1, 32)]
    rate: Annotated[float, Between(1e-5, 1)]  # of its learning, in parts of train.learning_rate


@dataclass(frozen=True)
class StyleGenerator:
    """Skip generator."""

    channels: Annotated[int, Between(2, 512)]  # at the full side, doubled at each halving
    most: Annotated[int, Between(2, 4096)]  # channels at any side


@dataclass(frozen=True)
class StyleDiscriminator:
    """Residual discriminator."""

    channels: Annotated[int, Between(2, 512)]  # at the full side, doubled at each halving
    most: Annotated[int, Between(2, 4096)]  # channels at any side
    group: Annotated[int, Between(1, 64)]  # images whose deviation it sees; train.batch must be a multiple


@dataclass(frozen=True)
class AdaptiveAugmentation:
    """Adaptive discriminator augmentation."""

    kinds: tuple[Literal["blit", "geometry", "colour"], ...]  # of changes; [] for none
    target: Annotated[float, Between(0, 1)]  # of the mean sign of the discriminator's answers to paintings
    every: Annotated[int, Between(1, 10_000)]  # steps from one change of p to the next
    images: Annotated[int, Between(1, 1_000_000_000)]  # in which p goes from 0 to 1


@dataclass(frozen=True)
class Stylegan2:
    """Images out of noise, in styles."""

    side: Literal[8, 16, 32, 64, 128, 256, 512, 1024]  # px of the images; train.crop at least
    latent: Annotated[int, Between(1, 4096)]  # numbers of z, and of w
    mapping: StyleMapping
    generator: StyleGenerator
    discriminator: StyleDiscriminator
    gan: Adversarial
    mixing: Annotated[float, Between(0, 1)]  # probability that an image is of two latents
    r1: Annotated[float, Between(0, 1000)]  # gamma of R1 in parts of side ** 2 / batch; 0: none
    r1_every: Annotated[int, Between(1, 10_000)]  # steps; the term is multiplied by as many
    path_length: Weight
    path_every: Annotated[int, Between(1, 10_000)]  # steps; the term is multiplied by as many
    ada: AdaptiveAugmentation


@dataclass(frozen=True)
class Judge:
    """The frozen judge of a style, see `pipeline.judge`."""

    steps: Annotated[int, Between(1, 1_000_000)]
    batch: Annotated[int, Between(2, 4096)]  # paintings a step, and as many photographs
    channels: Annotated[int, Between(2, 512)]  # after the first convolution
    learning_rate: Annotated[float, Between(1e-6, 1)]


@dataclass(frozen=True)
class Evaluate:
    """How a package is scored."""

    max_images: Annotated[int, Between(2, 100_000)]  # held-out images used of each collection
    patches: Annotated[int, Between(8, 100_000)]  # per image and pyramid level
    directions: Annotated[int, Between(4, 4096)]  # projections of the sliced Wasserstein distance
    levels: Annotated[int, Between(1, 6)]  # of the pyramid
    bootstrap: Annotated[int, Between(20, 100_000)]  # resamples behind an interval
    features: Literal["auto", "inception", "vgg16", "judge"]  # of kernel distances
    samples: Annotated[int, Between(2, 100_000)]  # images of a model that makes them out of noise
    coded: Annotated[int, Between(16, 1_000_000)]  # images of which the codes are read, of a model that has codes
    gallery: Annotated[int, Between(1, 200)]  # before/after pairs in the report


@dataclass(frozen=True)
class SeedNoise:
    """How much a figure may be worse than the champion's before it counts: another seed makes as much difference."""

    style: Annotated[float, Between(0, 1)]  # style/patch_swd
    texture: Annotated[float, Between(0, 1)]  # style/texture_swd
    structure: Annotated[float, Between(0, 1)]  # content/structure
    psnr: Annotated[float, Between(0, 10)]  # restored/psnr, dB
    ssim: Annotated[float, Between(0, 1)]  # restored/ssim


@dataclass(frozen=True)
class Gate:
    """What a model must show to be promoted. No stage depends on it."""

    mode: Literal["not_worse", "better", "manual"]
    min_gap_closed: Annotated[float, Between(0, 1)]  # of the way from Lab transfer to held-out paintings
    min_structure: Annotated[float, Between(0, 1)]
    min_spread: Annotated[float, Between(0, 1)]  # diversity of images out of noise; 1: as the paintings
    seed_noise: SeedNoise
    min_photographs: Annotated[int, Between(2, 100_000)]  # held out; fewer cannot carry an interval
    min_paintings: Annotated[int, Between(2, 100_000)]


@dataclass(frozen=True)
class Retrain:
    """When and under which limits the flow runs."""

    cron: str
    timezone: str
    stage_timeout_minutes: Annotated[float, Between(0.05, 100_000)]
    poll_seconds: Annotated[float, Between(0.1, 86_400)]  # the inbox sensor
    commit: bool  # commit data and lock files of what was built, and tag the version


@dataclass(frozen=True)
class Prune:
    """How long what nothing names is kept; nothing that an alias or a git tag names is ever pruned."""

    versions: Annotated[int, Between(1, 1_000_000)]  # newest of each model that are kept besides
    checkpoints_days: Annotated[float, Between(0, 100_000)]
    runs_days: Annotated[float, Between(0, 100_000)]  # of MLflow's, without a version
    logs_days: Annotated[float, Between(0, 100_000)]
    dvc_cache: bool  # drop what neither the workspace nor any branch or tag needs


@dataclass(frozen=True)
class Serve:
    """What `atelier serve` and `atelier studio` listen on, and how much they take at once."""

    host: str  # an address other than loopback demands a token
    port: Annotated[int, Between(0, 65535)]  # 0: a free one
    max_bytes: Annotated[int, Between(10_000, 1_000_000_000)]  # of one upload
    max_pixels: Annotated[int, Between(10_000, 500_000_000)]  # of one picture
    max_references: Annotated[int, Between(1, 64)]  # that one picture is painted after
    at_once: Annotated[int, Between(1, 256)]  # pictures that are opened and painted at the same time
    waiting: Annotated[int, Between(0, 10_000)]  # pictures that may wait for it; the next one is told to come again
    upload_seconds: Annotated[float, Between(0.1, 86_400)]  # within which an upload has arrived
    decode_seconds: Annotated[float, Between(0.1, 86_400)]  # within which one picture is opened
    decoder_memory_mb: Annotated[int, Between(256, 1_000_000)]  # of one decoder, above what it starts with
    paint_seconds: Annotated[float, Between(0.1, 86_400)]  # for painting one picture, and for waiting before
    poll_seconds: Annotated[float, Between(0.01, 86_400)]  # between two looks at the registry
    prefect: str  # address of Prefect's pages, which the studio links to
    mlflow: str  # address of MLflow's pages


@dataclass(frozen=True)
class Weights:
    """Local files of pretrained weights; empty means torchvision's cache, if it is filled."""

    vgg16: str
    inception: str


@dataclass(frozen=True)
class Params:
    """All of params.yaml."""

    seed: Annotated[int, Between(0, 2**31 - 1)]
    ingest: Ingest
    prepare: Prepare
    train: Train
    cut: Cut
    fastcut: Cut
    cyclegan: CycleGan
    adain: Adain
    dcgan: Dcgan
    pix2pix: Pix2Pix
    stylegan2: Stylegan2
    infogan: Infogan
    judge: Judge
    evaluate: Evaluate
    gate: Gate
    retrain: Retrain
    prune: Prune
    serve: Serve
    weights: Weights

    def tree(self) -> Tree:
        """Return plain values, as in the file."""
        return asdict(self)


OVERRIDABLE = ("seed", "train", *METHODS, "evaluate")


def read_tree(path: Path) -> Tree:
    """Return the mapping in a YAML (or JSON) file.

    Raises:
        ValueError: it is missing, unreadable or not a mapping.
    """
    if not path.is_file():
        raise ValueError(f"{path} is missing; restore it with `git checkout {path.name}`")
    text = path.read_text()
    if path.suffix == ".json":
        tree = json.loads(text)
    else:
        # Here and not above: the training core must import without PyYAML (it can read .json instead).
        import yaml

        try:
            tree = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise ValueError(f"{path} must hold a mapping, not {type(tree).__name__}")
    return tree


def merge(base: Mapping[str, Any], overlay: Mapping[str, Any], where: str = "") -> Tree:
    """Return `base` with the values of `overlay`, mapping by mapping; lists and scalars are replaced.

    Raises:
        ValueError: `overlay` has a key that `base` lacks.
    """
    merged = copy.deepcopy(dict(base))
    for key, value in overlay.items():
        name = f"{where}{key}"
        if key not in merged:
            raise ValueError(f"unknown key {name!r}; known here: {', '.join(map(str, merged))}")
        both = isinstance(value, Mapping) and isinstance(merged[key], Mapping)
        merged[key] = merge(merged[key], value, f"{name}.") if both else copy.deepcopy(value)
    return merged


def load_params(path: Path, overrides: Mapping[str, Any] | None = None) -> Params:
    """Return the checked parameters of `path`, with a recipe's `overrides` on top.

    Raises:
        ValueError: a key is missing or unknown, or a value has the wrong type or is out of range.
    """
    tree = read_tree(path)
    try:
        return parse(merge(tree, overrides or {}))
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def parse(tree: Mapping[str, Any]) -> Params:
    """Return checked parameters from plain values.

    Raises:
        ValueError: see `load_params`.
    """
    params: Params = _parse_dataclass(Params, tree, "")
    _check_together(params)
    return params


def _check_together(params: Params) -> None:
    if params.train.crop > params.prepare.crop:
        raise ValueError(
            f"train.crop is {params.train.crop} px but stored crops have {params.prepare.crop} px; "
            f"set train.crop to {params.prepare.crop} or less, or raise prepare.crop"
        )


def check_method(params: Params, method: str) -> None:
    """Return when parameters suit a method; of the methods that no recipe uses, nothing is asked.

    Raises:
        ValueError: what does not, and what to set.
    """
    _CHECKS[method](params)


def _check_contrastive(name: str, cut: Cut, train: Train) -> None:
    if cut.warmup_steps >= train.steps:
        raise ValueError(
            f"{name}.warmup_steps is {cut.warmup_steps} but train.steps is only {train.steps}; "
            f"set {name}.warmup_steps below it"
        )
    known = ["image", "stem", *(f"down{i + 1}" for i in range(cut.generator.downsamplings))]
    known += [*(f"block{i + 1}" for i in range(cut.generator.blocks)), "middle", "end"]
    wrong = [level for level in cut.nce_layers if level not in known]
    if wrong or not cut.nce_layers or len(set(cut.nce_layers)) < len(cut.nce_layers):
        what = f"names {wrong[0]!r}" if wrong else "names none" if not cut.nce_layers else "names one twice"
        raise ValueError(f"'{name}.nce_layers' {what}; choose each once of those there are: {', '.join(known)}")
    _check_crop(name, cut.generator, train)


def _check_adain(adain: Adain, train: Train) -> None:
    if adain.warmup_steps >= train.steps:
        raise ValueError(
            f"adain.warmup_steps is {adain.warmup_steps} but train.steps is only {train.steps}; "
            f"set adain.warmup_steps below it"
        )
    multiple = 8 if adain.encoder.kind == "vgg16" else 2 ** (adain.encoder.levels - 1)
    if train.crop % multiple or train.crop < 2 * multiple:
        side = max(train.crop // multiple, 2) * multiple
        raise ValueError(
            f"train.crop is {train.crop}, but the encoder of adain halves it to a {multiple}th; set it to {side}"
        )


def _check_crop(name: str, generator: Generator, train: Train) -> None:
    multiple = 2**generator.downsamplings
    if train.crop % multiple:
        raise ValueError(
            f"train.crop is {train.crop}, which is no multiple of {multiple} (2 ** {name}.generator.downsamplings); "
            f"set it to {train.crop // multiple * multiple}"
        )


def _check_dcgan(name: str, dcgan: Dcgan, train: Train) -> None:
    if dcgan.side > train.crop:
        raise ValueError(
            f"{name}.side is {dcgan.side} px but crops for training have {train.crop} px; "
            f"set {name}.side to {train.crop} or less, or raise train.crop"
        )
    if dcgan.r1 and train.compile:
        raise ValueError(
            f"{name}.r1 differentiates a gradient, which compiled networks cannot; set train.compile to false or "
            f"{name}.r1 to 0"
        )


def _check_infogan(infogan: Infogan, train: Train) -> None:
    _check_dcgan("infogan", infogan, train)
    if any(count < 2 for count in infogan.categories):
        raise ValueError(
            f"infogan.categories is {list(infogan.categories)}; a categorical code needs 2 categories or more"
        )
    if not infogan.categories and not infogan.continuous:
        raise ValueError(
            "infogan.categories is empty and infogan.continuous is 0: there is no code to reveal; give one, "
            "or use the method dcgan"
        )


_SIZES = ("fine", "medium", "large")  # as in `damage.masks`


def _check_pix2pix(pix2pix: Pix2Pix, params: Params) -> None:
    sizes = pix2pix.damage.sizes
    wrong = [size for size in sizes if size not in _SIZES]
    if wrong or not sizes or len(set(sizes)) < len(sizes):
        what = f"names {wrong[0]!r}" if wrong else "names none" if not sizes else "names one twice"
        raise ValueError(f"'pix2pix.damage.sizes' {what}; choose each once of {', '.join(_SIZES)}")
    if pix2pix.task == "super_resolution":
        for name, side in (("train.crop", params.train.crop), ("prepare.view", params.prepare.view)):
            if side % pix2pix.scale:
                raise ValueError(
                    f"{name} is {side}, which is no multiple of pix2pix.scale ({pix2pix.scale}); "
                    f"set it to {side // pix2pix.scale * pix2pix.scale}"
                )


def _check_stylegan2(own: Stylegan2, train: Train) -> None:
    if own.side > train.crop:
        raise ValueError(
            f"stylegan2.side is {own.side} px but crops for training have {train.crop} px; "
            f"set stylegan2.side to {train.crop} or less, or raise train.crop"
        )
    group = own.discriminator.group
    if train.batch % min(group, train.batch):
        raise ValueError(
            f"train.batch is {train.batch}, which is no multiple of the {group} images whose deviation the "
            f"discriminator sees (stylegan2.discriminator.group); set it to {train.batch // group * group}"
        )


_CHECKS: Mapping[str, Callable[[Params], None]] = MappingProxyType(
    {
        "cut": lambda params: _check_contrastive("cut", params.cut, params.train),
        "fastcut": lambda params: _check_contrastive("fastcut", params.fastcut, params.train),
        "cyclegan": lambda params: _check_crop("cyclegan", params.cyclegan.generator, params.train),
        "adain": lambda params: _check_adain(params.adain, params.train),
        "dcgan": lambda params: _check_dcgan("dcgan", params.dcgan, params.train),
        "infogan": lambda params: _check_infogan(params.infogan, params.train),
        "pix2pix": lambda params: _check_pix2pix(params.pix2pix, params),
        "stylegan2": lambda params: _check_stylegan2(params.stylegan2, params.train),
    }
)


def _parse_dataclass(kind: Any, tree: Any, where: str) -> Any:
    if not isinstance(tree, Mapping):
        raise ValueError(f"{where.rstrip('.')!r} must be a mapping, not {tree!r}")
    hints = typing.get_type_hints(kind, include_extras=True)
    known = [item.name for item in fields(kind)]
    for key in tree:
        if key not in known:
            raise ValueError(f"unknown key {where + str(key)!r}; known here: {', '.join(known)}")
    missing = [repr(where + key) for key in known if key not in tree]
    if missing:
        raise ValueError(
            f"missing: {', '.join(missing)}; a newer version brought what is missing: take its lines over from the "
            f"params.yaml of the repository (`git merge`, or `git show` of its main branch)"
        )
    values = {
        item.name: _parse_value(hints[item.name], tree[item.name], f"{where}{item.name}")
        for item in fields(kind)
    }
    return kind(**values)


def _parse_value(kind: Any, value: Any, name: str) -> Any:
    origin = typing.get_origin(kind)
    if origin is Annotated:
        kind, limits = typing.get_args(kind)
        return _in_range(_parse_scalar(kind, value, name), name, limits)
    if is_dataclass(kind):
        return _parse_dataclass(kind, value, f"{name}.")
    if origin is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{name!r} must be a list, not {value!r}")
        inner = typing.get_args(kind)[0]
        return tuple(_parse_value(inner, item, f"{name}[{i}]") for i, item in enumerate(value))
    if origin is Literal:
        choices = typing.get_args(kind)
        if value not in choices:
            raise ValueError(f"{name!r} is {value!r}; choose one of {', '.join(map(repr, choices))}")
        return value
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ValueError(f"{name!r} must be a mapping, not {value!r}")
        return dict(value)
    return _parse_scalar(kind, value, name)


def _parse_scalar(kind: Any, value: Any, name: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        hint = " (YAML reads 1e-4 as text: write 1.0e-4)" if kind is float and isinstance(value, str) else ""
        raise ValueError(f"{name!r} is {value!r}, which is not {_KINDS[kind]}{hint}")
    return value


def _in_range(value: Any, name: str, limits: Between) -> Any:
    if not limits.low <= value <= limits.high:  # NaN fails both comparisons, as it should
        raise ValueError(f"{name!r} is {value!r}; it must be between {limits.low} and {limits.high}")
    return value


_KINDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
