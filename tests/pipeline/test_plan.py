"""What is stale and why, from real answers of `dvc status`."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.plan import explain, plan, read_status, stages_of
from pipeline.recipes import Book, Recipe
from pipeline.workspace import Workspace

ROOT = Path(__file__).parents[2]
BOOK = Book(("monet", "ink"), {name: Recipe(name, "cut", name, "none", {}) for name in ("monet", "ink")})
STAGES = [stage for recipe in BOOK.recipes.values() for stage in stages_of(recipe)]
BUILT = {"params": {"params.yaml": {"train.steps": 4, "cut": {"gan": "hinge"}}}}
LOCK: dict[str, Any] = dict.fromkeys(STAGES, BUILT)
VALUES: dict[str, Any] = {"params.yaml": {"train": {"steps": 5}, "cut": {"gan": "lsgan"}}, "recipes.yaml": {}}


def _why(status: dict[str, Any], lock: dict[str, Any] = LOCK) -> dict[str, list[tuple[str, str, str]]]:
    return {
        each.recipe: [(stage.name, r.kind, r.detail) for stage in each.stages for r in stage.reasons]
        for each in explain(status, lock, VALUES, BOOK)
    }


def test_nothing_changed_is_up_to_date() -> None:
    assert _why({}) == {"monet": [], "ink": []}


def test_new_artworks_of_one_style_leave_the_other_alone() -> None:
    status = {"prepare@monet": [{"changed deps": {"data/styles/monet": "modified"}}]}
    found = _why(status)
    assert found["ink"] == []
    assert found["monet"][0] == ("prepare@monet", "data", "data/styles/monet modified")
    assert [stage for stage, kind, _ in found["monet"] if kind == "upstream"] == [
        "train@monet",
        "package@monet",
        "evaluate@monet",
    ]


def test_a_new_judge_scores_anew_and_trains_nothing() -> None:
    found = _why({"judge@ink": [{"changed deps": {"params.yaml": {"judge": "modified"}}}]})["ink"]
    assert [(stage, kind) for stage, kind, _ in found] == [("judge@ink", "params"), ("evaluate@ink", "upstream")]


def test_photographs_concern_every_recipe_but_no_style() -> None:
    found = _why({"prepare_photos": [{"changed deps": {"data/photos": "modified"}}]})
    for recipe in ("monet", "ink"):
        assert found[recipe][0][1] == "data"
        assert f"prepare@{recipe}" not in [stage for stage, _, _ in found[recipe]]


def test_a_changed_parameter_is_told_with_both_values() -> None:
    how = {"train.steps": "modified", "cut": "modified"}
    found = _why({"train@ink": [{"changed deps": {"params.yaml": how}}]})["ink"]
    told = [detail for stage, kind, detail in found if (stage, kind) == ("train@ink", "params")]
    assert told == ["train.steps 4 -> 5", "cut.gan hinge -> lsgan"]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"changed deps": {"pipeline/losses.py": "modified"}}, "code"),
        ("changed command", "code"),
        ({"changed outs": {"models/ink": "deleted"}}, "output"),
        ({"changed deps": {"data/prepared/ink": "modified"}}, "data"),
        ({"changed deps": {"params.yaml": "modified"}}, "params"),
    ],
)
def test_every_change_has_its_kind(change: Any, kind: str) -> None:
    found = explain({"package@ink": [change]}, LOCK, VALUES, BOOK)[1]
    assert found.kinds == (kind,)
    assert found.stale


def test_a_stage_that_never_ran_is_new_and_not_a_list_of_missing_files() -> None:
    status = {stage: [{"changed deps": {"params.yaml": "new", "pipeline/files.py": "modified"}}] for stage in STAGES}
    lock = {stage: entry for stage, entry in LOCK.items() if "ink" not in stage and stage != "prepare_photos"}
    found = explain(status, lock, VALUES, BOOK)[1]
    assert found.kinds == ("new",)
    assert [reason.detail for stage in found.stages for reason in stage.reasons] == ["never built"] * 6


def test_the_stages_are_those_of_dvc_yaml_in_its_order() -> None:
    names = list(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
    ours = [stage.partition("@")[0] for stage in stages_of(BOOK.recipes["ink"])]
    assert [name for name in names if name not in ("check", "group", "group_judge")] == ours
    grouped = stages_of(Recipe("many", "adain", "monet", "none", {}, "all", ("ink",)))
    assert list(dict.fromkeys(stage.partition("@")[0] for stage in grouped)) == names[1:]


def test_a_workspace_without_a_style_has_no_plan(tmp_path: Path) -> None:
    (tmp_path / "recipes.yaml").write_text("styles: []\nrecipes: {}\n")
    assert plan(Workspace(tmp_path)) == []


def test_without_dvc_it_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    entry = "{method: cut, style: ink, warm_start: none, overrides: {}}"
    (tmp_path / "recipes.yaml").write_text(f"styles: [ink]\nrecipes: {{ink: {entry}}}\n")
    with pytest.raises(ValueError, match="run `dvc init` there"):
        plan(Workspace(tmp_path))


@pytest.fixture
def repository(tmp_path: Path) -> Workspace:
    """A git and DVC repository with one stage, built."""
    (tmp_path / "dvc.yaml").write_text("stages: {make: {cmd: touch made, outs: [made]}}\n")
    dvc = [sys.executable, "-m", "dvc"]
    for command in (["git", "init", "-q"], [*dvc, "init", "-q"], [*dvc, "repro", "-q"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    return Workspace(tmp_path)


def test_a_repository_that_another_dvc_command_holds_is_told_so(repository: Workspace) -> None:
    from dvc.repo import Repo  # type: ignore[import-untyped]

    assert read_status(repository) == {}
    with Repo(repository.root).lock, pytest.raises(ValueError, match="another DVC command is running here"):
        read_status(repository)


def test_a_broken_lock_file_is_no_other_command(repository: Workspace) -> None:
    (repository.root / "dvc.lock").write_text('schema: "2.0"\nstages: 5\n')
    with pytest.raises(ValueError, match=r"dvc\.lock.*validation failed") as broken:
        read_status(repository)
    assert "another" not in str(broken.value)


def test_a_file_that_another_dvc_command_uses_is_told_too(repository: Workspace) -> None:
    held = {"pid": os.getpid(), "cmd": "dvc repro"}
    made = str(repository.root / "made")
    (repository.root / ".dvc" / "tmp" / "rwlock").write_text(json.dumps({"read": {}, "write": {made: held}}))
    with pytest.raises(ValueError, match=r"another DVC command is running here .*is busy"):
        read_status(repository)
