"""Recipes of many styles: groups in recipes.yaml, their stage, the graph, and batches drawn from all of them."""

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import yaml

from pipeline import group
from pipeline.distributed import ALONE
from pipeline.files import read_json
from pipeline.params import load_params
from pipeline.plan import explain, stages_of
from pipeline.recipes import Book, Recipe, add_recipe, load_book
from pipeline.steps import Steps
from pipeline.trainer import step_randomness
from pipeline.workspace import Workspace
from tests.pipeline.training import prepare_by_hand, tiny_workspace

STYLES = ("dots", "lines", "waves")


@pytest.fixture
def studio(tmp_path: Path) -> Workspace:
    """Three styles, and a recipe `many` of all of them."""
    workspace = tiny_workspace(tmp_path, "cut")
    params = load_params(workspace.params_file)
    for seed, style in enumerate(STYLES[1:], 3):
        prepare_by_hand(workspace.prepared(style), "paintings", params, seed=seed)
    tree = yaml.safe_load(workspace.recipes_file.read_text())
    workspace.recipes_file.write_text("# Ours.\n" + yaml.safe_dump({**tree, "styles": list(STYLES)}))
    add_recipe(workspace, "many", "adain", STYLES)
    return workspace


def test_a_recipe_of_many_styles_is_added_beside_what_stands_there(studio: Workspace) -> None:
    text = studio.recipes_file.read_text()
    assert text.startswith("# Ours.\n")
    book = load_book(studio)
    assert book.recipes["dots"] == Recipe("dots", "cut", "dots", "none", {})
    assert book.groups == {"many-styles": STYLES}
    many = book.recipe("many")
    assert (many.style, many.styles, many.group) == ("dots", STYLES, "many-styles")
    assert many.collections == ("photos", *STYLES)
    add_recipe(studio, "two", "adain", ["waves", "dots", "waves"])
    assert load_book(studio).groups == {"many-styles": STYLES, "two-styles": ("waves", "dots")}
    assert load_book(studio).recipe("many") == many
    add_recipe(studio, "one", "adain", ["lines"])
    assert load_book(studio).recipe("one").group is None


def test_a_method_of_one_style_refuses_a_group(studio: Workspace) -> None:
    with pytest.raises(ValueError, match=r"'few-styles' is a group of styles, and method 'cut' learns one.*adain"):
        add_recipe(studio, "few", "cut", ["dots", "lines"])
    assert "few" not in studio.recipes_file.read_text()


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"g-dots": {"group": "g"}}, "must have just the keys group and style"),
        ({"other": {"group": "g", "style": "dots"}}, "must be named g-dots"),
        ({"g-rain": {"group": "g", "style": "rain"}}, "'rain' is not among the styles"),
        ({"dots-lines": {"group": "dots", "style": "lines"}}, "'dots' is a style"),
        ([1], "'groups' must be a mapping"),
    ],
)
def test_a_wrong_group_is_told(studio: Workspace, entry: object, said: str) -> None:
    tree = yaml.safe_load(studio.recipes_file.read_text())
    studio.recipes_file.write_text(yaml.safe_dump({**tree, "groups": entry, "recipes": {}}))
    with pytest.raises(ValueError, match=said):
        load_book(studio)


def test_a_member_s_file_changes_with_its_images_and_with_the_group_alone(studio: Workspace) -> None:
    path = group.main("many-styles", "lines", studio)
    assert path == studio.prepared("many-styles") / "lines.json"
    before = path.read_bytes()
    assert group.main("many-styles", "lines", studio).read_bytes() == before
    assert set(read_json(path)["files"]) >= {"index.json"}
    (studio.prepared("dots") / "index.json").write_text("{}")  # another style's
    assert group.main("many-styles", "lines", studio).read_bytes() == before
    shutil.copy(studio.prepared("dots") / "index.json", studio.prepared("lines") / "more")
    assert group.main("many-styles", "lines", studio).read_bytes() != before


def test_the_file_of_a_style_that_left_goes(studio: Workspace) -> None:
    for style in STYLES:
        group.main("many-styles", style, studio)
    tree = yaml.safe_load(studio.recipes_file.read_text())
    del tree["groups"]["many-styles-waves"]
    studio.recipes_file.write_text(yaml.safe_dump(tree))
    before = (studio.prepared("many-styles") / "dots.json").read_bytes()
    assert group.main("many-styles", "dots", studio).read_bytes() != before
    assert {path.name for path in studio.prepared("many-styles").iterdir()} == {"dots.json", "lines.json"}
    with pytest.raises(ValueError, match=r"'waves' is not in the group 'many-styles' .*there: dots, lines"):
        group.main("many-styles", "waves", studio)


