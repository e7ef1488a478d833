"""Where published weights are looked for, and what is refused."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pipeline.files import sha256_file
from pipeline.params import Weights
from pipeline.weights import CACHED, Found, digest, find, find_weights, load_tensors


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_without_weights_nothing_is_found(cached: Path) -> None:
    assert find_weights(Weights(vgg16="", inception="")) == Found(None, None)


@pytest.mark.parametrize("kind", sorted(CACHED))
def test_a_named_file_is_taken_whatever_its_name(cached: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(b"anything")
    (cached / CACHED[kind][0]).write_bytes(b"not looked at")
    assert find(kind, str(path)) == path


@pytest.mark.parametrize("kind", sorted(CACHED))
def test_a_named_file_that_is_not_there_is_told_with_its_key(cached: Path, kind: str) -> None:
    with pytest.raises(ValueError, match=rf"weights\.{kind} is '/no/such.pth'"):
        find_weights(Weights(**{"vgg16": "", "inception": "", kind: "/no/such.pth"}))


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in CACHED.items() for name in names])
def test_a_cached_file_that_is_not_what_its_name_says_is_refused(cached: Path, kind: str, name: str) -> None:
    (cached / name).write_bytes(b"half of it")
    with pytest.raises(ValueError, match=f"{name} is not what its name says.*weights.{kind}"):
        find(kind, "")


@pytest.mark.parametrize("second", [False, True])
def test_a_cached_file_that_is_what_its_name_says_is_found(
    cached: Path, monkeypatch: pytest.MonkeyPatch, second: bool
) -> None:
    content = b"weights"
    (cached / "w").write_bytes(content)
    names = [f"one-{sha256_file(cached / 'w')[:8]}.pth", f"two-{sha256_file(cached / 'w')[:8]}.pth"]
    monkeypatch.setattr("pipeline.weights.CACHED", {"vgg16": tuple(names)})
    (cached / names[second]).write_bytes(content)
    assert find("vgg16", "") == cached / names[second]


def test_a_file_that_changed_has_another_digest(tmp_path: Path) -> None:
    path = tmp_path / "w"
    path.write_bytes(b"one")
    before = digest(path)
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert digest(path) == sha256_file(path)[:8] != before


STATE = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(1)}


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_tensors_come_back_from_both_formats(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if path.suffix == ".pth":
        torch.save(STATE, path)
    else:
        save_file(STATE, path)
    found = load_tensors(path)
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[key], STATE[key]) for key in STATE)


class _Object:
    """Something that only unpickling could bring back."""


_HELD = {"object": _Object(), "object inside": {"a": _Object()}, "number": {"a": 3}, "list": [torch.ones(1)]}


@pytest.mark.parametrize("held", _HELD.values(), ids=_HELD)
def test_what_is_not_tensors_is_refused(tmp_path: Path, held: object) -> None:
    path = tmp_path / "w.pth"
    torch.save(held, path)
    with pytest.raises(ValueError, match=r"w\.pth"):
        load_tensors(path)


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights at all"])
def test_a_damaged_file_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=name):
        load_tensors(path)
