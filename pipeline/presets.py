"""presets/*.yaml laid over params.yaml, and single values written into it, with every comment kept."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.files import write_atomic
from pipeline.params import Tree, merge, parse, read_tree

Change = tuple[str, Any, Any]


def overlay(text: str, changes: Mapping[str, Any]) -> str:
    """Return the YAML `text` with the values of `changes` in it; comments, order and layout stay.

    Raises:
        ValueError: `changes` has a key that `text` lacks.
    """
    from ruamel.yaml import YAML  # here: of all commands only two write YAML
    from ruamel.yaml.representer import RoundTripRepresenter

    class Representer(RoundTripRepresenter):
        """Ruamel's own, but for numbers; a class of ours, so that no other user of ruamel is changed."""

    Representer.add_representer(float, _number)
    yaml = YAML()
    yaml.Representer = Representer
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    tree = yaml.load(text)
    merge(tree, changes)  # refuses unknown keys
    _lay(tree, changes)
    stream = io.StringIO()
    yaml.dump(tree, stream)
    return stream.getvalue()


def _lay(tree: Any, changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(tree[key], Mapping):
            _lay(tree[key], value)
        elif tree[key] != value:
            tree[key] = _plain(value)


def _plain(value: Any) -> Any:
    """Return a value as it must stand in the file: text in quotes, since PyYAML reads a bare `on` as no text."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return DoubleQuotedScalarString(value) if isinstance(value, str) else value


def _number(representer: Any, value: float) -> Any:
    """Write a float with all its digits and a point: PyYAML, and so DVC, reads `1e-07` as text."""
    mantissa, mark, exponent = repr(value).partition("e")
    text = mantissa if "." in mantissa else f"{mantissa}.0"
    sign = "" if exponent.startswith("-") or not mark else "+"
    return representer.represent_scalar("tag:yaml.org,2002:float", f"{text}{mark}{sign}{exponent.removeprefix('+')}")


def differences(before: Mapping[str, Any], after: Mapping[str, Any], where: str = "") -> list[Change]:
    """Return (dotted key, old value, new value) for every leaf that differs; absent is None."""
    found: list[Change] = []
    for key in [*before, *(key for key in after if key not in before)]:
        old, new, name = before.get(key), after.get(key), f"{where}{key}"
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found.extend(differences(old, new, f"{name}."))
        elif old != new:
            found.append((name, old, new))
    return found


def preset_names(presets: Path) -> list[str]:
    """Return the presets that a folder offers."""
    return sorted(path.stem for path in presets.glob("*.yaml"))


def read_preset(presets: Path, name: str) -> Tree:
    """Return a preset's values.

    Raises:
        ValueError: there is none of that name.
    """
    path = presets / f"{name}.yaml"
    if name not in preset_names(presets):
        raise ValueError(f"no preset named {name!r}; known: {', '.join(preset_names(presets)) or 'none'}")
    return read_tree(path)


def apply_changes(params_file: Path, changes: Mapping[str, Any]) -> list[Change]:
    """Write `changes` into params.yaml, if the result is right; return what changed.

    Raises:
        ValueError: a key is unknown, or a value is wrong or at odds with another; the file stays as it was.
    """
    before = read_tree(params_file)
    text = overlay(params_file.read_text(), changes)
    parse(merge(before, changes))
    found = differences(before, merge(before, changes))
    if found:
        write_atomic(params_file, text)
    return found
