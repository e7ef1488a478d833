"""Stage: train a style's judge, once. Training crops in; `judges/<style>/` out; no metric that it gives is a loss.

It learns paintings by this hand against photographs, and against photographs made up to look like paintings without
being any: recoloured, blurred, filtered, under noise. dvc.yaml does not make it depend on the collections, so that
new artworks leave it as it is and figures stay comparable; `atelier judge STYLE --renew` trains the next version.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F

from pipeline.data import CropStore, read_index
from pipeline.entry import run_stage
from pipeline.files import sha256_bytes, staged_directory, write_atomic, write_json
from pipeline.observers.facts import FACTS, WEIGHTS
from pipeline.observers.judge import KINDS, WINDOW, StyleJudge, WindowClassifier, build, seen
from pipeline.params import Judge, Params, load_params
from pipeline.progress import Progress
from pipeline.workspace import PHOTOS, Workspace

_SEED = 60_493
_MOST = 128  # px that are read of a stored crop: enough windows, at a cost that the side of a view bounds
_SMOOTHING = 0.05  # of labels: an answer need not be more certain than this
_SCALES = (0.6, 0.9)  # of what brings a stored crop, which shows half to all of a side, to the scale of a view
_LIGHT = 0.2  # how much brightness and contrast may differ, either way
_TUNED, _TUNING_STEPS = 48, 25  # photographs under tuned noise, and the steps of their tuning
_SHARPNESS = (-0.7, 0.9)  # share of the finest detail that is taken away or added


def main(style: str, workspace: Workspace, params: Params) -> Path:
    """Write `judges/<style>/` and return it: the weights, and what they were trained on and are worth.

    Raises:
        ValueError: a collection is not prepared.
    """
    prepared = {PHOTOS: workspace.prepared(PHOTOS), style: workspace.prepared(style)}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the version is the digest of the weights: the same on every machine of a kind
    try:
        networks = train(prepared[style], prepared[PHOTOS], params.judge, f"judge {style}")
    finally:
        torch.set_num_threads(threads)
    weights = {f"{kind}.{name}": value for kind, net in networks.items() for name, value in net.state_dict().items()}
    data = save({name: value.contiguous() for name, value in weights.items()})
    facts: dict[str, Any] = {
        "format": 1,
        "style": style,
        "version": sha256_bytes(data),
        "channels": params.judge.channels,
        "steps": params.judge.steps,
        "trained_on": {name: _images(folder, "train") for name, folder in prepared.items()},
    }
    judge = StyleJudge(networks, facts, facts["version"])
    facts["held_out"] = {name: _rates(judge, folder) for name, folder in prepared.items()}
    with staged_directory(workspace.judge(style)) as folder:
        write_atomic(folder / WEIGHTS, data)
        write_json(folder / FACTS, facts)
    return workspace.judge(style)


def train(paintings: Path, photos: Path, settings: Judge, title: str) -> dict[str, WindowClassifier]:
    """Return trained networks; the same folders and settings give the same weights."""
    index = read_index(paintings)
    works, views = (CropStore.load(folder, torch.device("cpu")) for folder in (paintings, photos))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        networks = build(settings.channels)
    optimisers = {
        kind: torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=0.05)
        for kind, network in networks.items()
    }
    labels = torch.full((2 * settings.batch, 1, 1, 1), _SMOOTHING)
    labels[: settings.batch] = 1 - _SMOOTHING

    def learn(kind: str, images: Tensor, rate: float) -> None:
        answers, _ = networks[kind](seen(images, kind))
        loss = F.binary_cross_entropy_with_logits(answers, labels.expand_as(answers))
        optimisers[kind].param_groups[0]["lr"] = rate
        optimisers[kind].zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it without types
        optimisers[kind].step()

    bar = Progress(title, settings.steps)
    draw = torch.Generator().manual_seed(_SEED)
    side, to_view = min(index["crop"], _MOST), index["view"] / index["crop"]
    tuned = tuned_noise(views.batch(_TUNED, side, draw), works.batch(_TUNED, side, draw), draw)
    # A thread for each network: they share the pictures and nothing else, so the result is the same as in turn.
    with ThreadPoolExecutor(len(networks), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for step in range(settings.steps):
            drawn = torch.cat([store.batch(settings.batch, side, draw) for store in (works, views)])
            real, photo = _sharpened(_scaled(drawn, to_view, draw), draw).chunk(2)
            # Disguised last: resampled or softened noise would be another, and the finest never be learnt.
            fakes = disguised(photo, real, draw)
            fakes = torch.cat([fakes, _some(tuned, len(real) // 4, fakes.shape[-1], draw)])[-len(real) :]
            images = _relit(torch.cat([real, fakes]), draw)
            rate = settings.learning_rate * (1 - step / settings.steps)
            for done in [pool.submit(learn, kind, images, rate) for kind in networks]:
                done.result()
            bar.update(step + 1)
    return networks


def disguised(photos: Tensor, paintings: Tensor, draw: torch.Generator) -> Tensor:
    """Return photographs (N, 3, H, W) of which most are made up: what no judge may take for a painting.

    Half of them take the colours of a painting of the batch; most are, besides, blurred, filtered, under noise of any
    grain, or under noise with the very statistics of a painting.
    """
    result = []
    for number, photo in enumerate(photos):
        recolour, kind, strength, grain = torch.rand(4, generator=draw).tolist()
        image, painting = photo[None], paintings[number % len(paintings)][None]
        if recolour < 0.5:
            image = _recoloured(image, painting)
        if kind < 0.15:
            image = _blurred(image, 1 + round(2 * strength))
        elif kind < 0.3:
            image = _flattened(image, 2 + round(3 * strength))
        elif kind < 0.5:
            image = image + _noise(image, 1 + round(2 * grain), draw) * (0.05 + 0.4 * strength)
        elif kind < 0.8:
            image = image + random_phase(painting, 1 + round(4 * grain), draw) * (0.4 + 1.2 * strength)
        result.append(image.clamp(-1, 1))
    return torch.cat(result)


def tuned_noise(photos: Tensor, paintings: Tensor, draw: torch.Generator) -> Tensor:
    """Return photographs (N, 3, H, W) in paintings' colours, under noise that is tuned to the paintings' statistics.

    Gradient descent on the noise until the Gram matrices of random filters' answers (Gatys et al. 2016, eq. 3-5) are
    those of the painting at hand: what a generator finds that is trained on such statistics alone.
    """
    filters = torch.randn((32, 3, 7, 7), generator=draw) / 12
    target = _gram(paintings, filters)
    base = torch.cat([_recoloured(p[None], q[None]) for p, q in zip(photos, paintings, strict=True)])
    noise = (0.1 * torch.randn(base.shape, generator=draw)).requires_grad_()
    optimiser = torch.optim.Adam([noise], lr=0.03)
    for _ in range(_TUNING_STEPS):
        for start in range(0, len(base), 16):  # bounds memory
            part = slice(start, start + 16)
            loss = ((_gram(base[part] + noise[part], filters) - target[part]) ** 2).sum()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it without types
        optimiser.step()
        optimiser.zero_grad()
    return (base + noise.detach()).clamp(-1, 1)


def _gram(pictures: Tensor, filters: Tensor) -> Tensor:
    answers = F.relu(F.conv2d(pictures, filters)).flatten(2)
    return answers @ answers.transpose(1, 2) / answers.shape[2]


def _some(pictures: Tensor, count: int, side: int, draw: torch.Generator) -> Tensor:
    """Return `count` of the pictures, cut or extended to a side: never resampled, which would soften them."""
    chosen = pictures[torch.randint(len(pictures), (count,), generator=draw)]
    if torch.rand(1, generator=draw) < 0.5:
        chosen = chosen.flip(-1)
    padded = _mirrored(chosen, max(side, chosen.shape[-1]))
    top, left = (int(torch.randint(padded.shape[-1] - side + 1, (1,), generator=draw)) for _ in range(2))
    return padded[..., top : top + side, left : left + side]


def _mirrored(pictures: Tensor, side: int) -> Tensor:
    """Return square pictures extended to a side by mirror images of themselves, as many as it takes."""
    last = pictures.shape[-1] - 1
    place = torch.arange(side) % (2 * last)
    place = torch.where(place > last, 2 * last - place, place)
    return pictures[..., place[:, None], place]


def random_phase(painting: Tensor, radius: int, draw: torch.Generator) -> Tensor:
    """Return noise with the spectrum of a painting's detail (1, 3, H, W), and so with all its linear statistics.

    The painting's Fourier phases are turned by those of white noise, alike in all channels (random phase noise,
    Galerne et al. 2011): what a picture gains that is tuned to Gram matrices or filters' deviations, and no stroke.

    Args:
        painting: (1, 3, H, W).
        radius: px; what is coarser is left out.
        draw: the random stream.
    """
    detail = painting - _blurred(painting, radius)
    white = torch.fft.rfft2(torch.randn((1, 1, *painting.shape[-2:]), generator=draw))
    turned = torch.fft.rfft2(detail) * white / white.abs().clamp_min(1e-6)
    noise: Tensor = torch.fft.irfft2(turned, s=painting.shape[-2:])
    return noise


def _recoloured(image: Tensor, like: Tensor) -> Tensor:
    mean, spread = image.mean(dim=(2, 3), keepdim=True), image.std(dim=(2, 3), keepdim=True)
    to_mean, to_spread = like.mean(dim=(2, 3), keepdim=True), like.std(dim=(2, 3), keepdim=True)
    return (image - mean) / spread.clamp_min(0.02) * to_spread + to_mean


def _blurred(image: Tensor, radius: int) -> Tensor:
    return F.avg_pool2d(F.pad(image, (radius,) * 4, mode="replicate"), 2 * radius + 1, stride=1)


def _flattened(image: Tensor, radius: int) -> Tensor:
    """Return a Kuwahara filter's patches: of four windows that end at a pixel, the mean of the calmest."""
    side = image.shape[-1] + radius
    padded = F.pad(image, (radius,) * 4, mode="replicate")
    mean = F.avg_pool2d(padded, radius + 1, stride=1)
    unrest = (F.avg_pool2d(padded**2, radius + 1, stride=1) - mean**2).sum(dim=1, keepdim=True)
    corners = [(slice(None), slice(None), slice(y, side - radius + y), slice(x, side - radius + x))
               for y in (0, radius) for x in (0, radius)]
    calmest = torch.stack([unrest[corner] for corner in corners]).argmin(dim=0, keepdim=True)
    means = torch.stack([mean[corner] for corner in corners])
    return means.gather(0, calmest.expand(1, *means.shape[1:]))[0]


