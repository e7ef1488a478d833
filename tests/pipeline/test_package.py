import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save

from pipeline.export import PARITY
from pipeline.files import read_json, sha256_file, write_json
from pipeline.inference import Stylizer, generator_weights, verify_package
from pipeline.package import TRAINED_ON, main, write_manifest
from pipeline.train import main as train
from pipeline.workspace import Workspace
from tests.pipeline.training import tiny_workspace

FILES = ("generator.safetensors", "generator.onnx", "config.json", "preview.jpg", TRAINED_ON)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    torch.set_num_threads(1)
    made = tiny_workspace(tmp_path_factory.mktemp("packaged"))
    train("dots", made)
    main("dots", made)
    return made


@pytest.fixture(scope="module")
def both_ways(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with the package of a method that learns the way back, too."""
    torch.set_num_threads(1)
    made = tiny_workspace(tmp_path_factory.mktemp("both_ways"), "cyclegan", train={"steps": 3})
    train("dots", made)
    main("dots", made)
    return made


@pytest.fixture
def copy(workspace: Workspace, tmp_path: Path) -> Path:
    return Path(shutil.copytree(workspace.package("dots"), tmp_path / "copy"))


def _photo(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(width * 1000 + height)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_packaging_again_gives_the_same_bytes(workspace: Workspace) -> None:
    folder = workspace.package("dots")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    main("dots", workspace)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert set(before) == {*FILES, "manifest.json"}


def test_nothing_in_a_package_tells_where_or_when_it_was_made(workspace: Workspace) -> None:
    for path in workspace.package("dots").iterdir():
        assert str(workspace.root).encode() not in path.read_bytes()
        assert b"site-packages" not in path.read_bytes(), path.name


@pytest.mark.parametrize("shape", [(1, 64, 64), (2, 16, 16), (3, 32, 80), (1, 128, 48), (1, 100, 20)])
def test_onnx_and_torch_agree_at_every_size(workspace: Workspace, shape: tuple[int, int, int]) -> None:
    package = workspace.package("dots")
    count, height, width = shape
    photo = torch.rand(count, 3, height, width) * 2 - 1
    session = onnxruntime.InferenceSession(package / "generator.onnx", providers=["CPUExecutionProvider"])
    (painted,) = session.run(["painting"], {"photo": photo.numpy()})
    with torch.inference_mode():
        expected = Stylizer.load(package).network(photo)
    assert np.abs(painted - expected.numpy()).max() < PARITY


@pytest.mark.parametrize("size", [(32, 32), (1, 1), (33, 47), (200, 31), (7, 300)])
def test_any_size_comes_back_in_its_size(workspace: Workspace, size: tuple[int, int]) -> None:
    assert Stylizer.load(workspace.package("dots"))(_photo(*size)).size == size


def test_padding_does_not_show(workspace: Workspace) -> None:
    """A size that needs no padding gives what the network gives."""
    stylizer = Stylizer.load(workspace.package("dots"))
    photo = torch.rand(1, 3, 32, 48) * 2 - 1
    torch.testing.assert_close(stylizer.paint_tensor(photo), stylizer.network(photo), atol=PARITY, rtol=0)


def test_strength_goes_from_the_photograph_to_the_painting(workspace: Workspace) -> None:
    stylizer, photo = Stylizer.load(workspace.package("dots")), _photo(40, 40)
    painted = np.asarray(stylizer(photo), dtype=float)
    assert np.array_equal(stylizer(photo, strength=0), photo)
    distances = [
        np.abs(np.asarray(stylizer(photo, strength=s), dtype=float) - painted).mean() for s in (0, 0.3, 0.7, 1)
    ]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] == 0
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="strength"):
            stylizer(photo, strength=wrong)


def test_preserving_colour_keeps_the_photographs_hues(workspace: Workspace) -> None:
    stylizer = Stylizer.load(workspace.package("dots"))
    photo = Image.new("RGB", (32, 32), (180, 90, 60))
    kept = np.asarray(stylizer(photo, preserve_color=True).convert("YCbCr"), dtype=int)
    wanted = np.asarray(photo.convert("YCbCr"), dtype=int)
    inside = (kept[..., 0] > 60) & (kept[..., 0] < 190)  # beyond, the hue does not fit into RGB
    assert inside.any()
    assert np.abs(kept - wanted)[inside][:, 1:].max() <= 3


def test_a_package_names_the_images_it_was_trained_on_and_no_others(workspace: Workspace) -> None:
    package = workspace.package("dots")
    named = read_json(package / TRAINED_ON)
    assert set(named) == {"photos", "dots"}
    for collection, images in named.items():
        folder = workspace.prepared(collection)
        assert images == sorted(path.stem for path in (folder / "train").iterdir())
        assert not set(images) & {path.stem for path in (folder / "test").iterdir()}
    assert read_json(package / "manifest.json")["files"][TRAINED_ON] == sha256_file(package / TRAINED_ON)


def test_a_package_of_before_that_record_still_loads(copy: Path) -> None:
    digests = read_json(copy / "manifest.json")["digests"]
    (copy / TRAINED_ON).unlink()
    digest = write_manifest(copy, digests)["package"]
    assert verify_package(copy) == digest
    assert Stylizer.load(copy, expected=digest)(_photo(20, 30)).size == (20, 30)


@pytest.mark.parametrize("name", FILES)
def test_a_changed_or_missing_file_is_never_loaded(copy: Path, name: str) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(ValueError, match=name):
        Stylizer.load(copy)
    (copy / name).unlink()
    with pytest.raises(ValueError, match=f"lacks {name}"):
        Stylizer.load(copy)


def test_a_package_that_is_whole_but_not_the_recorded_one_is_refused(copy: Path) -> None:
    digest = verify_package(copy)
    assert Stylizer.load(copy, expected=digest).digest == digest
    with pytest.raises(ValueError, match="not 000"):
        Stylizer.load(copy, expected="0" * 64)
    manifest = read_json(copy / "manifest.json")
    manifest["digests"]["data"] = "other"
    write_json(copy / "manifest.json", manifest)
    with pytest.raises(ValueError, match="digest"):
        Stylizer.load(copy)


def test_a_package_of_other_layers_than_this_version_builds_is_refused_in_a_sentence(copy: Path) -> None:
    weights = load_file(copy / "generator.safetensors")
    first = next(iter(weights))
    weights[f"older.{first}"] = weights.pop(first)
    (copy / "generator.safetensors").write_bytes(save(weights))
    write_manifest(copy, read_json(copy / "manifest.json")["digests"])
    with pytest.raises(ValueError, match=r"other layers than this version gives a 'resnet'.*atelier promote"):
        Stylizer.load(copy)


def test_a_package_whose_network_takes_other_arguments_is_refused_in_a_sentence(copy: Path) -> None:
    config = read_json(copy / "config.json")
    config["network"]["arguments"]["brushes"] = 3
    write_json(copy / "config.json", config)
    write_manifest(copy, read_json(copy / "manifest.json")["digests"])
    with pytest.raises(ValueError, match=r"a 'resnet' network with brushes, which.*atelier promote"):
        Stylizer.load(copy)


def test_a_folder_that_is_no_package_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"manifest\.json"):
        Stylizer.load(tmp_path)


@pytest.mark.parametrize("which", ["last", "best"])
def test_which_networks_are_taken_is_chosen_and_told(workspace: Workspace, tmp_path: Path, which: str) -> None:
    chosen = Workspace(Path(shutil.copytree(workspace.root, tmp_path / "chosen", symlinks=True)))
    trained = chosen.trained("dots")
    with np.load(trained / "best.npz") as arrays:
        weights = {name: array + 0.5 for name, array in arrays.items()}
    np.savez(trained / "best.npz", **weights)
    config = read_json(trained / "config.json")
    config["validation"] = {
        "last": {"step": 6, "validation": 0.75}, "best": {"step": 4, "validation": 0.5},
    }  # fmt: skip
    write_json(trained / "config.json", config)
    params = chosen.params_file.read_text()
    chosen.params_file.write_text(params.replace("package: last", f"package: {which}"))
    package = main("dots", chosen)
    expected = generator_weights(trained / {"last": "networks.npz", "best": "best.npz"}[which])
    for name, weight in Stylizer.load(package).network.state_dict().items():
        assert torch.equal(weight, expected[name])
    told = read_json(package / "config.json")["packaged"]
    assert (told["which"], told["step"]) == (which, {"last": 6, "best": 4}[which])
    assert told["why"].startswith(f"the {which}, as" if which == "last" else "the best on the watch's panel, as")
    assert "0.500 at step 4" in told["why"]
    assert "0.750" in told["why"]


def test_weights_that_are_not_finite_are_not_packaged(workspace: Workspace, tmp_path: Path) -> None:
    broken = Workspace(Path(shutil.copytree(workspace.root, tmp_path / "broken", symlinks=True)))
    file = broken.trained("dots") / "networks.npz"
    with np.load(file) as arrays:
        weights = dict(arrays)
    weights["generator.to_rgb.bias"][0] = np.nan
    np.savez(file, **weights)
    before = (broken.package("dots") / "manifest.json").read_bytes()
    with pytest.raises(ValueError, match=r"to_rgb\.bias.*not finite"):
        main("dots", broken)
    assert (broken.package("dots") / "manifest.json").read_bytes() == before


BACK = ("reverse.safetensors", "reverse.onnx")


def test_the_way_back_is_packaged_and_checked_like_the_way_there(both_ways: Workspace, tmp_path: Path) -> None:
    package = both_ways.package("dots")
    files = read_json(package / "manifest.json")["files"]
    assert set(files) == {*FILES, *BACK}
    for name in BACK:
        assert files[name] == sha256_file(package / name)
        damaged = Path(shutil.copytree(package, tmp_path / name))
        data = bytearray((damaged / name).read_bytes())
        data[len(data) // 2] ^= 1
        (damaged / name).write_bytes(data)
        with pytest.raises(ValueError, match=name):
            Stylizer.load(damaged)


def test_each_way_has_the_averaged_weights_of_its_own_generator(both_ways: Workspace) -> None:
    stylizer, trained = Stylizer.load(both_ways.package("dots")), both_ways.trained("dots") / "networks.npz"
    assert stylizer.reverse is not None
    for name, network in (("generator", stylizer.network), ("reverse", stylizer.reverse)):
        expected = generator_weights(trained, name)
        assert network.state_dict().keys() == expected.keys()
        assert all(torch.equal(weight, expected[key]) for key, weight in network.state_dict().items())


@pytest.mark.parametrize("shape", [(1, 64, 64), (2, 16, 48)])
def test_onnx_and_torch_agree_on_the_way_back(both_ways: Workspace, shape: tuple[int, int, int]) -> None:
    package, (count, height, width) = both_ways.package("dots"), shape
    painting = torch.rand(count, 3, height, width) * 2 - 1
    session = onnxruntime.InferenceSession(package / "reverse.onnx", providers=["CPUExecutionProvider"])
    (photo,) = session.run(["photo"], {"painting": painting.numpy()})
    expected = Stylizer.load(package).paint_tensor(painting, reverse=True)
    assert np.abs(photo - expected.numpy()).max() < PARITY


def test_reverse_chooses_the_way_and_all_other_options_hold(both_ways: Workspace) -> None:
    stylizer, picture = Stylizer.load(both_ways.package("dots")), _photo(40, 33)
    there, back = stylizer(picture), stylizer(picture, reverse=True)
    assert there.size == back.size == (40, 33)
    assert not np.array_equal(there, back)
    assert np.array_equal(stylizer(picture, strength=0, reverse=True), picture)


def test_a_model_that_only_paints_says_so_when_it_is_asked_for_the_way_back(workspace: Workspace) -> None:
    with pytest.raises(ValueError, match=r"dots \(method cut\) paints photographs, and has not learnt the way back"):
        Stylizer.load(workspace.package("dots"))(_photo(20, 20), reverse=True)


def test_the_best_networks_of_both_ways_are_of_the_same_step(tmp_path: Path) -> None:
    """The watch looks at one generator; the other one of that step is kept beside it."""
    overlay = {"train": {"steps": 8, "watch_every": 4, "package": "best", "learning_rate": 0.002}}
    made = tiny_workspace(tmp_path, "cyclegan", **overlay)
    trained = train("dots", made)
    best, last = (
        {name: generator_weights(trained / file, name) for name in ("generator", "reverse")}
        for file in ("best.npz", "networks.npz")
    )
    step = read_json(trained / "config.json")["validation"]["best"]["step"]
    for name in ("generator", "reverse"):
        same = all(torch.equal(best[name][key], last[name][key]) for key in best[name])
        assert same == (step == 8), name
    stylizer = Stylizer.load(main("dots", made))
    assert stylizer.reverse is not None
    assert all(torch.equal(value, best["reverse"][key]) for key, value in stylizer.reverse.state_dict().items())
