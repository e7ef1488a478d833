"""Small generators with random weights, and pictures that differ from place to place."""

import numpy as np
import torch
from PIL import Image

from pipeline.networks.generators import ResnetGenerator

CPU = torch.device("cpu")


def generator(norm: str = "channel", seed: int = 0) -> ResnetGenerator:
    torch.manual_seed(seed)
    network = ResnetGenerator(channels=6, blocks=2, norm=norm)
    with torch.no_grad():
        for parameter in network.parameters():  # affine norms that are not the identity
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network.eval().requires_grad_(False)


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """A dark rough left that becomes a bright smooth right: no part of it has the statistics of the whole."""
    rng = np.random.default_rng(seed)
    across = np.linspace(0, 1, width)[None, :, None]
    noise = rng.normal(0, 60, (height, width, 3)) * (1 - across)
    light = 40 + 180 * across * np.array([1.0, 0.9, 0.6])
    return Image.fromarray(np.clip(light + noise, 0, 255).astype(np.uint8))


def sky(width: int, height: int) -> Image.Image:
    """A calm slope from dark blue to bright yellow, with a little grain: where a seam would show at once."""
    across = np.linspace(0, 1, width)[None, :, None]
    colours = np.array([40, 70, 140]) * (1 - across) + np.array([240, 210, 120]) * across
    grain = np.random.default_rng(0).normal(0, 2, (height, width, 3))
    return Image.fromarray(np.clip(colours + grain, 0, 255).astype(np.uint8))