def test_new_artworks_of_any_of_its_styles_make_it_stale_and_nothing_else() -> None:
    recipes = {style: Recipe(style, "cut", style, "none", {}) for style in STYLES}
    many = Recipe("many", "adain", "dots", "none", {}, "all", ("lines",))
    book = Book(STYLES, {**recipes, "many": many}, {"all": ("dots", "lines")})
    lock = dict.fromkeys(stage for recipe in book.recipes.values() for stage in stages_of(recipe))

    def stale(style: str) -> dict[str, list[str]]:
        status = {f"prepare@{style}": [{"changed deps": {f"data/styles/{style}": "modified"}}]}
        plans = explain(status, {name: {} for name in lock}, {}, book)
        return {each.recipe: [stage.name for stage in each.stages if stage.reasons] for each in plans if each.stale}

    assert stale("waves").keys() == {"waves"}
    found = stale("lines")
    assert found.keys() == {"lines", "many"}
    assert found["many"] == ["prepare@lines", "group@all-lines", "train@many", "package@many", "evaluate@many"]


@pytest.mark.slow
def test_dvc_builds_a_group_s_members_before_its_recipe_and_no_other_style(workspace: Path) -> None:
    (workspace / "recipes.yaml").write_text(
        "styles: [a, b, c]\n"
        "groups:\n  g-a: {group: g, style: a}\n  g-b: {group: g, style: b}\n"
        "recipes:\n  many: {method: adain, style: g, warm_start: none, overrides: {}}\n"
    )
    for name in ("styles/a", "styles/b", "styles/c", "photos"):
        (workspace / "data" / name).mkdir(parents=True)
        (workspace / "data" / name / "x").write_text(name)
    (workspace / "warm" / "none").mkdir(parents=True, exist_ok=True)
    if not (workspace / ".dvc").is_dir():
        subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=workspace, check=True)
    said = subprocess.run(
        [sys.executable, "-m", "dvc", "dag", "--dot", "evaluate@many"],
        cwd=workspace, capture_output=True, text=True, check=True,
    )  # fmt: skip
    edges = {tuple(line.strip(' ;"').split('" -> "')) for line in said.stdout.splitlines() if "->" in line}
    assert {name for edge in edges for name in edge} == {*stages_of(load_book(Workspace(workspace)).recipe("many"))}
    for style in "ab":
        way = (f"prepare@{style}", f"group@g-{style}", "train@many", "package@many", "evaluate@many")
        assert {*pairwise(way), (f"judge@{style}", f"group_judge@g-{style}")} <= edges
        assert (f"group_judge@g-{style}", "evaluate@many") in edges


def test_batches_are_drawn_from_all_styles_alike(studio: Workspace) -> None:
    params = load_params(studio.params_file)
    recipe = load_book(studio).recipe("many")
    steps = Steps(studio, recipe, params, torch.device("cpu"), ALONE)
    tints = {}
    for style in STYLES:
        alone = Steps(studio, replace(recipe, style=style, others=()), params, torch.device("cpu"), ALONE)
        tints[style] = alone.crops(8, step_randomness(0, 1)).paintings.mean((0, 2, 3))
    counts: Counter[str] = Counter()
    for step in range(5):
        for image in steps.crops(32, step_randomness(0, step)).paintings:
            counts[min(STYLES, key=lambda style: float((image.mean((1, 2)) - tints[style]).abs().sum()))] += 1
    assert counts.keys() == set(STYLES)
    assert min(counts.values()) > 30  # of 160, a third each: a deviation of 6
    again = steps.crops(4, step_randomness(0, 5)), steps.crops(4, step_randomness(0, 5))
    assert torch.equal(again[0].paintings, again[1].paintings)


def test_the_default_recipes_are_read_without_groups(new_workspace: Callable[[], Path]) -> None:
    workspace = Workspace(new_workspace())
    assert "groups:" not in workspace.recipes_file.read_text().replace("#   groups:", "")
    assert load_book(workspace).groups == {}