def _noise(image: Tensor, grain: int, draw: torch.Generator) -> Tensor:
    """Return noise of deviation 1 whose grains have `grain` px, the same in all channels half of the time."""
    _, channels, height, width = image.shape
    if torch.rand(1, generator=draw) < 0.5:
        channels = 1
    small = torch.randn((1, channels, -(-height // grain), -(-width // grain)), generator=draw)
    large = F.interpolate(small, scale_factor=grain, mode="bilinear", align_corners=False)[..., :height, :width]
    return large / large.std()


def _relit(images: Tensor, draw: torch.Generator) -> Tensor:
    """Return pictures a little brighter or darker, softer or harder: light tells nothing about the hand."""
    gain, shift = (1 + _LIGHT * (2 * torch.rand((2, len(images), 1, 1, 1), generator=draw) - 1)).unbind()
    return (images * gain + (shift - 1)).clamp(-1, 1)


def _sharpened(images: Tensor, draw: torch.Generator) -> Tensor:
    """Return pictures a little softer or sharper: how a file was resized tells anything about the hand."""
    low, high = _SHARPNESS
    amount = low + (high - low) * torch.rand((len(images), 1, 1, 1), generator=draw)
    return (images + amount * (images - _blurred(images, 1))).clamp(-1, 1)


def _scaled(images: Tensor, to_view: float, draw: torch.Generator) -> Tensor:
    """Return pictures at the scale of a view, half of the time; else as they are stored, not resampled once more."""
    low, high = _SCALES
    chance, share = torch.rand(2, generator=draw).tolist()
    side = max(WINDOW, round(images.shape[-1] * to_view * (low + (high - low) * share)))
    if chance < 0.5 and images.shape[-1] >= WINDOW:
        return images
    return F.interpolate(images, size=(side, side), mode="bicubic", antialias=True, align_corners=False).clamp(-1, 1)


def _images(prepared: Path, split: str) -> list[str]:
    return sorted(entry["image"] for entry in read_index(prepared)[split])


def _rates(judge: StyleJudge, prepared: Path) -> dict[str, float]:
    """Return the mean rates of a collection's held-out views: near 1 for the paintings, near 0 for photographs."""
    found = []
    for entry in read_index(prepared)["test"]:
        with Image.open(prepared / entry["file"]) as image:
            found.append(judge.rates(np.asarray(image.convert("RGB"))))
    return {f"judge/{kind}": _mean([rates[f"judge/{kind}"] for rates in found]) for kind in KINDS}


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 4)


def _command() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.judge",
        description="Train the judge of a style on its training crops. Example: python -m pipeline.judge monet",
    )
    parser.add_argument("style")
    style = parser.parse_args().style
    workspace = Workspace(Path.cwd())
    print(f"judge: {main(style, workspace, load_params(workspace.params_file))}")


if __name__ == "__main__":
    run_stage(_command)
