import json
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.catalogue import METHODS as FACTS
from pipeline.params import check_method, load_params, merge, parse, read_tree
from pipeline.recipes import add_recipe, add_style, load_book, recipe_params, set_warm_start
from pipeline.workspace import Workspace, check_name, find_workspace, slug

ROOT = Path(__file__).parents[2]
TREE = read_tree(ROOT / "params.yaml")


def test_the_file_in_the_repository_is_right_and_complete() -> None:
    assert json.loads(json.dumps(parse(TREE).tree())) == TREE  # tuples are lists in the file


@pytest.mark.parametrize("preset", sorted(path.name for path in (ROOT / "presets").glob("*.yaml")))
def test_every_preset_fits_the_parameters(preset: str) -> None:
    changed = parse(merge(TREE, read_tree(ROOT / "presets" / preset)))
    assert changed != parse(TREE)


@pytest.mark.parametrize(
    ("overlay", "words"),
    [
        ({"train": {"batch": 0}}, ["'train.batch'", "0", "between 1 and"]),
        ({"train": {"batch": True}}, ["'train.batch'", "whole number"]),
        ({"train": {"learning_rate": "1e-4"}}, ["'train.learning_rate'", "1.0e-4"]),
        ({"train": {"learning_rate": float("nan")}}, ["'train.learning_rate'", "nan"]),
        ({"train": {"bacth": 4}}, ["unknown key 'train.bacth'", "batch"]),
        ({"cut": {"gan": "wgan"}}, ["'cut.gan'", "wgan", "hinge", "lsgan"]),
        ({"cut": {"weights": 3}}, ["'cut.weights'", "mapping"]),
        ({"prepare": {"augment": {"photos": "none"}}}, ["'prepare.augment.photos'", "list"]),
        ({"train": {"crop": 512}}, ["train.crop", "512", "prepare.crop"]),
    ],
)
def test_a_mistake_is_named_with_its_value_and_what_to_do(
    tmp_path: Path, overlay: dict[str, object], words: list[str]
) -> None:
    with pytest.raises(ValueError, match="params") as caught:
        load_params(ROOT / "params.yaml", overlay)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("method", "spared", "overlay", "words"),
    [
        ("cut", "dcgan", {"train": {"crop": 70}}, ["train.crop", "70", "multiple of 4", "68", "cut.generator"]),
        ("cyclegan", "dcgan", {"train": {"crop": 70}}, ["train.crop", "70", "cyclegan.generator.downsamplings"]),
        ("cut", "fastcut", {"train": {"steps": 10}}, ["cut.warmup_steps", "10"]),
        ("fastcut", "cut", {"fastcut": {"warmup_steps": 10**6}}, ["fastcut.warmup_steps", "1000000"]),
        ("fastcut", "cut", {"fastcut": {"nce_layers": ["down3"]}}, ["'fastcut.nce_layers'", "'down3'", "block9"]),
        ("dcgan", "cut", {"dcgan": {"side": 128}, "train": {"crop": 96}}, ["dcgan.side", "128", "96"]),
        ("dcgan", "cut", {"dcgan": {"r1": 1.0}, "train": {"compile": True}}, ["dcgan.r1", "train.compile"]),
        ("stylegan2", "cut", {"train": {"crop": 96}}, ["stylegan2.side", "128", "96"]),
        ("stylegan2", "cut", {"train": {"batch": 6}}, ["train.batch is 6", "4 images", "to 4"]),
    ],
)
def test_what_does_not_suit_a_method_is_told_its_recipes_alone(
    method: str, spared: str, overlay: dict[str, object], words: list[str]
) -> None:
    params = load_params(ROOT / "params.yaml", overlay)
    check_method(params, spared)
    with pytest.raises(ValueError, match=r"set|choose") as caught:
        check_method(params, method)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("method", sorted(FACTS))
