"""The MLflow model over a package: base64 images or seeds in, base64 images out, one for each.

MLflow stores this file with the model and runs it when the model is loaded, beside a copy of just those
`pipeline` modules that `pipeline.inference` needs.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import mlflow
from mlflow.pyfunc.model import PythonModel, PythonModelContext

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]
    from PIL.Image import Image

    from pipeline.images import Limits

MAX_BYTES = 64_000_000  # of one encoded image; MLflow's server has no limit of its own
MAX_PIXELS = 50_000_000
MAX_IMAGES = 64  # of one request
FORMATS: dict[str, dict[str, int]] = {
    "png": {},
    "jpeg": {"quality": 92},
}  # of the answer, with what each is written by


class AtelierModel(PythonModel):
    """What a package's task says.

    `stylize`: repaints each image of the column `image`, whatever the size of each; parameters `strength` (0 to 1),
    `scale` (of the strokes), `preserve_color` and `reverse`, of a model that learnt the way back; of one that paints
    after references `reference`, a picture as base64 or several with commas between them, or `style`, the name of one
    that it has learnt.
    `generate`: makes the image of each number in the column `seed`; parameters `truncation` (0 to 1) and, of a model
    with codes, `code`, such as `k1=3 c1=-0.5`.
    `restore`: mends each image of the column `image`; of a model that fills holes, the column `mask` says where they
    are.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Load the package and check its files against its own manifest."""
        from pipeline.inference import read_config, task_of

        package = Path(context.artifacts["package"])
        self.answer = _ANSWERS[task_of(read_config(package))](package)

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Return a frame with the column `image`: a PNG or JPEG as base64 for each row, in the rows' order.

        Raises:
            ValueError: there are too many images, or one, which the message counts from 1, is no base64, no image, or
                too large; a seed or a parameter is out of range; the model did not learn the way back, or needs a
                reference or a style; or a mask is missing, not wanted, or of another size.
        """
        import pandas as pd

        options, total = params or {}, len(model_input)
        kind = str(options.get("format", "png"))
        if kind not in FORMATS:
            raise ValueError(f"format is {kind!r}; choose one of {', '.join(FORMATS)}")
        if total > MAX_IMAGES:
            raise ValueError(f"{total} images in one request; send at most {MAX_IMAGES}")
        made = []
        for number in range(total):
            try:
                made += [_encoded(image, kind) for image in self.answer(model_input[number : number + 1], options)]
            except ValueError as error:
                raise ValueError(f"image {number + 1} of {total}: {error}") from error
        return pd.DataFrame({"image": made})


Answer: TypeAlias = "Callable[[pd.DataFrame, Mapping[str, Any]], Iterable[Image]]"


def _stylize(package: Path) -> Answer:
    from pipeline.inference import Stylizer

    stylizer = Stylizer.load(package)

    def answer(rows: pd.DataFrame, options: Mapping[str, Any]) -> Iterable[Image]:
        wanted: dict[str, Any] = {
            "strength": float(options.get("strength", 1.0)),
            "preserve_color": bool(options.get("preserve_color", False)),
            "reverse": bool(options.get("reverse", False)),
            "scale": float(options.get("scale", 1.0)),
        }
        if reference := str(options.get("reference", "")):
            wanted["reference"] = [_decoded(one) for one in reference.split(",")]
        if style := str(options.get("style", "")):
            wanted["style"] = style
        return [stylizer(_decoded(text), **wanted) for text in rows["image"]]

    return answer


def _generate(package: Path) -> Answer:
    from pipeline.generation import Sampler

    sampler = Sampler.load(package)

    def answer(rows: pd.DataFrame, options: Mapping[str, Any]) -> Iterable[Image]:
        code = _codes(str(options.get("code", "")))
        seeds = [int(seed) for seed in rows["seed"]]
        return sampler(seeds, truncation=float(options.get("truncation", 1.0)), code=code)

    return answer


def _restore(package: Path) -> Answer:
    from pipeline.restoration import Restorer

    restorer = Restorer.load(package)

    def answer(rows: pd.DataFrame, options: Mapping[str, Any]) -> Iterable[Image]:
        del options
        masks = rows["mask"] if "mask" in rows else [None] * len(rows)
        return [
            restorer(_decoded(image), _decoded_mask(mask) if isinstance(mask, str) and mask else None)
            for image, mask in zip(rows["image"], masks, strict=True)
        ]

    return answer


_ANSWERS: Mapping[str, Callable[[Path], Answer]] = MappingProxyType(
    {"stylize": _stylize, "generate": _generate, "restore": _restore}
)


def _codes(text: str) -> dict[str, float]:
    try:
        return {name: float(value) for name, value in (one.split("=") for one in text.split())}
    except ValueError:
        raise ValueError(f"code is {text[:80]!r}; write NAME=NUMBER, with blanks between several") from None


def _decoded(text: str) -> Image:
    from pipeline.images import decode

    return decode(_bytes(text), _limits()).image


def _decoded_mask(text: str) -> Image:
    from pipeline.images import decode_mask

    return decode_mask(_bytes(text), _limits())


def _limits() -> Limits:
    from pipeline.images import Limits

    return Limits(min_side=1, max_pixels=MAX_PIXELS, max_bytes=MAX_BYTES, max_aspect=100)


def _bytes(text: str) -> bytes:
    if len(text) > MAX_BYTES * 4 // 3 + 4:
        raise ValueError(f"an image has more than {MAX_BYTES} bytes; send a smaller one")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"an image is not base64: {error}") from error


def _encoded(image: Image, kind: str = "png") -> str:
    stream = io.BytesIO()
    image.save(stream, kind.upper(), **FORMATS[kind])
    return base64.b64encode(stream.getvalue()).decode("ascii")


# MLflow finds the model of a file through this call, made while the file runs.
mlflow.models.set_model(AtelierModel())
