"""The command line: help, errors in one sentence, the workspace's own code, and what each command shows."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from PIL import Image
from typer.main import get_command

from pipeline import cli
from pipeline.commands import building, deciding, images
from pipeline.stylize import Result

ROOT = Path(__file__).parents[2]
COMMANDS = sorted(
    name
    for name, command in get_command(cli.app).commands.items()  # type: ignore[attr-defined]
    if not hasattr(command, "commands")
)
HEAVY = ("torch", "mlflow", "prefect", "albumentations", "dvc", "numpy", "ruamel", "sqlalchemy")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Return a workspace of this checkout's own code, with nothing in it."""
    root = tmp_path / "workspace"
    root.mkdir()
    (root / "pipeline").symlink_to(ROOT / "pipeline")
    (root / "presets").symlink_to(ROOT / "presets")
    for name in ("dvc.yaml", "params.yaml"):
        (root / name).write_text((ROOT / name).read_text())
    (root / "recipes.yaml").write_text("styles: []\nrecipes: {}\n")
    return root


def _run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def _error(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert _run(*arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"\x1b\[[0-9;]*m", "", text))


def test_there_are_the_commands_that_were_promised() -> None:
    promised = (
        "ingest fetch remove report plan retrain promote hold rollback status stylize generate repair methods "
        "evaluate export compare judge vote explain calibrate doctor preset samples warm-start weights "
        "history backup restore prune serve studio up down upgrade "
        "publish reproduce adopt accept-code"
    )
    assert sorted(promised.split()) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_that_names_real_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(command, "--help") == 0
    text = _plain(capsys.readouterr().out)
    example = text.partition("Example: atelier ")[2]
    assert re.match(rf"(-C \S+ )?{command}\b", example)
    for option in re.findall(r"--[a-z-]+", example.partition("&&")[0]):
        assert f"{option} " in text.partition("Example:")[0]


def test_help_imports_nothing_heavy() -> None:
    code = f"import sys, pipeline.cli; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_errors_are_one_sentence(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no workspace at or above" in _error(capsys, "status")
    assert "no such folder" in _error(capsys, "-C", tmp_path / "nowhere", "status")
    assert "no preset named 'huge'" in _error(capsys, "-C", workspace, "preset", "huge")
    assert "--write needs --minutes" in _error(capsys, "-C", workspace, "calibrate", "--write")
    assert "say why with --reason" in _error(capsys, "-C", workspace, "promote", "monet")
    assert "say why with --reason" in _error(capsys, "-C", workspace, "hold", "monet", "2")
    assert "say why with --reason" in _error(capsys, "-C", workspace, "rollback", "monet", "--reason", " ")
    assert "no such folder" in _error(capsys, "-C", workspace, "ingest", tmp_path / "nowhere", "--photos")
    assert "exclude each other" in _error(capsys, "-C", workspace, "ingest", tmp_path, "--photos", "--style", "x")


def test_a_workspace_without_code_is_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dvc.yaml").touch()
    assert "no pipeline/cli.py" in _error(capsys, "-C", tmp_path, "status")


