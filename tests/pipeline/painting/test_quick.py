"""The twin that is sooner done on a CPU: it paints the same, and the network stays as it was."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pipeline.export import PARITY
from pipeline.networks.adain import AdainGenerator
from pipeline.networks.generators import ResnetGenerator
from pipeline.painting.quick import quick
from pipeline.painting.statistics import measure, with_statistics
from tests.pipeline.packages import empty_workspace, write_package
from tests.pipeline.painting.networks import generator

ROOT = Path(__file__).parents[3]
_HUGE = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def _photo(count: int = 1, height: int = 48, width: int = 64) -> Tensor:
    return (torch.rand(count, 3, height, width) * 2 - 1).to(memory_format=torch.channels_last)


def _other(**differing: object) -> nn.Module:
    torch.manual_seed(1)
    network = ResnetGenerator(**{"channels": 6, "blocks": 1, **differing})  # type: ignore[arg-type]
    return network.eval().requires_grad_(False)


NETWORKS = {
    "channel": generator("channel"),
    "instance": generator("instance"),
    "not smooth": _other(antialias=False),
    "no detail": _other(detail=False),
    "one halving": _other(downsamplings=1),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", [(1, 48, 64), (3, 16, 16), (1, 20, 132), (2, 64, 36)])
@torch.inference_mode()
def test_it_paints_the_same_at_every_size(name: str, shape: tuple[int, int, int]) -> None:
    network, photo = NETWORKS[name], _photo(*shape)
    given = photo.clone()
    expected = network(photo)
    made = quick(network)(photo)
    assert made.shape == expected.shape
    assert (made - expected).abs().max() < PARITY / 10
    assert torch.equal(photo, given)
    assert torch.equal(network(photo), expected)  # what it overwrites is its own


@pytest.mark.parametrize("width", [16, 17, 18, 19])
def test_a_row_of_any_length_is_made_some_pixels_at_once(width: int) -> None:
    for layer in (
        nn.Conv2d(5, 3, 7, 1, 3, padding_mode="reflect"),
        nn.Conv2d(5, 3, (3, 5), 1, (1, 2), padding_mode="reflect", bias=False),
    ):
        made = quick(layer.requires_grad_(False))
        assert made is not layer
        photo = torch.randn(2, 5, 12, width)
        torch.testing.assert_close(made(photo), layer(photo), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(5, 24, 3, 1, 1, padding_mode="reflect"),
        nn.Conv2d(5, 3, 3, 2, 1, padding_mode="reflect"),
        nn.Conv2d(5, 3, 3, 1, 1),
        nn.Conv2d(6, 3, 3, 1, 1, groups=3, padding_mode="reflect"),
        nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), nn.ReLU()),
        nn.Sequential(),
    ],
    ids=str,
)
def test_what_it_cannot_do_sooner_stays(layer: nn.Module) -> None:
    assert quick(layer) is layer


@torch.inference_mode()
def test_a_model_that_paints_after_references_does_so_still() -> None:
    torch.manual_seed(0)
    network = AdainGenerator((6, 12), (1, 1), (1, 2)).eval().requires_grad_(False)
    code = network.code(_photo(), torch.ones(1))
    photo, swift = _photo(1, 32, 34), quick(network)
    assert isinstance(swift, AdainGenerator)
    torch.testing.assert_close(swift.after(code)(photo), network.after(code)(photo), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("norm", ["channel", "instance"])
def test_it_gives_and_takes_the_networks_statistics(norm: str) -> None:
    network, photo = generator(norm), _photo()
    table = measure(network, _photo(1, 32, 32) * 0.5)
    torch.testing.assert_close(measure(quick(network), photo), measure(network, photo), atol=1e-4, rtol=1e-3)
    made, expected = (with_statistics(each, table)(photo) for each in (quick(network), network))
    assert (made - expected).abs().max() < PARITY / 10


def test_the_weights_are_not_copied_but_for_the_last_layers() -> None:
    network = generator()
    shared = {id(weight) for weight in network.parameters()}
    own = [name for name, weight in quick(network).named_parameters() if id(weight) not in shared]
    assert own == []
    assert len(list(quick(network).parameters())) == len(shared) - 2


_PROGRAM = """
import re, sys
from pathlib import Path
from pipeline.inference import Stylizer
Stylizer.load(Path(sys.argv[1]))
import torch
new = torch.zeros(1 << 25)
maps = Path("/proc/self/smaps").read_text()
regions = re.findall(r"Size: +(\\d+) kB.*?VmFlags:(.*?)\\n", maps, re.S)
print(sum(int(size) for size, flags in regions if " hg" in flags))
"""


@pytest.mark.skipif(not _HUGE.is_file(), reason="this kernel has no large pages")
def test_a_process_that_loads_a_model_first_asks_for_large_pages(tmp_path: Path) -> None:
    workspace = empty_workspace(tmp_path)
    write_package(workspace, "dots")
    command = [sys.executable, "-c", _PROGRAM, str(workspace.package("dots"))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) * 1024 >= 4 * (1 << 25)
