"""Declared augmentation -> crops. The only module that imports albumentations and cv2.

An array that reaches this module was decoded by `images`: cv2 itself would accept truncated files without a word.
"""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.files import canonical_json, sha256_bytes

if TYPE_CHECKING:
    from pipeline.params import Augment, Transform

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

# Arguments that we fill in from the crop's side, by the transform that makes the crop.
_SIZED: dict[str, Callable[[int], dict[str, Any]]] = {
    "RandomResizedCrop": lambda side: {"size": (side, side)},
    "RandomCrop": lambda side: {"height": side, "width": side},
    "CenterCrop": lambda side: {"height": side, "width": side},
}
# What leaves the frame uncovered fills it with a reflection: black corners would be learned as style.
_REFLECTING = ("Rotate", "Affine", "Perspective")


def _library() -> tuple[Any, Any]:
    """Import and return albumentations and cv2."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # read at import: no call to a server
    import albumentations
    import cv2

    cv2.setNumThreads(0)  # the caller's threads are the parallelism
    return albumentations, cv2


def _allowed(library: Any) -> dict[str, Any]:
    return {
        "RandomResizedCrop": library.RandomResizedCrop,
        "RandomCrop": library.RandomCrop,
        "CenterCrop": library.CenterCrop,
        "HorizontalFlip": library.HorizontalFlip,
        "VerticalFlip": library.VerticalFlip,
        "Transpose": library.Transpose,
        "RandomRotate90": library.RandomRotate90,
        "D4": library.D4,
        "Rotate": library.Rotate,
        "Affine": library.Affine,
        "Perspective": library.Perspective,
        "ColorJitter": library.ColorJitter,
        "RandomBrightnessContrast": library.RandomBrightnessContrast,
        "HueSaturationValue": library.HueSaturationValue,
        "RGBShift": library.RGBShift,
        "RandomGamma": library.RandomGamma,
        "CLAHE": library.CLAHE,
        "ToGray": library.ToGray,
        "Sharpen": library.Sharpen,
        "GaussianBlur": library.GaussianBlur,
        "GaussNoise": library.GaussNoise,
        "ISONoise": library.ISONoise,
        "ImageCompression": library.ImageCompression,
        "Downscale": library.Downscale,
    }


class Augmenter:
    """The declared transforms of one domain, ready to make crops. Not to be shared between threads."""

    def __init__(self, transforms: Sequence[Transform], crop: int, where: str) -> None:
        """Check and build the transforms for crops of `crop` px; `where` names them in messages.

        Raises:
            ValueError: an unknown transform or argument, a value out of range, or not exactly one transform
                that crops.
        """
        library, cv2 = _library()
        self.crop = crop
        self._transforms = [
            _build(transform, crop, f"{where}[{place}]", library, cv2) for place, transform in enumerate(transforms)
        ]
        _check_croppers(transforms, where)
        trial = np.random.default_rng(0).integers(0, 256, (2 * crop, 2 * crop + 1, 3), dtype=np.uint8)
        try:
            self._one(trial, seed=0, sha256="0" * 64, index=0)
        except Exception as error:  # whatever a transform raises on a sound image, its arguments are to blame
            raise ValueError(f"{where} cannot be applied to an image: {_one_line(error)}") from error

    def crops(self, image: Pixels, *, seed: int, sha256: str, count: int) -> Pixels:
        """Return `count` crops (count, C, C, 3) of an RGB image (H, W, 3) whose sides have at least C px.

        Each is a function of the seed, the image's hash and the crop's index alone.
        """
        return np.stack([self._one(image, seed=seed, sha256=sha256, index=index) for index in range(count)])

    def _one(self, image: Pixels, *, seed: int, sha256: str, index: int) -> Pixels:
        for place, transform in enumerate(self._transforms):
            # Each has a stream of its own: with one seed for all, two flips of p = 0.5 would always coincide.
            text = f"augment:{seed}:{sha256}:{index}:{place}"
            transform.set_random_seed(int(sha256_bytes(text.encode())[:16], 16))
            image = transform(image=image)["image"]
        if image.shape != (self.crop, self.crop, 3) or image.dtype != np.uint8:
            raise ValueError(f"the result is {image.shape} {image.dtype}, not a crop of {self.crop} px")
        return image


def check(declared: Augment, crop: int) -> None:
    """Return when the transforms of both domains can make crops of `crop` px.

    Raises:
        ValueError: see `Augmenter`; the message names the key in params.yaml.
    """
    for domain, transforms in (("paintings", declared.paintings), ("photos", declared.photos)):
        Augmenter(transforms, crop, f"prepare.augment.{domain}")


def smallest_window(transforms: Sequence[Transform], crop: int, width: int, height: int) -> float:
    """Return the side (px) of the smallest square that the transforms may enlarge or reduce to a crop."""
    for transform in transforms:
        if transform.name == "RandomResizedCrop":
            share = transform.args.get("scale", (0.08, 1.0))[0]
            return min(math.sqrt(share * width * height), width, height)
    return min(crop, width, height)


def _build(transform: Transform, crop: int, where: str, library: Any, cv2: Any) -> Any:
    allowed = _allowed(library)
    if transform.name not in allowed:
        raise ValueError(f"{where}: unknown transform {transform.name!r}; choose one of {', '.join(sorted(allowed))}")
    kind = allowed[transform.name]
    filled = _SIZED[transform.name](crop) if transform.name in _SIZED else {}
    known = [name for name in inspect.signature(kind.__init__).parameters if name not in ("self", *filled)]
    for name in transform.args:
        if name in filled:
            raise ValueError(f"{where}: {transform.name} takes {name!r} from prepare.crop; leave it out")
        if name not in known:  # albumentations would only warn
            raise ValueError(
                f"{where}: {transform.name} has no argument {name!r}; it takes {', '.join(known) or 'none'}"
            )
    try:
        canonical_json(transform.args)
    except (ValueError, TypeError) as error:  # YAML knows dates, and numbers that are none
        raise ValueError(f"{where}: an argument of {transform.name} is no plain value: {_one_line(error)}") from error
    try:
        return kind(**{**_defaults(transform.name, cv2), **transform.args, **filled})
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where}: {transform.name} refuses its arguments: {_one_line(error)}") from error


def _defaults(name: str, cv2: Any) -> dict[str, Any]:
    """Return our defaults where albumentations' own would spoil texture."""
    if name == "RandomResizedCrop":
        return {"interpolation": cv2.INTER_CUBIC, "area_for_downscale": "image"}
    if name in _REFLECTING:
        return {"border_mode": cv2.BORDER_REFLECT_101, "interpolation": cv2.INTER_CUBIC}
    return {}


def _check_croppers(transforms: Sequence[Transform], where: str) -> None:
    croppers = [transform for transform in transforms if transform.name in _SIZED]
    if len(croppers) != 1 or croppers[0].args.get("p", 1.0) != 1.0:
        raise ValueError(
            f"{where} must hold exactly one of {', '.join(_SIZED)}, without p: it makes the crops; "
            f"it holds {', '.join(transform.name for transform in croppers) or 'none'}"
        )


def _one_line(error: Exception) -> str:
    """Return an error's message in one line; of pydantic's long ones, each complaint."""
    complaints = getattr(error.__cause__, "errors", None)  # albumentations wraps pydantic's error
    if complaints is None:
        return " ".join(str(error).split()) or type(error).__name__
    parts = (f"{'.'.join(map(str, item['loc']))}: {item['msg']} (it is {item['input']!r})" for item in complaints())
    return "; ".join(parts)
