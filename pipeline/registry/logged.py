"""A package as MLflow keeps it: beside the code that serves it, with signature and requirements."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from contextlib import chdir
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.closure import import_closure, module_file
from pipeline.files import read_json, write_atomic
from pipeline.registry.names import RegistryError

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

_NEEDED = ("torch", "torchvision", "numpy", "pillow", "safetensors", "pandas", "mlflow")
_SERVING = "pipeline.serving_model"
_ROOT = Path(__file__).parents[2]


def log_model(run_id: str, recipe: str, package: Path) -> Any:
    """Copy a package into the artifact store as a model of a run, and return what MLflow tells of it.

    Raises:
        RegistryError: something that serving needs is not installed.
    """
    import mlflow

    serving = module_file(_SERVING, _ROOT)
    with (
        tempfile.TemporaryDirectory() as scratch,
        mlflow.start_run(run_id=run_id),
        warnings.catch_warnings(record=True),
    ):
        # Recorded, which silences: MLflow advises type hints and an example, and undoes a filter against that.
        code = _stage_code(Path(scratch))
        with chdir(scratch):  # MLflow looks into the current folder for a project to add
            return mlflow.pyfunc.log_model(
                name=recipe,
                python_model=str(serving),
                artifacts={"package": str(package)},
                code_paths=[str(code)],
                signature=_signature(read_json(package / "config.json")),
                pip_requirements=requirements(),
            )


def requirements() -> list[str]:
    """Return what a registered model needs, each with the version installed here, without build labels.

    Raises:
        RegistryError: one of them is not installed.
    """
    found = []
    for name in _NEEDED:
        try:
            found.append(f"{name}=={version(name).partition('+')[0]}")
        except PackageNotFoundError as error:
            raise RegistryError(f"{name} is not installed, but registering needs it; run `make setup`") from error
    return found


def _stage_code(scratch: Path) -> Path:
    """Copy the modules that serving needs, as the package `pipeline`, and return its folder."""
    for name in import_closure(_SERVING, _ROOT):
        source = module_file(name, _ROOT)
        assert source is not None
        write_atomic(scratch / source.relative_to(_ROOT), source.read_bytes())
    return scratch / "pipeline"


def _signature(config: Mapping[str, Any]) -> ModelSignature:
    """Return what a served model takes and gives; `serving_model` answers accordingly."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

    image, task = ColSpec("string", "image"), config.get("task", "stylize")
    inputs: dict[str, list[ColSpec | TensorSpec]] = {
        "stylize": [image],
        "generate": [ColSpec("long", "seed")],
        "restore": [image, ColSpec("string", "mask", required=False)],
    }
    after = [ParamSpec(name, "string", "") for name in ("reference", "style") if config.get("reference")]
    options: dict[str, list[ParamSpec]] = {
        "stylize": [
            *(ParamSpec(name, "double", 1.0) for name in ("strength", "scale")),
            *(ParamSpec(name, "boolean", False) for name in ("preserve_color", "reverse")),
            *after,
        ],
        "generate": [ParamSpec("truncation", "double", 1.0), ParamSpec("code", "string", "")],
        "restore": [],
    }
    told = ParamSchema([*options[task], ParamSpec("format", "string", "png")])
    return ModelSignature(inputs=Schema(inputs[task]), outputs=Schema([image]), params=told)
