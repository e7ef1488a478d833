"""Where published weights are looked for, and what is refused."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file

from pipeline import cli
from pipeline.files import sha256_file
from pipeline.params import Weights, load_params, merge, parse, read_tree
from pipeline.pinning import look, pin
from pipeline.presets import apply_changes
from pipeline.weights import CACHED, Found, WeightsError, digest, find, find_weights, load_tensors, locate
from tests.pipeline.training import ROOT, tiny_workspace

NONE = Weights(vgg16="", vgg16_sha256="0" * 8, inception="", inception_sha256="0" * 8)


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_without_weights_nothing_is_found(cached: Path) -> None:
    assert find_weights(NONE) == Found(None, None)


@pytest.mark.parametrize("kind", sorted(CACHED))
def test_a_named_file_is_taken_whatever_its_name(cached: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(b"anything")
    (cached / CACHED[kind][0]).write_bytes(b"not looked at")
    assert locate(kind, str(path)) == path


@pytest.mark.parametrize("kind", sorted(CACHED))
def test_another_file_than_the_one_asked_for_is_refused_by_name_and_digest(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(b"anything")
    known = sha256_file(path)
    for wanted in (known, known[:8]):
        assert find(kind, str(path), wanted, "some.key") == path
        named = replace(NONE, **{kind: str(path), f"{kind}_sha256": wanted})
        assert getattr(find_weights(named), kind) == path
    said = rf"{path} is not the file that some\.key asks for.*begins with {known[:8]}, not 00000000.*weights --pin"
    with pytest.raises(WeightsError, match=said):
        find(kind, str(path), "0" * 64, "some.key")
    with pytest.raises(WeightsError, match=rf"weights\.{kind}_sha256"):
        find_weights(replace(NONE, **{kind: str(path)}))


def test_what_is_asked_for_without_a_choice_are_the_published_files() -> None:
    params = load_params(ROOT / "params.yaml")
    for kind in CACHED:
        digests = {Path(name).stem.rpartition("-")[2] for name in CACHED[kind]}
        assert digests == {getattr(params.weights, f"{kind}_sha256")}
    assert params.adain.encoder.vgg16_sha256 == params.weights.vgg16_sha256


@pytest.mark.parametrize("wrong", ["", "397923A7", "397923a", "g" * 64, "0" * 65, 12345678])
def test_what_is_no_digest_is_told_with_its_key(wrong: object) -> None:
    tree = read_tree(ROOT / "params.yaml")
    with pytest.raises(ValueError, match=r"'weights\.vgg16_sha256' is "):
        parse(merge(tree, {"weights": {"vgg16_sha256": wrong}}))


def test_pinning_asks_for_the_files_that_are_here_and_then_finds_nothing_to_do(
    cached: Path, tmp_path: Path
) -> None:
    params, mine = tmp_path / "params.yaml", tmp_path / "mine.pth"
    mine.write_bytes(b"one")
    params.write_text((ROOT / "params.yaml").read_text().replace('vgg16: ""', f'vgg16: "{mine}"'))
    before = params.read_text()
    assert [each.strange for each in look(params)] == [("weights.vgg16_sha256", "adain.encoder.vgg16_sha256"), ()]
    changed = pin(params)
    known = sha256_file(mine)
    assert [(key, new) for key, _, new in changed] == [
        ("adain.encoder.vgg16_sha256", known), ("weights.vgg16_sha256", known)
    ]  # fmt: skip
    assert find_weights(load_params(params).weights) == Found(vgg16=mine)
    assert pin(params) == []
    assert [line for line in params.read_text().splitlines() if "sha256" not in line] == [
        line for line in before.splitlines() if "sha256" not in line
    ]
    mine.write_bytes(b"two")
    os.utime(mine, ns=(1, 1))
    with pytest.raises(WeightsError, match=r"is not the file that weights\.vgg16_sha256 asks for"):
        find_weights(load_params(params).weights)


def test_a_machine_without_weights_pins_nothing(cached: Path, tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text((ROOT / "params.yaml").read_text())
    assert [each.path for each in look(params)] == [None, None]
    assert pin(params) == []
    assert find_weights(load_params(params).weights) == Found()


def test_the_command_tells_of_a_strange_file_and_takes_it_on_request(
    cached: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace, mine = tiny_workspace(tmp_path), tmp_path / "mine.pth"
    mine.write_bytes(b"one")
    apply_changes(workspace.params_file, {"weights": {"vgg16": str(mine)}})

    def run(*options: str) -> str:
        with pytest.raises(SystemExit) as ended:
            cli.main(["-C", str(tmp_path), "weights", *options])
        assert not ended.value.code
        return "".join(capsys.readouterr().out.split())

    assert "notwhatweights.vgg16_sha256andadain.encoder.vgg16_sha256asksfor" in run()
    assert f"adain.encoder.vgg16_sha256:397923af->{sha256_file(mine)}" in run("--pin")
    found = run()
    assert f"SHA-256{sha256_file(mine)}:asaskedfor" in found
    assert "inception:nonehere" in found


def _params_of(stage: str, method: str) -> list[str]:
    """Return the parameters in params.yaml that a stage of dvc.yaml depends on."""
    listed = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]["do"]["params"]
    return [each.replace("${item.method}", method) for each in listed if isinstance(each, str)]


def test_dvc_sees_which_weights_and_not_where_they_lie(tmp_path: Path) -> None:
    """Only what looks through weights becomes stale with them, and nothing by moving them."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    stages = {
        name: {"cmd": f"echo {name} > {name}", "params": _params_of(stage, method), "outs": [name]}
        for name, stage, method in (
            ("cut", "train", "cut"), ("adain", "train", "adain"), ("evaluate", "evaluate", "cut")
        )
    }  # fmt: skip
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))

    def dvc(*arguments: str) -> str:
        command = [sys.executable, "-m", "dvc", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    dvc("init", "--no-scm", "-q")
    dvc("repro", "-q")
    text = (tmp_path / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace('vgg16: ""', 'vgg16: "/elsewhere/vgg16.pth"'))
    assert json.loads(dvc("status", "--json")) == {}
    (tmp_path / "vgg16.pth").write_bytes(b"other weights")
    (tmp_path / "params.yaml").write_text(text.replace('vgg16: ""', f'vgg16: "{tmp_path / "vgg16.pth"}"'))
    pin(tmp_path / "params.yaml")
    assert set(json.loads(dvc("status", "--json"))) == {"adain", "evaluate"}



@pytest.mark.parametrize("kind", sorted(CACHED))
def test_a_named_file_that_is_not_there_is_told_with_its_key(cached: Path, kind: str) -> None:
    with pytest.raises(ValueError, match=rf"weights\.{kind} is '/no/such.pth'"):
        find_weights(replace(NONE, **{kind: "/no/such.pth"}))


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in CACHED.items() for name in names])
def test_a_cached_file_that_is_not_what_its_name_says_is_refused(cached: Path, kind: str, name: str) -> None:
    (cached / name).write_bytes(b"half of it")
    with pytest.raises(WeightsError, match=f"{name} is not what its name says.*weights.{kind}"):
        locate(kind, "")


@pytest.mark.parametrize("second", [False, True])
def test_a_cached_file_that_is_what_its_name_says_is_found(
    cached: Path, monkeypatch: pytest.MonkeyPatch, second: bool
) -> None:
    content = b"weights"
    (cached / "w").write_bytes(content)
    names = [f"one-{sha256_file(cached / 'w')[:8]}.pth", f"two-{sha256_file(cached / 'w')[:8]}.pth"]
    monkeypatch.setattr("pipeline.weights.CACHED", {"vgg16": tuple(names)})
    (cached / names[second]).write_bytes(content)
    assert locate("vgg16", "") == cached / names[second]


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
