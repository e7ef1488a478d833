"""Heat maps: scores lie where their patches do, what is real and what is false comes out, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from pipeline import discriminators, explain, losses, train
from pipeline.colour import pixels_to_lab
from pipeline.files import read_json, write_json
from pipeline.heat_map import FALSE, REAL, HeatMap, centres, heat_map, limit_of, overlay
from pipeline.image_files import Refused
from pipeline.images import ACCEPTED
from pipeline.networks.dcgan import DcganDiscriminator
from pipeline.networks.discriminators import PatchDiscriminator
from pipeline.networks.layers import shrink
from pipeline.params import load_params
from pipeline.presets import apply_changes
from pipeline.workspace import Workspace
from tests.pipeline.pictures import texture
from tests.pipeline.scenes import painting
from tests.pipeline.training import tiny_workspace

SIDE = 64


@dataclass(frozen=True)
class Asked:
    """A discriminator that is at hand."""

    network: nn.Module
    boundary: float = 0.0
    sides: tuple[int, int] = (32, 96)
    side: int | None = None  # px that it sees whole images at

    def scores(self, images: Tensor) -> Tensor:
        found: Tensor = self.network(images if self.side is None else shrink(images, self.side))
        return found


def _tensor(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 127.5 - 1


def _noise(seed: int, side: int = SIDE) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def _trained(asked: Asked, steps: int = 40) -> Asked:
    """Teach a network that paintings are real and noise is false."""
    real = torch.stack([_tensor(painting(i)) for i in range(8)])
    optimiser = torch.optim.Adam(asked.network.parameters(), lr=2e-3, betas=(0.5, 0.99))
    for step in range(steps):
        fake = torch.stack([_tensor(_noise(100 * step + i)) for i in range(8)])
        loss = losses.d_hinge(*asked.scores(torch.cat([real, fake])).chunk(2))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    asked.network.eval().requires_grad_(False)
    return asked


@pytest.fixture(scope="module")
def patches() -> Asked:
    torch.manual_seed(0)
    return _trained(Asked(PatchDiscriminator(channels=8, layers=2, scale=5.0)))


@pytest.fixture(scope="module")
def whole() -> Asked:
    torch.manual_seed(0)
    return _trained(Asked(DcganDiscriminator(channels=8, side=32, normalise="spectral"), side=32))


def _half() -> NDArray[np.uint8]:
    """Return a painting whose right half is noise; neither was learnt."""
    picture = painting(50).copy()
    picture[:, SIDE // 2 :] = _noise(999_999)[:, SIDE // 2 :]
    return picture


@pytest.mark.parametrize("kind", ["patches", "whole"])
def test_the_painted_half_of_a_picture_speaks_for_real_and_the_noisy_half_for_false(
    kind: str, request: pytest.FixtureRequest
) -> None:
    asked: Asked = request.getfixturevalue(kind)
    picture = Image.fromarray(_half())
    for given, mirrored in ((picture, False), (picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), True)):
        found = heat_map(asked, given)
        assert found.kind == {"patches": "patches", "whole": "occlusion"}[kind]
        assert found.values.shape == given.size[::-1]
        values = found.values[:, ::-1] if mirrored else found.values
        third = values.shape[1] // 3
        assert values[:, :third].mean() > 0 > values[:, -third:].mean()
        assert values[:, :third].mean() - values[:, -third:].mean() > 0.5 * np.abs(values).mean()


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_scores_lie_in_the_middle_of_what_they_see(layers: int) -> None:
    torch.manual_seed(0)
    network = PatchDiscriminator(channels=4, layers=layers, spectral_norm=True).eval()
    image = torch.rand(1, 3, 200, 200, requires_grad=True)
    scores = network(image)[0, 0]
    expected = centres(network, scores.shape[0])
    for place in range(scores.shape[0]):
        (slope,) = torch.autograd.grad(scores[place, place], image, retain_graph=True)
        seen = slope.abs().sum((0, 1, 3)).nonzero().flatten().tolist()
        if seen[0] > 0 and seen[-1] < 199:  # else the edge cuts its patch
            assert (seen[0] + seen[-1]) / 2 == expected[place]
    assert expected[0] == pytest.approx(199 - expected[-1], abs=2**layers)


class Constant(nn.Module):
    """Says the same of everything."""

    def __init__(self, value: float, patches: bool) -> None:
        super().__init__()
        self.value, self.patches = value, patches

    def forward(self, x: Tensor) -> Tensor:
        return torch.full((len(x), 1, 6, 5) if self.patches else (len(x),), self.value)


@pytest.mark.parametrize("patches", [True, False])
@pytest.mark.parametrize("size", [(64, 64), (1024, 640), (65, 1023), (31, 40), (8, 9)])
def test_a_discriminator_that_always_says_the_same_has_a_flat_map_at_any_size(
    patches: bool, size: tuple[int, int]
) -> None:
    picture = texture(1, *size)
    found = heat_map(Asked(Constant(0.7, patches), boundary=0.5), picture)
    assert found.values.shape == (size[1], size[0])
    np.testing.assert_allclose(found.values, 0.2 if patches else 0.0, atol=1e-6)
    assert found.score == pytest.approx(0.2)
    undecided = HeatMap(np.zeros(size[::-1], np.float32), 0.0, "patches")
    assert np.array_equal(np.asarray(overlay(picture, undecided, 1.0))[..., 0], np.asarray(picture.convert("L")))


class OneSpot(nn.Module):
    """Scores the red of one cell of an eighth of the side."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0, 8:16, 40:48].mean((1, 2))


