"""A package that makes images out of noise, used: one image a seed, ways between them, one sentence for a mistake."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pipeline.files import write_json
from pipeline.generate import generate, parse_codes
from pipeline.generation import Sampler
from pipeline.inference import Stylizer, build_network
from pipeline.package import write_manifest
from tests.pipeline.packages import empty_workspace, write_package

NETWORK = {"name": "dcgan", "arguments": {"latent": 6, "channels": 4, "side": 16}}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    folder = tmp_path / "models" / "noise"
    folder.mkdir(parents=True)
    network = build_network(NETWORK)
    save_file(network.state_dict(), folder / "generator.safetensors")
    config = {"format": 1, "recipe": "noise", "style": "ink", "method": "dcgan", "task": "generate", "side": 16}
    write_json(folder / "config.json", {**config, "seed": 0, "network": NETWORK})
    write_manifest(folder, {"data": "d" * 64, "params": "p" * 64, "code": "c" * 64})
    return folder


def test_a_seed_gives_the_same_image_whatever_it_is_asked_for_with(package: Path) -> None:
    sampler = Sampler.load(package)
    together = [np.asarray(image) for image in sampler([3, 7, 3])]
    (alone,) = sampler([7])
    assert np.array_equal(together[1], np.asarray(alone))
    assert np.array_equal(together[0], together[2])
    assert not np.array_equal(together[0], together[1])
    assert alone.size == (16, 16)


def test_the_way_between_two_seeds_begins_and_ends_at_them(package: Path) -> None:
    sampler = Sampler.load(package)
    way = [np.asarray(image).astype(int) for image in sampler.between(1, 2, 5)]
    one, other = (np.asarray(image).astype(int) for image in sampler([1, 2]))
    assert abs(way[0] - one).max() <= 1
    assert abs(way[-1] - other).max() <= 1
    assert all(abs(a - b).max() > 0 for a, b in pairwise(way))


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda s: list(s([-1])), "seed is -1"),
        (lambda s: list(s([0], truncation=2.0)), "truncation is 2.0"),
        (lambda s: list(s([0], truncation=0.5)), "a DcganGenerator has none; leave it at 1"),
        (lambda s: list(s.between(0, 1, 1)), "1 images have no way between them"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(package: Path, ask: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ask(Sampler.load(package))  # type: ignore[operator]


def test_a_package_of_another_task_is_refused_by_the_loader(package: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"noise makes images out of noise \(`atelier generate`\); it cannot"):
        Stylizer.load(package)
    workspace = empty_workspace(tmp_path / "other")
    write_package(workspace, "ink")
    with pytest.raises(ValueError, match=r"ink repaints photographs \(`atelier stylize`\); it cannot"):
        Sampler.load(workspace.package("ink"))


def test_images_go_into_a_folder_a_file_each_or_onto_one_sheet(package: Path, tmp_path: Path) -> None:
    sampler = Sampler.load(package)
    files = list(generate(sampler, tmp_path / "out", 3, 5))
    assert [path.name for path in files] == ["seed-000005.png", "seed-000006.png", "seed-000007.png"]
    with Image.open(files[1]) as image:
        assert np.array_equal(np.asarray(image), np.asarray(next(iter(sampler([6])))))
    (sheet,) = generate(sampler, tmp_path / "sheet.png", 9, 0)
    with Image.open(sheet) as image:
        assert image.width > 8 * 16
        assert image.height > 2 * 16
    way = list(generate(sampler, tmp_path / "way", 4, 1, interpolate=True))
    assert [path.name for path in way] == [f"seed-1-to-2-{number:04d}.png" for number in range(4)]
    (tmp_path / "plain").touch()
    with pytest.raises(ValueError, match="is a file; name a folder"):
        list(generate(sampler, tmp_path / "plain", 1, 0))


CODED = {"name": "infogan", "arguments": {"noise": 6, "categories": [3], "continuous": 1, "channels": 4, "side": 16}}


@pytest.fixture
def coded() -> Sampler:
    torch.manual_seed(0)
    return Sampler(build_network(CODED), {}, "", torch.device("cpu"))


def test_a_code_is_set_and_all_else_stays_the_seeds(coded: Sampler) -> None:
    (seeds_own,) = coded([4])
    (set_to_it,) = coded([4], code=dict(_codes_of(coded, 4)))
    assert np.array_equal(np.asarray(seeds_own), np.asarray(set_to_it))
    three = [np.asarray(next(iter(coded([4], code={"k1": k})))) for k in range(3)]
    assert len({image.tobytes() for image in three}) == 3
    way = list(coded.between(1, 2, 3, code={"k1": 2, "c1": 0.5}))
    (first,) = coded([1], code={"k1": 2, "c1": 0.5})
    assert abs(np.asarray(way[0]).astype(int) - np.asarray(first).astype(int)).max() <= 1


def _codes_of(sampler: Sampler, seed: int) -> dict[str, float]:
    kinds = sampler.network.codes
    (category,), numbers = kinds.split(sampler.latent(seed)[:, -kinds.width :])
    return {"k1": float(category.argmax()), "c1": float(numbers[0, 0])}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ({"k1": 3}, "the code k1 is 3; it must be a whole number from 0 to 2"),
        ({"k1": 0.5}, "the code k1 is 0.5; it must be a whole number from 0 to 2"),
        ({"k1": float("nan")}, "the code k1 is nan; it must be a whole number"),
        ({"c1": 2.5}, "the code c1 is 2.5; it must be between -2 and 2"),
        ({"c1": float("nan")}, "the code c1 is nan; it must be between"),
        ({"k2": 0}, "no code is named 'k2'; this model has k1, c1"),
    ],
)
def test_a_code_that_cannot_be_is_said_in_a_sentence(coded: Sampler, code: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        list(coded([0], code=code))


def test_a_model_without_codes_says_so(package: Path) -> None:
    with pytest.raises(ValueError, match=r"a DcganGenerator has no codes, so 'k1' cannot be set; .*method: infogan"):
        list(Sampler.load(package)([0], code={"k1": 1}))


def test_codes_are_read_off_the_command_line() -> None:
    assert parse_codes(["k1=3", "c2=-0.5"]) == {"k1": 3.0, "c2": -0.5}
    for given, said in ((["k1"], "--code k1: write NAME=NUMBER"), (["k1=x"], "--code k1=x: write NAME=NUMBER")):
        with pytest.raises(ValueError, match=said):
            parse_codes(given)
    with pytest.raises(ValueError, match="--code k1 is given twice"):
        parse_codes(["k1=1", "k1=2"])
