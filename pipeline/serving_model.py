"""The MLflow model over a package: base64 images or seeds in, base64 images out, one for each.

MLflow stores this file with the model and runs it when the model is loaded, beside a copy of just those
`pipeline` modules that `pipeline.inference` needs.
"""

from __future__ import annotations

import base64
import binascii
import io
from typing import TYPE_CHECKING, Any

import mlflow
from mlflow.pyfunc.model import PythonModel, PythonModelContext

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]
    from PIL.Image import Image

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
    `preserve_color`, `reverse`, of a model that learnt the way back, and `format` (png or jpeg).
    `generate`: makes the image of each number in the column `seed`; parameter `truncation` (0 to 1).
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Load the package and check its files against its own manifest."""
        from pathlib import Path

        from pipeline.generation import Sampler
        from pipeline.inference import Stylizer, read_config, task_of

        package = Path(context.artifacts["package"])
        self.task = task_of(read_config(package))
        if self.task == "generate":
            self.sampler = Sampler.load(package)
        else:
            self.stylizer = Stylizer.load(package)

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Return a frame with the column `image`: a PNG or JPEG as base64 for each row, in the rows' order.

        Raises:
            ValueError: there are too many images, or one is no base64, no image, or too large, which the message
                counts from 1; a seed or a parameter is out of range; or the model did not learn the way back.
        """
        import pandas as pd

        options = params or {}
        if self.task == "generate":
            seeds = [int(seed) for seed in model_input["seed"]]
            images = self.sampler(seeds, truncation=float(options.get("truncation", 1.0)))
            return pd.DataFrame({"image": [_encoded(image) for image in images]})
        wanted = {
            "strength": float(options.get("strength", 1.0)),
            "preserve_color": bool(options.get("preserve_color", False)),
            "reverse": bool(options.get("reverse", False)),
        }
        kind = str(options.get("format", "png"))
        if kind not in FORMATS:
            raise ValueError(f"format is {kind!r}; choose one of {', '.join(FORMATS)}")
        texts = list(model_input["image"])
        if len(texts) > MAX_IMAGES:
            raise ValueError(f"{len(texts)} images in one request; send at most {MAX_IMAGES}")
        painted = []
        for number, text in enumerate(texts, 1):
            try:
                painted.append(_encoded(self._paint(text, wanted), kind))
            except ValueError as error:
                raise ValueError(f"image {number} of {len(texts)}: {error}") from error
        return pd.DataFrame({"image": painted})

    def _paint(self, text: str, wanted: dict[str, Any]) -> Image:
        from pipeline.images import Limits, decode

        limits = Limits(min_side=1, max_pixels=MAX_PIXELS, max_bytes=MAX_BYTES, max_aspect=100)
        if len(text) > MAX_BYTES * 4 // 3 + 4:
            raise ValueError(f"an image has more than {MAX_BYTES} bytes; send a smaller one")
        try:
            encoded = base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise ValueError(f"an image is not base64: {error}") from error
        photograph = decode(encoded, limits).image
        return self.stylizer(photograph, **wanted)


def _encoded(image: Image, kind: str = "png") -> str:
    stream = io.BytesIO()
    image.save(stream, kind.upper(), **FORMATS[kind])
    return base64.b64encode(stream.getvalue()).decode("ascii")


# MLflow finds the model of a file through this call, made while the file runs.
mlflow.models.set_model(AtelierModel())
