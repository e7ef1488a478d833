"""Presets: differences from params.yaml only, laid over it without losing a comment."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.params import merge, parse, read_tree
from pipeline.presets import apply_changes, differences, overlay, preset_names, read_preset

ROOT = Path(__file__).parents[2]
PARAMS = ROOT / "params.yaml"
PRESETS = ROOT / "presets"


@pytest.mark.parametrize("name", preset_names(PRESETS))
def test_a_preset_gives_right_parameters(name: str) -> None:
    parse(merge(read_tree(PARAMS), read_preset(PRESETS, name)))


@pytest.mark.parametrize("name", preset_names(PRESETS))
def test_a_preset_holds_differences_only(name: str) -> None:
    base, preset = read_tree(PARAMS), read_preset(PRESETS, name)
    changed = {key for key, _, _ in differences(base, merge(base, preset))}
    leaves = {key for key, _, _ in differences(_emptied(preset), preset)}
    assert leaves == changed


def _emptied(tree: dict[str, object]) -> dict[str, object]:
    """Return the same mappings with a value in each leaf that no preset has."""
    return {key: _emptied(value) if isinstance(value, dict) else "?" for key, value in tree.items()}


def test_there_are_the_three_presets_that_the_readme_names() -> None:
    assert preset_names(PRESETS) == ["demo", "gpu", "smoke"]


def test_nothing_changed_is_the_same_text() -> None:
    assert overlay(PARAMS.read_text(), {}) == PARAMS.read_text()


def test_comments_and_all_other_lines_stay() -> None:
    changes = {"train": {"steps": 7}, "cut": {"generator": {"channels": 5}}}
    before = PARAMS.read_text().splitlines()
    after = overlay(PARAMS.read_text(), changes).splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) == 2
    (old_steps, new_steps), (_, new_generator) = changed
    assert new_steps.split("#")[1] == old_steps.split("#")[1]
    assert "steps: 7 " in new_steps
    assert "channels: 5," in new_generator


@settings(deadline=None, max_examples=25)
@given(
    steps=st.integers(1000, 10**6),
    rate=st.floats(1e-7, 1.0, allow_subnormal=False),
    spectral=st.booleans(),
    cron=st.sampled_from(["on", "no", "1_000", "~"]) | st.text(st.characters(codec="ascii"), max_size=12),
)
def test_what_is_written_is_what_is_read(steps: int, rate: float, spectral: bool, cron: str) -> None:
    changes = {
        "train": {"steps": steps, "learning_rate": rate},
        "cut": {"discriminator": {"spectral_norm": spectral}},
        "retrain": {"cron": cron},
        "prepare": {"augment": {"photos": [{"name": cron, "args": {"p": rate}}]}},
    }
    assert yaml.safe_load(overlay(PARAMS.read_text(), changes)) == merge(read_tree(PARAMS), changes)


def test_an_unknown_preset_names_those_there_are() -> None:
    with pytest.raises(ValueError, match="no preset named 'huge'; known: demo, gpu, smoke"):
        read_preset(PRESETS, "huge")


def test_a_wrong_value_is_refused_and_the_file_stays(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text(PARAMS.read_text())
    with pytest.raises(ValueError, match=r"train\.crop"):
        apply_changes(params, {"train": {"crop": 1000}})
    with pytest.raises(ValueError, match=r"unknown key 'train\.stepz'"):
        apply_changes(params, {"train": {"stepz": 1}})
    assert params.read_text() == PARAMS.read_text()


def test_differences_tell_old_and_new() -> None:
    assert differences({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 5}, "e": 4}) == [
        ("a.c", 2, 5),
        ("d", 3, None),
        ("e", None, 4),
    ]