@pytest.mark.parametrize("preset", sorted(path.name for path in (ROOT / "presets").glob("*.yaml")))
def test_what_a_new_recipe_overrides_fits_every_preset(method: str, preset: str) -> None:
    tree = merge(merge(TREE, read_tree(ROOT / "presets" / preset)), FACTS[method].overrides)
    if preset == "smoke.yaml":
        tree["train"]["steps"] = 1_000_000  # more than any warm-up
    check_method(parse(tree), method)


@given(st.sampled_from(sorted(TREE)), st.data())
def test_a_missing_key_is_never_filled_in(section: str, data: st.DataObject) -> None:
    tree = merge(TREE, {})
    if isinstance(tree[section], dict):
        tree[section].pop(data.draw(st.sampled_from(sorted(tree[section]))))
    else:
        tree.pop(section)
    with pytest.raises(ValueError, match=r"missing: .*params\.yaml of the repository"):
        parse(tree)


def test_files_that_are_no_mapping_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    for text in ("- a\n", "a: [1\n", ""):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"params\.yaml"):
            load_params(path)
    with pytest.raises(ValueError, match="missing"):
        load_params(tmp_path / "none.yaml")


@given(st.recursive(st.integers(), lambda inner: st.dictionaries(st.sampled_from("abcd"), inner), max_leaves=12))
def test_merging_a_tree_onto_itself_changes_nothing(tree: object) -> None:
    if isinstance(tree, dict):
        assert merge(tree, tree) == tree


def _workspace(tmp_path: Path, recipes: object) -> Workspace:
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (tmp_path / "recipes.yaml").write_text(yaml.safe_dump(recipes))
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    return Workspace(tmp_path)


def test_a_new_style_gets_a_recipe_of_its_name_once(tmp_path: Path) -> None:
    workspace = _workspace(tmp_path, {"styles": [], "recipes": {}})
    assert add_style(workspace, "monet")
    assert add_style(workspace, "hokusai")
    before = workspace.recipes_file.read_bytes()
    assert not add_style(workspace, "monet")
    assert workspace.recipes_file.read_bytes() == before
    book = load_book(workspace)
    assert book.styles == ("monet", "hokusai")
    assert book.recipe("monet").style == "monet"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            "# ours\nstyles: []  # none yet\n\n# models\nrecipes: {}\n# end\n",
            "# ours\nstyles:  # none yet\n- ink\n\n# models\nrecipes:\n  ink:\n    method: cut\n    style: ink\n"
            "    warm_start: none\n    overrides: {}\n# end\n",
            id="the first style",
        ),
        pytest.param(
            "styles:\n- oil  # first\n# models\nrecipes:\n  # long\n  oil:\n    method: cut\n    style: oil\n"
            "    warm_start: none\n    overrides:\n      seed: 7  # lucky\n\n  # later: more\n",
            "styles:\n- oil  # first\n- ink\n# models\nrecipes:\n  # long\n  oil:\n    method: cut\n    style: oil\n"
            "    warm_start: none\n    overrides:\n      seed: 7  # lucky\n  ink:\n    method: cut\n    style: ink\n"
            "    warm_start: none\n    overrides: {}\n\n"
            "  # later: more\n",
            id="comments stay where they are",
        ),
        pytest.param(
            "recipes: {oil: {method: cut, style: oil, warm_start: none, overrides: {}}}  # one\nstyles: [oil]",
            "recipes: {oil: {method: cut, style: oil, warm_start: none, overrides: {}}, "
            "ink: {method: cut, style: ink, warm_start: none, overrides: {}}}"
            "  # one\nstyles: [oil, ink]",
            id="brackets, other order, no newline at the end",
        ),
        pytest.param(
            "styles:\n    - oil\nrecipes:\n    ink:\n        {method: cut, style: oil, warm_start: none, "
            "overrides: {train: {steps: 5e1}}}\n",
            "styles:\n    - oil\n    - ink\nrecipes:\n    ink:\n        {method: cut, style: oil, warm_start: none, "
            "overrides: {train: {steps: 5e1}}}\n",
            id="a recipe of that name is there",
        ),
        pytest.param(
            "styles:\nrecipes:",
            "styles:\n- ink\nrecipes:\n  ink:\n    method: cut\n    style: ink\n    warm_start: none\n"
            "    overrides: {}",
            id="nothing at all",
        ),
    ],
)
def test_adding_a_style_leaves_everything_else_to_the_letter(tmp_path: Path, before: str, after: str) -> None:
    workspace = _workspace(tmp_path, {})
    workspace.recipes_file.write_text(before)
    assert add_style(workspace, "ink")
    assert workspace.recipes_file.read_text() == after
    assert "ink" in load_book(workspace).styles


