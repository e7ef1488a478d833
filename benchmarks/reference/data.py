"""Image files -> batches by worker processes that decode with Pillow, one image at a time, at every step anew."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms


class Unpaired(Dataset[tuple[Tensor, Tensor]]):
    """Photograph `i` with a random painting."""

    def __init__(self, photos: Path, paintings: Path, side: int) -> None:
        """List two folders of images of at least `side` px; each image is a random crop of that side of its file."""
        self.photos, self.paintings = (sorted(folder.iterdir()) for folder in (photos, paintings))
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(side),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize([0.5] * 3, [0.5] * 3),
            ]
        )

    def __len__(self) -> int:
        """Return the number of photographs: a pass over them is an epoch."""
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return a photograph and a painting, (3, side, side) each, in [-1, 1]."""
        return self._read(self.photos[index]), self._read(random.choice(self.paintings))

    def _read(self, path: Path) -> Tensor:
        with Image.open(path) as image:
            pixels: Tensor = self.transform(image.convert("RGB"))
        return pixels


def endless(dataset: Unpaired, workers: int) -> Iterator[list[Tensor]]:
    """Yield batches of one photograph and one painting, epoch after epoch; the workers live on in between."""
    loader = DataLoader(dataset, batch_size=1, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    while True:
        yield from loader
