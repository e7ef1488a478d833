"""Published networks, with random weights in the published formats: equal to the packages that publish them."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

from pipeline.files import sha256_file
from pipeline.metrics.references import Features
from pipeline.observers.pretrained import inception_features, lpips, vgg16_features
from tests.pipeline.observers.networks import BlankInception, no_network, picture, save, vgg16_state


@pytest.fixture(scope="module", autouse=True)
def _alone() -> Iterator[None]:
    with no_network():
        yield


@pytest.fixture(scope="module")
def vgg16(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as torchvision publishes it, where torch would look for it."""
    folder = tmp_path_factory.mktemp("torch") / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return save(folder, "vgg16-397923af.pth", vgg16_state())


@pytest.fixture(scope="module")
def inception(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("inception"), "inception.pth", BlankInception().state_dict())


@pytest.fixture(scope="module", params=["vgg16", "inception"])
def features(request: pytest.FixtureRequest) -> Features:
    path: Path = request.getfixturevalue(request.param)
    return {"vgg16": vgg16_features, "inception": inception_features}[request.param](path)


def _batch(*pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


def test_vgg16_is_torchvisions_own_up_to_conv5_3(vgg16: Path) -> None:
    with torch.device("meta"):
        layers = torchvision.models.vgg16(init_weights=False).features
    state = torch.load(vgg16, weights_only=True)
    layers.load_state_dict(
        {name.removeprefix("features."): value for name, value in state.items() if "features" in name}, assign=True
    )
    seen: list[torch.Tensor] = []
    layers[29].register_forward_hook(lambda _module, _given, result: seen.append(result.detach().clone()))
    batch = _batch(picture(1), picture(2))
    layers(torchvision.models.VGG16_Weights.IMAGENET1K_V1.transforms(crop_size=48, resize_size=48)(batch))
    expected = seen[0].mean(dim=(2, 3)).detach().numpy()
    look = vgg16_features(vgg16)
    for row, seed in zip(expected, (1, 2), strict=True):
        found = look(picture(seed))
        assert found.shape == (512,)
        assert found.std() > 0.01
        assert found == pytest.approx(row, rel=1e-4, abs=1e-5)


def test_vgg16_loads_without_the_classifier_and_from_safetensors(vgg16: Path, tmp_path: Path) -> None:
    expected = vgg16_features(vgg16)(picture(1))
    convolutions = {name: value for name, value in vgg16_state().items() if name.startswith("features.")}
    alone = {name.removeprefix("features."): value for name, value in convolutions.items()}
    save_file(convolutions, tmp_path / "vgg16.safetensors")
    for path in (save(tmp_path, "features.pth", alone), tmp_path / "vgg16.safetensors"):
        found = vgg16_features(path)
        assert (found(picture(1)) == expected).all()
        assert found.name == f"vgg16 {sha256_file(path)[:8]}"


def test_inception_is_torch_fidelitys_own(inception: Path) -> None:
    network = BlankInception()
    expected = network(_batch(picture(1), picture(2)))[0].numpy()
    look = inception_features(inception)
    assert look.name == f"inception {sha256_file(inception)[:8]}"
    for row, seed in zip(expected, (1, 2), strict=True):
        found = look(picture(seed))
        assert found.shape == (2048,)
        assert found.std() > 0.01
        assert found == pytest.approx(row, rel=1e-3, abs=1e-4)


@pytest.mark.slow
def test_lpips_is_torchmetrics_own(vgg16: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(vgg16.parents[2]))  # the public class looks for its backbone there
    reference = LearnedPerceptualImagePatchSimilarity(net_type="vgg", normalize=True)
    one, other = picture(1), picture(2)
    expected = reference(_batch(one) / 255, _batch(other) / 255).item()
    distance = lpips(vgg16)
    assert expected > 0.01
    assert distance(one, other) == pytest.approx(expected, rel=1e-4)


def test_lpips_is_a_distance(vgg16: Path) -> None:
    distance = lpips(vgg16)
    one = picture(1)
    near = np.clip(one.astype(int) + 3, 0, 255).astype(np.uint8)
    assert distance.name == f"lpips vgg16 {sha256_file(vgg16)[:8]}"
    assert distance(one, one) == 0
    assert 0 < distance(one, near) < distance(one, picture(2))
    assert distance(one, picture(2)) == pytest.approx(distance(picture(2), one), rel=1e-5)


def test_a_picture_has_one_description_whatever_was_looked_at_before(features: Features) -> None:
    first = features(picture(1))
    features(picture(2, side=64))
    assert (features(picture(1)) == first).all()
    assert (features(picture(3)) != first).any()
    assert first.dtype == np.float64


def test_looking_leaves_threads_and_random_numbers_as_they_were(vgg16: Path, inception: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    try:
        images = picture(1), picture(1)
        two = [vgg16_features(vgg16)(images[0]), inception_features(inception)(images[0]), lpips(vgg16)(*images)]
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.rand(3), expected)
        torch.set_num_threads(1)
        one = [vgg16_features(vgg16)(images[0]), inception_features(inception)(images[0]), lpips(vgg16)(*images)]
    finally:
        torch.set_num_threads(before)
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_a_picture_that_may_not_be_written_to_is_looked_at(features: Features) -> None:
    image = picture(1)
    image.flags.writeable = False
    assert np.isfinite(features(image)).all()


@pytest.mark.parametrize("kind", ["vgg16", "inception"])
def test_another_network_is_refused_with_the_key_to_mend(tmp_path: Path, kind: str) -> None:
    path = save(tmp_path, "other.pth", {"features.0.weight": torch.ones(2, 2)})
    with pytest.raises(ValueError, match=rf"other\.pth does not hold .*weights\.{kind}"):
        {"vgg16": vgg16_features, "inception": inception_features}[kind](path)


class _Trap:
    """Code that runs when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self._folder),)


@pytest.mark.parametrize("load", [vgg16_features, inception_features, lpips])
def test_no_code_in_a_file_of_weights_is_run(tmp_path: Path, load: Callable[[Path], object]) -> None:
    path = tmp_path / "trap.pth"
    torch.save({"a": _Trap(tmp_path / "sprung")}, path)
    with pytest.raises(ValueError, match=r"trap\.pth holds no weights"):
        load(path)
    assert not (tmp_path / "sprung").exists()
