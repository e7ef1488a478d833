"""Packed crops -> batches on the device."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pipeline.devices import free_device_memory, free_host_memory, to_device
from pipeline.files import digest_json, fsync_directory, require_free_space, sha256_file

Home = Literal["device", "host", "file"]
"""Where decoded crops live: on the training device, in the host's memory beside it, or in a file that is mapped."""


class CropStore:
    """All training crops of a prepared collection, decoded once, kept as bytes.

    A batch is a pure function of the random stream it is given: no state to save, nothing to resume.
    """

    def __init__(self, crops: Tensor, weights: Tensor, device: torch.device, home: Home = "device") -> None:
        """Hold `crops` (images, K, C, C, 3) uint8 with one sampling weight an image, for training on `device`."""
        self.device, self.home = device, home
        self.weights = weights
        self.crops = crops.to(device) if home == "device" else crops

    @classmethod
    def load(cls, prepared: Path, device: torch.device, cache: Path | None = None) -> CropStore:
        """Read a folder that the prepare stage made.

        Args:
            prepared: the folder.
            device: where batches go.
            cache: folder for the decoded crops of a collection that no memory holds; without it the crops live on
                the device, whether they fit or not.

        Raises:
            ValueError: its index is missing, a file has another shape than the index says, or the disk is full.
        """
        index = read_index(prepared)
        crop = index["crop"]
        shape = (len(index["train"]), index["crops_per_image"], crop, crop, 3)
        files = [prepared / entry["file"] for entry in index["train"]]
        home = choose_home(math.prod(shape), device) if cache else "device"
        if cache and home == "file":
            crops = _mapped(files, shape, cache, prepared.name)
        else:
            crops = torch.empty(shape, dtype=torch.uint8, device=device if home == "device" else "cpu")
            for place, strip in zip(crops, _strips(files, shape[1:]), strict=True):
                place.copy_(torch.from_numpy(strip))
        weights = torch.tensor([entry["weight"] for entry in index["train"]], dtype=torch.float64)
        return cls(crops, weights, device, home)

    def batch(self, count: int, side: int, draw: torch.Generator, rank: int = 0, ranks: int = 1) -> Tensor:
        """Return `count` random crops (count, 3, side, side) in [-1, 1], flipped half of the time.

        Images are drawn with replacement by weight; one image gives each of its stored crops alike. Of `ranks`
        processes with the same stream each gets its own part, number `rank`, of one larger batch.
        """
        everyone = count * ranks
        images = torch.multinomial(self.weights, everyone, replacement=True, generator=draw)
        room = self.crops.shape[2] - side + 1
        which = torch.randint(self.crops.shape[1], (everyone,), generator=draw)
        tops, lefts = torch.randint(room, (2, everyone), generator=draw)
        flips = torch.rand(everyone, generator=draw) < 0.5
        drawn = torch.stack([images * self.crops.shape[1] + which, tops, lefts, flips])
        pixels = self._gather(drawn[:, rank * count : (rank + 1) * count], side)
        return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1  # in memory as it was: channels last

    def _gather(self, drawn: Tensor, side: int) -> Tensor:
        """Return (N, side, side, 3) uint8 on the training device, in one gather where the crops are."""
        crop, top, left, flip = to_device(drawn, self.crops.device)[:, :, None]
        size = self.crops.shape[2]
        along = torch.arange(side, device=self.crops.device)
        rows = (crop * size + top + along) * size
        columns = left + torch.where(flip.bool(), side - 1 - along, along)
        places = (rows[:, :, None] + columns[:, None, :]).flatten()
        moves = self.device.type != self.crops.device.type
        pixels = torch.empty(len(places), 3, dtype=torch.uint8, device=self.crops.device, pin_memory=moves)
        torch.index_select(self.crops.view(-1, 3), 0, places, out=pixels)
        return pixels.view(-1, side, side, 3).to(self.device, non_blocking=True)


def choose_home(needed: int, device: torch.device) -> Home:
    """Return where `needed` bytes of crops should live now, most of the memory being left to training."""
    if needed <= free_device_memory(device) // (4 if device.type == "cuda" else 2):
        return "device"
    return "host" if device.type == "cuda" and needed <= free_host_memory() // 2 else "file"


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


def _strips(files: Iterable[Path], shape: tuple[int, ...]) -> Iterator[np.ndarray[Any, np.dtype[np.uint8]]]:
    for path in files:
        with Image.open(path) as image:
            pixels = np.array(image)
        if pixels.size != math.prod(shape):
            raise ValueError(f"{path} holds {pixels.shape} pixels, not {shape} as its index says; prepare it again")
        yield pixels.reshape(shape)


def _mapped(files: list[Path], shape: tuple[int, ...], cache: Path, name: str) -> Tensor:
    """Return the crops as a tensor that the operating system reads from a file as they are needed.

    The file is made once for what the `files` hold; one of the same collection as it was before is removed.
    """
    size = math.prod(shape)
    path = cache / f"{name}-{digest_json([shape, [sha256_file(file) for file in files]])[:16]}.u8"
    if not path.is_file() or path.stat().st_size != size:
        require_free_space(cache, size, f"the decoded crops of {name}, which no memory here holds")
        cache.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as stream:  # strip by strip: `write_atomic` would hold them all in memory
                for strip in _strips(files, shape[1:]):
                    stream.write(strip.tobytes())
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        fsync_directory(cache)
        for old in cache.glob(f"{name}-{'[0-9a-f]' * 16}.u8"):
            if old != path:
                old.unlink(missing_ok=True)
    return torch.from_file(str(path), size=size, dtype=torch.uint8).view(shape)