def test_debug_shows_the_traceback(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_DEBUG", "")  # restores what --debug sets
    with pytest.raises(ValueError, match="no preset named"):
        cli.main(["--debug", "-C", str(workspace), "preset", "huge"])


def test_the_workspaces_own_code_runs_with_the_callers_paths(tmp_path: Path) -> None:
    own = tmp_path / "studio" / "pipeline"
    own.mkdir(parents=True)
    (own.parent / "dvc.yaml").touch()
    (own / "__init__.py").touch()
    (own / "cli.py").write_text("import os, sys; print('studio code', os.getcwd(), sys.argv[1:])")
    here = tmp_path / "elsewhere"
    here.mkdir()
    command = [sys.executable, "-m", "pipeline.cli", "-C", "../studio", "plan", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"studio code {here} {command[3:]}"


def test_ingest_offers_the_folders_name(workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "Van Gogh (1889)"
    folder.mkdir()
    assert "--style van-gogh-1889" in _error(capsys, "-C", workspace, "ingest", folder)
    (tmp_path / "Photos").mkdir()
    assert "what the images are: --photos" in _error(capsys, "-C", workspace, "ingest", tmp_path / "Photos")


def test_ingest_asks_on_a_terminal(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    asked = []

    def confirm(question: str, default: bool) -> bool:
        asked.append(question)
        return default

    monkeypatch.setattr(typer, "confirm", confirm)
    (tmp_path / "monet").mkdir()
    assert images._collection(tmp_path / "monet", "", photos=False) == "monet"
    assert asked == ["Take them as --style monet?"]


def test_preset_is_written_and_a_dry_run_is_not(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (workspace / "params.yaml").read_text()
    assert _run("-C", workspace, "preset", "smoke", "--dry-run") == 0
    assert "train.steps: 20000 -> 6" in capsys.readouterr().out
    assert (workspace / "params.yaml").read_text() == before
    assert _run("-C", workspace, "preset", "smoke") == 0
    assert "steps: 6 " in (workspace / "params.yaml").read_text()
    assert _run("-C", workspace, "preset", "smoke") == 0
    assert "already" in _plain(capsys.readouterr().out)
    assert _run("-C", workspace, "preset") == 0
    assert "presets: demo, gpu, smoke" in capsys.readouterr().out


def test_status_of_an_empty_workspace_says_how_to_begin(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("-C", workspace, "status") == 0
    assert f"next: atelier -C {workspace} ingest FOLDER --style NAME" in _plain(capsys.readouterr().out)


def test_what_to_type_next_needs_no_workspace_inside_of_one(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace)
    assert _run("status") == 0
    assert "next: atelier ingest FOLDER --style NAME" in _plain(capsys.readouterr().out)
    monkeypatch.setenv("ATELIER_HINTS", "off")
    assert _run("status") == 0
    assert "next:" not in capsys.readouterr().out


def test_status_counts_and_says_why_it_cannot_tell(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = "{method: cut, style: ink, warm_start: none, overrides: {}}"
    (workspace / "recipes.yaml").write_text(f"styles: [ink]\nrecipes: {{ink: {entry}}}\n")
    folder = workspace / "data" / "styles" / "ink"
    folder.mkdir(parents=True)
    line = {"name": "a", "source": "", "width": 1, "height": 1, "bytes": 1, "format": "png", "phash": "0" * 16}
    entries = [
        {**line, "sha256": digit * 64, "group": digit * 64, "split": split, "flags": [], "added": ""}
        for digit, split in (("a", "train"), ("b", "train"), ("c", "test"))
    ]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    refused = workspace / "data" / "quarantine" / "ink"
    refused.mkdir(parents=True)
    (refused / "quarantine.jsonl").write_text("{}\n{}\n")
    assert _run("-C", workspace, "status", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["styles"] == [{"name": "ink", "train": 2, "test": 1, "excluded": 0, "quarantined": 2}]
    assert found["recipes"][0]["aliases"] == {}
    assert "dvc init" in found["unknown"]
    assert _run("-C", workspace, "status") == 0
    assert "dvc init" in _plain(capsys.readouterr().out)


def test_retrain_and_promote_are_the_workspaces_flows(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called = []

    def run_module(_workspace: object, module: str, arguments: list[str]) -> int:
        called.append([module, *arguments])
        return 3

    for module in (building, deciding):
        monkeypatch.setattr(module, "run_module", run_module)
    assert _run("-C", workspace, "retrain", "a", "b") == 3
    assert _run("-C", workspace, "promote", "a", "2", "--reason", "good") == 3
    assert _run("-C", workspace, "promote", "a", "--reason", "good") == 3
    assert _run("-C", workspace, "rollback", "a", "--reason", "bad") == 3
    assert called == [
        ["flows", "retrain", "a", "b"],
        ["flows", "promote", "a", "2", "--reason", "good"],
        ["flows", "promote", "a", "--reason", "good"],
        ["flows", "promote", "a", "--rollback", "--reason", "bad"],
    ]


def test_stylize_without_champion_offers_the_package(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "champions: none yet" in _error(capsys, "-C", workspace, "stylize", "a.jpg", "b.jpg", "--model", "ink")
    package = workspace / "models" / "ink"
    package.mkdir(parents=True)
    (package / "manifest.json").write_text("{}")
    told = _error(capsys, "-C", workspace, "stylize", "a.jpg", "b.jpg", "--model", "ink")
    assert f"name its folder: {package}" in told
    assert "no such file" in _error(capsys, "-C", workspace, "stylize", "no.jpg", "b.jpg", "--model", package)


def test_stylize_ends_with_1_and_names_the_file_that_failed(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline import inference, stylize

    package = tmp_path / "package"
    package.mkdir()
    (package / "manifest.json").write_text("{}")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    results = [Result(Path("good.png"), Path("out.png")), Result(Path("bad.png"), Path("o.png"), "truncated")]
    monkeypatch.setattr(inference.Stylizer, "load", lambda *_arguments: None)
    monkeypatch.setattr(stylize, "stylize", lambda *_arguments: iter(results))
    assert _run("-C", workspace, "stylize", tmp_path / "a.png", tmp_path / "b.png", "--model", package) == 1
    text = capsys.readouterr().out
    assert "painted: out.png" in text
    assert "not painted: bad.png: truncated" in text


def test_samples_says_what_to_do_with_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts = ["--photos", "1", "--artworks", "1", "--side", "32", "--style", "impasto"]
    assert _run("samples", tmp_path, *counts) == 0
    text = capsys.readouterr().out
    assert f"next: atelier ingest {tmp_path}/photos --photos" in text
    assert len(list((tmp_path / "styles" / "impasto").iterdir())) == 1


def test_methods_are_listed_by_task_with_what_they_cost_and_need(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("methods") == 0
    text = _plain(capsys.readouterr().out)
    assert "stylize: repaints photographs" in text
    assert text.index("cut: ") < text.index("generate: makes images") < text.index("dcgan: ")
    assert text.count("needs: ") == text.count("costs: ") == text.count("choose it: ") >= 2


def test_a_second_recipe_is_added_by_a_command(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = "{method: cut, style: ink, warm_start: none, overrides: {}}"
    (workspace / "recipes.yaml").write_text(f"styles: [ink]\nrecipes: {{ink: {entry}}}\n")
    assert _run("-C", workspace, "recipe", "add", "ink-noise", "--method", "dcgan", "--style", "ink") == 0
    assert f"next: atelier -C {workspace} retrain ink-noise" in _plain(capsys.readouterr().out)
    assert "method: dcgan" in (workspace / "recipes.yaml").read_text()
    told = _error(capsys, "-C", workspace, "recipe", "add", "x", "--method", "gan", "--style", "ink")
    assert "unknown method 'gan'; choose one of cut, fastcut, cyclegan, adain, dcgan" in told