def test_under_occlusion_a_place_is_worth_what_the_score_loses_without_it() -> None:
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    picture[8:16, 40:48, 0] = 255
    found = heat_map(Asked(OneSpot()), Image.fromarray(picture))
    lost = 1 - (-1 + 2 / 64)  # its red, less the picture's mean red
    assert found.score == pytest.approx(1.0)
    assert found.values.max() == pytest.approx(lost, rel=0.1)  # where all four windows cover it; linear from there
    assert np.unravel_index(found.values.argmax(), found.values.shape) in {(11, 43), (11, 44), (12, 43), (12, 44)}
    assert np.abs(found.values[32:]).max() == 0
    assert np.abs(found.values[:, :24]).max() == 0


def test_the_scale_is_symmetric_shared_and_never_blows_up_noise() -> None:
    maps = [HeatMap(np.full((4, 4), value, np.float32), value, "patches") for value in (-0.4, 0.1)]
    assert limit_of(maps) == pytest.approx(0.4)
    assert limit_of([HeatMap(np.full((4, 4), 1e-6, np.float32), 0.0, "patches")]) == 0.05
    white = Image.new("RGB", (2, 3), "white")  # of another size than the maps

    def colour(value: float) -> NDArray[np.float64]:
        drawn = overlay(white, HeatMap(np.full((1, 1), value, np.float32), value, "patches"), 0.4)
        return np.asarray(drawn)[0, 0].astype(np.float64)

    for end, sign in ((REAL, 1), (FALSE, -1)):
        np.testing.assert_allclose(colour(0.4 * sign), 255 + 0.75 * (np.array(end) - 255), atol=1)
        np.testing.assert_allclose(colour(0.4 * sign), colour(9.0 * sign))
        np.testing.assert_allclose(colour(0.2 * sign), (255 + colour(0.4 * sign)) / 2, atol=1)


