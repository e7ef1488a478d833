"""Packed crops -> batches on the device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor


class CropStore:
    """All training crops of a prepared collection, decoded once, kept as bytes.

    A batch is a pure function of the random stream it is given: no state to save, nothing to resume.
    """

    def __init__(self, crops: Tensor, weights: Tensor, device: torch.device) -> None:
        """Hold `crops` (images, K, C, C, 3) uint8 with one sampling weight an image, on `device` if they fit."""
        self.device = device
        self.weights = weights
        self.crops = crops.to(device) if _fits(crops, device) else crops

    @classmethod
    def load(cls, prepared: Path, device: torch.device) -> CropStore:
        """Read a folder that the prepare stage made.

        Raises:
            ValueError: its index is missing or a file has another shape than the index says.
        """
        index = read_index(prepared)
        shape = (index["crops_per_image"], index["crop"], index["crop"], 3)
        files = [prepared / entry["file"] for entry in index["train"]]
        crops = np.stack([_strip(path, shape) for path in files])
        weights = torch.tensor([entry["weight"] for entry in index["train"]], dtype=torch.float64)
        return cls(torch.from_numpy(crops), weights, device)

    def batch(self, count: int, side: int, draw: torch.Generator) -> Tensor:
        """Return `count` random crops (count, 3, side, side) in [-1, 1], flipped half of the time.

        Images are drawn with replacement by weight; one image gives each of its stored crops alike.
        """
        images = torch.multinomial(self.weights, count, replacement=True, generator=draw)
        room = self.crops.shape[2] - side + 1
        which = torch.randint(self.crops.shape[1], (count,), generator=draw)
        tops, lefts = torch.randint(room, (2, count), generator=draw).tolist()
        flips = (torch.rand(count, generator=draw) < 0.5).tolist()
        parts = [
            self.crops[image, crop, top : top + side, left : left + side]
            for image, crop, top, left in zip(images.tolist(), which.tolist(), tops, lefts, strict=True)
        ]
        flipped = [part.flip(1) if flip else part for part, flip in zip(parts, flips, strict=True)]
        stack = torch.stack(flipped).to(self.device).permute(0, 3, 1, 2).float()
        return (stack / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def read_index(prepared: Path) -> dict[str, Any]:
    """Return the index of a prepared collection.

    Raises:
        ValueError: there is none.
    """
    path = prepared / "index.json"
    if not path.is_file():
        raise ValueError(f"{path} is missing; run `dvc repro` (or `python -m pipeline.prepare {prepared.name}`)")
    index: dict[str, Any] = json.loads(path.read_text())
    return index


def load_view(path: Path) -> Tensor:
    """Return a stored RGB image as (3, H, W) in [-1, 1]."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 127.5 - 1


def _strip(path: Path, shape: tuple[int, int, int, int]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    with Image.open(path) as image:
        pixels = np.asarray(image)
    if pixels.size != np.prod(shape):
        raise ValueError(f"{path} holds {pixels.shape} pixels, not {shape} as its index says; prepare it again")
    return pixels.reshape(shape)


def _fits(crops: Tensor, device: torch.device) -> bool:
    """Whether the crops leave at least three quarters of the device's free memory to training."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return crops.numel() < free // 4
