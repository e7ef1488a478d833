"""The MLflow model over a package: a base64 image in, a base64 PNG out.

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

MAX_BYTES = 64_000_000  # of one encoded image; MLflow's server has no limit of its own
MAX_PIXELS = 50_000_000


class StylizerModel(PythonModel):
    """Repaints each image of the column `image`; parameters `strength` (0 to 1), `preserve_color` and `reverse`."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the package and check its files against its own manifest."""
        from pathlib import Path

        from pipeline.inference import Stylizer

        self.stylizer = Stylizer.load(Path(context.artifacts["package"]))

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Return a frame with the column `image`: each input image repainted, same size, as base64 of a PNG.

        Raises:
            ValueError: an image is no base64, no image, or too large, or the model did not learn the way back.
        """
        import pandas as pd

        options = params or {}
        wanted = {
            "strength": float(options.get("strength", 1.0)),
            "preserve_color": bool(options.get("preserve_color", False)),
            "reverse": bool(options.get("reverse", False)),
        }
        painted = [self._paint(text, wanted) for text in model_input["image"]]
        return pd.DataFrame({"image": painted})

    def _paint(self, text: str, wanted: dict[str, Any]) -> str:
        from pipeline.images import Limits, decode

        limits = Limits(min_side=1, max_pixels=MAX_PIXELS, max_bytes=MAX_BYTES, max_aspect=100)
        if len(text) > MAX_BYTES * 4 // 3 + 4:
            raise ValueError(f"an image has more than {MAX_BYTES} bytes; send a smaller one")
        try:
            encoded = base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise ValueError(f"an image is not base64: {error}") from error
        photograph = decode(encoded, limits).image
        painted = self.stylizer(photograph, **wanted)
        stream = io.BytesIO()
        painted.save(stream, "PNG")
        return base64.b64encode(stream.getvalue()).decode("ascii")


# MLflow finds the model of a file through this call, made while the file runs.
mlflow.models.set_model(StylizerModel())