DEFICIENCIES = {  # Machado, Oliveira, Fernandes 2009, table 1, severity 1.0: on linear light
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


@pytest.mark.parametrize("name", sorted(DEFICIENCIES))
def test_colour_blind_eyes_tell_real_from_false_and_both_from_undecided(name: str) -> None:
    colours = np.array([REAL, FALSE, (128, 128, 128)]) / 255
    light = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    seen = np.clip(light @ np.array(DEFICIENCIES[name]).T, 0, 1)
    shown = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = pixels_to_lab((255 * shown).round().astype(np.uint8)[None])[0]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.linalg.norm(lab[one] - lab[other]) > 25  # 2 can just be seen


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = tiny_workspace(tmp_path_factory.mktemp("heat"), "cyclegan", train={"steps": 3})
    train.main("dots", workspace)
    return workspace


def test_a_trainings_discriminators_are_those_of_its_last_step(studio: Workspace) -> None:
    trained, params = studio.trained("dots"), load_params(studio.params_file)
    found = discriminators.of_training(trained, params)
    assert {name: one.judges for name, one in found.items()} == {
        "discriminator": "painting",
        "reverse_discriminator": "photograph",
    }
    with np.load(trained / "networks.npz", allow_pickle=False) as arrays:
        for name, one in found.items():
            assert one.boundary == 0.5  # of lsgan
            for key, value in one.network.state_dict().items():
                assert np.array_equal(value.numpy(), arrays[f"{name}.{key}"])
    assert not same_map(found["discriminator"], found["reverse_discriminator"])


def same_map(one: discriminators.Discriminator, other: discriminators.Discriminator) -> bool:
    picture = Image.fromarray(painting(1))
    return np.array_equal(heat_map(one, picture).values, heat_map(other, picture).values)


def test_images_out_of_noise_are_looked_at_in_their_own_size(tmp_path: Path) -> None:
    """Enlarged and reduced again, an image of the generator's would lose its pixels, and look less false."""
    workspace = tiny_workspace(tmp_path, "dcgan", train={"steps": 1, "crop": 32})
    trained = train.main("dots", workspace)
    found = discriminators.of_training(trained, load_params(workspace.params_file))["discriminator"]
    image = texture(5, 16, 16)
    with torch.inference_mode():
        seen = found.network(_tensor(np.asarray(image))[None])
    assert heat_map(found, image).score == pytest.approx(float(seen), abs=1e-6)


def test_other_layers_and_missing_folders_are_told_apart(studio: Workspace, tmp_path: Path) -> None:
    params = load_params(studio.params_file)
    assert discriminators.of_training(tmp_path, params) == {}
    config = (studio.trained("dots") / "config.json").read_text()
    (tmp_path / "networks.npz").write_bytes((studio.trained("dots") / "networks.npz").read_bytes())
    (tmp_path / "config.json").write_text(config.replace('"layers": 2', '"layers": 3'))
    with pytest.raises(ValueError, match=r"do not fit this version's method 'cyclegan'"):
        discriminators.of_training(tmp_path, params)
    (tmp_path / "config.json").write_text(config.replace('"pool"', '"puddle"'))
    with pytest.raises(ValueError, match=r"do not fit this version's method 'cyclegan'.*puddle"):
        discriminators.of_training(tmp_path, params)


@pytest.mark.parametrize("state", ["absent", "another"])
def test_explain_of_a_model_trained_through_vgg16_says_which_weights_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    workspace = tiny_workspace(tmp_path, "adain", train={"steps": 1}, adain={"warmup_steps": 0})
    trained = train.main("dots", workspace)
    record = read_json(trained / "config.json")
    record["training"]["adain"]["encoder"]["kind"] = "vgg16"  # as a training with the weights at hand leaves it
    write_json(trained / "config.json", record)
    if state == "another":
        (tmp_path / "vgg16.pth").write_bytes(b"not those")
        apply_changes(workspace.params_file, {"weights": {"vgg16": str(tmp_path / "vgg16.pth")}})
    texture(3).save(tmp_path / "given.png")
    with pytest.raises(ValueError, match="was trained through published weights") as raised:
        explain.explain(
            workspace, "dots", tmp_path / "given.png", tmp_path / "map.png", ACCEPTED, "discriminator"
        )
    said = str(raised.value)
    assert "do not fit" not in said
    wanted = {
        "absent": "name torchvision's file as weights.vgg16",
        "another": "vgg16.pth is not the file that adain.encoder.vgg16_sha256 asks for",
    }
    assert wanted[state] in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("size", [(64, 64), (1024, 300), (77, 131)])
def test_explain_writes_a_picture_its_map_and_a_legend(
    studio: Workspace, tmp_path: Path, size: tuple[int, int]
) -> None:
    given, out = tmp_path / "given.png", tmp_path / "maps" / "map.png"
    texture(3, *size).save(given)
    said = explain.explain(studio, "dots", given, out, ACCEPTED, "discriminator")
    assert "dots's discriminator, of its patches" in said
    with Image.open(out) as sheet:
        assert sheet.width >= 344
        pixels = np.asarray(sheet.convert("RGB")).reshape(-1, 3).astype(int)
    for end in (REAL, FALSE):  # of the scale: three quarters of the colour on grey
        full = 128 + 0.75 * (np.array(end) - 128)
        assert np.abs(pixels - full).sum(axis=1).min() <= 4
    back = explain.explain(studio, "dots", given, out, ACCEPTED, "reverse_discriminator")
    assert "a photograph" in back


_WRONG: dict[str, tuple[Callable[[Path], tuple[str, str, str]], str]] = {
    "format": (lambda folder: ("dots", "map.txt", "discriminator"), "ends in one of .png"),
    "itself": (lambda folder: ("dots", "given.png", "discriminator"), "would replace the picture"),
    "recipe": (lambda folder: ("lines", "map.png", "discriminator"), "no recipe named 'lines'"),
    "network": (lambda folder: ("dots", "map.png", "generator"), "choose one of discriminator, reverse_discrim"),
}


@pytest.mark.parametrize("what", sorted(_WRONG))
def test_explain_says_what_is_wrong(studio: Workspace, tmp_path: Path, what: str) -> None:
    texture(3).save(tmp_path / "given.png")
    make, said = _WRONG[what]
    recipe, out, network = make(tmp_path)
    with pytest.raises(ValueError, match=said):
        explain.explain(studio, recipe, tmp_path / "given.png", tmp_path / out, ACCEPTED, network)


def test_explain_says_so_where_nothing_was_trained_and_where_nothing_can_be_read(
    studio: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "given.png").write_text("no picture")
    with pytest.raises(Refused):
        explain.explain(studio, "dots", tmp_path / "given.png", tmp_path / "map.png", ACCEPTED, "discriminator")
    root = tmp_path / "fresh"
    root.mkdir()
    texture(3).save(tmp_path / "given.png")
    with pytest.raises(ValueError, match=r"holds no discriminator.*dvc repro train@dots"):
        explain.explain(
            tiny_workspace(root), "dots", tmp_path / "given.png", tmp_path / "map.png", ACCEPTED, "discriminator"
        )