@pytest.mark.parametrize(
    "text",
    [
        "recipes:\n  ink:\n    method: cut\n    style: ink\n    warm_start: none  # for now\n    overrides: {}\n"
        "styles: [ink]\n",
        "styles: [ink]\nrecipes: {ink: {warm_start: 'none', method: cut, style: ink, overrides: {}}}  # end",
    ],
)
def test_another_warm_start_leaves_everything_else_to_the_letter(tmp_path: Path, text: str) -> None:
    workspace = _workspace(tmp_path, {})
    workspace.recipes_file.write_text(text)
    assert set_warm_start(workspace, "ink", "ink-v3")
    after = text.replace("'none'", "none").replace("warm_start: none", "warm_start: ink-v3")
    assert workspace.recipes_file.read_text() == after
    assert load_book(workspace).recipe("ink").warm_start == "ink-v3"
    assert not set_warm_start(workspace, "ink", "ink-v3")
    assert set_warm_start(workspace, "ink", "1e5")  # a number to YAML
    assert load_book(workspace).recipe("ink").warm_start == "1e5"
    with pytest.raises(ValueError, match="no recipe named 'oil'"):
        set_warm_start(workspace, "oil", "none")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    names=st.lists(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,8}", fullmatch=True), max_size=4), indent=st.integers(2, 6)
)
@example(names=["on", "null", "1e5", "2001-01-01", "0x1f", "y", "inf", "1_000", "no"], indent=2)
def test_any_name_of_a_style_is_read_as_that_name(tmp_path: Path, names: list[str], indent: int) -> None:
    from ruamel.yaml import YAML  # reads YAML 1.2, as DVC does

    names = [name for name in dict.fromkeys(names) if name not in ("photos", "quarantine")]
    workspace = _workspace(tmp_path, {})
    entry = {"method": "cut", "style": "a-first", "warm_start": "none", "overrides": {}}
    first = {"styles": ["a-first"], "recipes": {"a-first": entry}}
    workspace.recipes_file.write_text(yaml.safe_dump(first, indent=indent, sort_keys=False))
    for name in names:
        add_style(workspace, name)
    book = load_book(workspace)
    assert book.styles == tuple(dict.fromkeys(["a-first", *names]))
    assert list(book.recipes) == list(book.styles)
    assert YAML(typ="safe").load(workspace.recipes_file.read_text())["styles"] == list(book.styles)


