"""The codes of a packaged model, read off its images again: by its own head, and by whoever looks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pipeline.generation import Sampler
from pipeline.images import to_tensor
from pipeline.inference import load_network
from pipeline.metrics import codes
from pipeline.metrics.codes import CHANCE, Coded
from pipeline.metrics.suite import differences, figures
from pipeline.networks.infogan import InfoganRecogniser
from pipeline.params import Evaluate
from pipeline.sampling import SampleScores


def with_codes(scores: SampleScores, sampler: Sampler, package: Path, settings: Evaluate) -> SampleScores:
    """Return the scores with what can be read of the model's codes; the same where it has none.

    Args:
        scores: of the model.
        sampler: the model.
        package: its folder, which `Sampler.load` has checked.
        settings: how many images (`coded`), and how many resamples.
    """
    if not sampler.network.codes.names:
        return scores
    recogniser = load_network(package, sampler.config, "discriminator").eval()
    assert isinstance(recogniser, InfoganRecogniser)
    coded = read(sampler, recogniser, settings.coded)
    model, guess = codes.measure(coded, settings.bootstrap), codes.chance(coded, settings.bootstrap)
    return replace(
        scores,
        metrics=scores.metrics | figures(model),
        controls=scores.controls | {CHANCE: figures(guess)},
        differences=scores.differences | {f"{CHANCE} - model": differences(guess, model)},
        counts=scores.counts | {"coded": settings.coded},
    )


@torch.inference_mode()
def read(sampler: Sampler, recogniser: InfoganRecogniser, count: int) -> Coded:
    """Return the images of the seeds 0 to `count` - 1, with their codes as they were and as the head reads them.

    The head sees what anybody sees: the image in 8 bits, alone.
    """
    kinds = sampler.network.codes
    images, made, told = [], [], []
    for seed in range(count):
        latent = sampler.latent(seed)
        image = sampler.image(latent)
        images.append(np.asarray(image))
        made.append(latent[:, -kinds.width :].cpu())
        told.append(recogniser(to_tensor(image)[None]))
    categories, numbers = kinds.split(torch.cat(made))
    found = kinds.read(torch.cat(told))
    return Coded(
        tuple(images),
        tuple(one.argmax(1).numpy() for one in categories),
        kinds.categories,
        numbers.double().numpy(),
        tuple(one.argmax(1).numpy() for one in found.logits),
        found.mean.double().numpy(),
    )
