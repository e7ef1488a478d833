"""What other programs get: that it is the network, in every format, at every size."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from pipeline.export import PARITY, STATISTICS, session
from pipeline.exporting import HALF_PARITY, export
from pipeline.inference import Stylizer, read_config, verify_package
from pipeline.package import main
from pipeline.painting.statistics import measure, with_statistics
from pipeline.reports.script import NEEDS, script
from pipeline.train import main as train
from tests.pipeline.training import tiny_workspace

SIZES = [(1, 64, 64), (2, 16, 16), (3, 32, 80), (1, 128, 48), (1, 100, 20)]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    made = tiny_workspace(tmp_path_factory.mktemp("exported"), "cyclegan", train={"steps": 2})
    train("dots", made)
    return main("dots", made)


def _photo(shape: tuple[int, int, int]) -> torch.Tensor:
    count, height, width = shape
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("way", ["generator", "reverse"])
def test_onnx_agrees_with_torch_at_five_sizes(package: Path, tmp_path: Path, way: str, half: bool) -> None:
    file = export(package, tmp_path / "a.onnx", "onnx", half=half, name=way)
    graph, stylizer = session(file), Stylizer.load(package)
    given, made = ("photo", "painting") if way == "generator" else ("painting", "photo")
    for shape in SIZES:
        photo = _photo(shape)
        (found,) = graph.run([made], {given: photo.numpy()})
        with torch.inference_mode():
            expected = stylizer._network(way == "reverse")(photo)
        assert np.abs(found - expected.numpy()).max() < (HALF_PARITY if half else PARITY)
    types = {tensor.data_type for tensor in onnx.load(file).graph.initializer if tensor.dims}
    assert (onnx.TensorProto.FLOAT16 in types) == half


def test_a_graph_paints_tiles_by_the_statistics_that_it_is_given(package: Path) -> None:
    graph, network = session(package / "generator.onnx"), Stylizer.load(package).network
    whole, tile = _photo((1, 64, 96)), _photo((1, 32, 32))
    (statistics,) = graph.run([STATISTICS], {"photo": whole.numpy()})
    (painted,) = graph.run(["painting"], {"photo": tile.numpy(), f"{STATISTICS}_given": statistics})
    expected = with_statistics(network, measure(network, whole))(tile)
    assert np.abs(painted - expected.numpy()).max() < PARITY
    assert np.abs(painted - graph.run(["painting"], {"photo": tile.numpy()})[0]).max() > 0.01


def test_safetensors_hold_the_weights_and_say_what_they_are_of(package: Path, tmp_path: Path) -> None:
    file = export(package, tmp_path / "a.safetensors", "safetensors")
    with safe_open(file, "pt") as opened:
        told = opened.metadata()
        weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (no mapping)
    assert json.loads(told["config"]) == read_config(package)
    assert told["package"] == verify_package(package)
    expected = Stylizer.load(package).network.state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in weights)


@pytest.mark.slow
def test_a_torch_program_takes_every_size(package: Path, tmp_path: Path) -> None:
    program = torch.export.load(export(package, tmp_path / "a.pt2", "pt2")).module()
    network = Stylizer.load(package).network
    for shape in SIZES:
        with torch.inference_mode():
            assert (program(_photo(shape)) - network(_photo(shape))).abs().max() < PARITY


def test_what_cannot_be_exported_is_said(package: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="choose one of onnx, pt2, safetensors"):
        export(package, tmp_path / "a", "tflite")
    with pytest.raises(ValueError, match="--half is of --format onnx"):
        export(package, tmp_path / "a", "pt2", half=True)
    with pytest.raises(ValueError, match="no network 'other'; it has generator, reverse"):
        export(package, tmp_path / "a", "onnx", name="other")
    damaged = Path(shutil.copytree(package, tmp_path / "damaged"))
    (damaged / "generator.onnx").write_bytes(b"")
    with pytest.raises(ValueError, match=r"generator\.onnx"):
        export(damaged, tmp_path / "a", "onnx")
    assert not (tmp_path / "a").exists()


def test_the_cards_program_has_twenty_lines() -> None:
    assert len(script({}).splitlines()) <= 20
    assert len(script({"reference": True, "style": "monet"}).splitlines()) <= 23  # it reads a reference besides


def run_program(python: Path | str, package: Path, folder: Path, **options: Any) -> None:
    """Run the card's program in a folder of its own and hold its painting against the network's."""
    copied = Path(shutil.copytree(package, folder / "package"))
    (folder / "paint.py").write_text(script(read_config(package)))
    rng = np.random.default_rng(0)
    photo = Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)).resize((200, 150))
    photo.save(folder / "photo.png")
    command = [str(python), "-I", "paint.py", str(copied), "photo.png", "painting.png"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with Image.open(folder / "painting.png") as painting:
        assert painting.size == photo.size
        expected = Stylizer.load(package)(photo, **options)
        # The program stretches to multiples of four and knows no detail: the same painting but for that.
        difference = np.asarray(painting, float) - np.asarray(expected, float)
        assert np.abs(difference).mean() < 0.5 * np.abs(np.asarray(photo, float) - np.asarray(expected, float)).mean()


def test_the_cards_program_paints(package: Path, tmp_path: Path) -> None:
    run_program(sys.executable, package, tmp_path)


@pytest.mark.slow
def test_a_package_works_without_this_project(package: Path, tmp_path: Path) -> None:
    """In a fresh environment that has onnxruntime, numpy and Pillow, and nothing of ours."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    command = [str(python), "-m", "pip", "install", "-q", *map(str.lower, NEEDS)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no package index is within reach")
    (tmp_path / "work").mkdir()
    run_program(python, package, tmp_path / "work")
    found = subprocess.run([str(python), "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout
    assert "torch" not in found