def test_overrides_reach_the_recipes_parameters_and_no_other(tmp_path: Path) -> None:
    recipe = {"method": "cut", "style": "monet", "warm_start": "none", "overrides": {"train": {"steps": 777}}}
    workspace = _workspace(tmp_path, {"styles": ["monet"], "recipes": {"long": recipe}})
    assert recipe_params(workspace, load_book(workspace).recipe("long")).train.steps == 777
    assert load_params(workspace.params_file).train.steps == TREE["train"]["steps"]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"method": "magic"}, ["magic", "cut"]),
        ({"style": "manet"}, ["manet", "monet"]),
        ({"overrides": None, "more": 1}, ["overrides"]),
        ({"warm_start": None}, ["lacks warm_start", "none"]),
        ({"warm_start": "../x"}, ["warm start name", "../x"]),
        ({"overrides": 5}, ["overrides", "mapping", "5"]),
        ({"overrides": {"gate": {"mode": "manual"}}}, ["gate"]),
        ({"overrides": {"train": {"steps": -1}}}, ["train.steps", "-1"]),
    ],
)
def test_a_wrong_recipe_is_named(tmp_path: Path, entry: dict[str, object], words: list[str]) -> None:
    right = {"method": "cut", "style": "monet", "warm_start": "none", "overrides": {}}
    entry = {key: value for key, value in {**right, **entry}.items() if value is not None}
    workspace = _workspace(tmp_path, {"styles": ["monet"], "recipes": {"r": entry}})
    with pytest.raises(ValueError, match="'r'") as caught:
        recipe_params(workspace, load_book(workspace).recipe("r"))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "tree", [{"styles": 5, "recipes": {}}, {"styles": "ab", "recipes": {}}, {"styles": [], "recipes": ["a"]}]
)
def test_recipes_of_another_shape_are_one_sentence(tmp_path: Path, tree: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"recipes\.yaml: 'styles' must be a list"):
        load_book(_workspace(tmp_path, tree))


def test_an_unknown_recipe_names_the_known_ones(tmp_path: Path) -> None:
    entry = {"method": "cut", "style": "monet", "warm_start": "none", "overrides": {}}
    workspace = _workspace(tmp_path, {"styles": ["monet"], "recipes": {"monet": entry}})
    with pytest.raises(ValueError, match=r"'manet'.*monet"):
        load_book(workspace).recipe("manet")


@given(st.text(max_size=80))
def test_a_slug_is_a_legal_name_or_empty(text: str) -> None:
    made = slug(text)
    if made and made not in {"photos", "quarantine"}:
        assert check_name(made, "style") == made


@pytest.mark.parametrize("name", ["", "Monet", "a b", "../x", "photos", "-a", "é", "a" * 64])
def test_names_that_would_break_paths_or_stages_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="will not do"):
        check_name(name, "style")


def test_the_nearest_workspace_is_found(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").touch()
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert find_workspace(inner).root == tmp_path.resolve()


SECOND = """# mine
styles: [oil]  # one
recipes:
  oil:
    method: cut
    style: oil
    warm_start: none
    overrides: {}  # as they are
# end
"""


def test_a_second_recipe_of_a_style_leaves_everything_else_to_the_letter(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.recipes_file.write_text(SECOND)
    add_recipe(workspace, "oil-dcgan", "dcgan", "oil")
    entry = "  oil-dcgan:\n    method: dcgan\n    style: oil\n    warm_start: none\n    overrides: {}\n"
    assert workspace.recipes_file.read_text() == SECOND.replace("# end\n", entry + "# end\n")
    made = load_book(workspace).recipe("oil-dcgan")
    assert (made.task, made.collections) == ("generate", ("oil",))
    assert load_book(workspace).recipe("oil").collections == ("photos", "oil")
    add_recipe(workspace, "oil-styles", "stylegan2", "oil")
    text = workspace.recipes_file.read_text()
    assert "    overrides: {train: {batch: 32, learning_rate: 0.0025, beta1: 0.0, beta2: 0.99, decay" in text
    assert load_book(workspace).recipe("oil-styles").overrides == FACTS["stylegan2"].overrides
    with pytest.raises(ValueError, match="there is a recipe 'oil' already, of cut"):
        add_recipe(workspace, "oil", "dcgan", "oil")
    with pytest.raises(ValueError, match=r"'gann'; choose one of cut, fastcut, cyclegan, adain, dcgan"):
        add_recipe(workspace, "other", "gann", "oil")
    with pytest.raises(ValueError, match="style 'ink' is not in"):
        add_recipe(workspace, "other", "dcgan", "ink")
