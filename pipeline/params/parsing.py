"""Plain values -> frozen dataclasses: every key is required, every value is checked, a mistake is named."""

from __future__ import annotations

import copy
import json
import re
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pipeline.params.ranges import Between, Like, Tree


def read_tree(path: Path) -> Tree:
    """Return the mapping in a YAML (or JSON) file.

    Raises:
        ValueError: it is missing, unreadable or not a mapping.
    """
    if not path.is_file():
        raise ValueError(f"{path} is missing; restore it with `git checkout {path.name}`")
    text = path.read_text()
    if path.suffix == ".json":
        tree = json.loads(text)
    else:
        # Here and not above: the training core must import without PyYAML (it can read .json instead).
        import yaml

        try:
            tree = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise ValueError(f"{path} must hold a mapping, not {type(tree).__name__}")
    return tree


def merge(base: Mapping[str, Any], overlay: Mapping[str, Any], where: str = "") -> Tree:
    """Return `base` with the values of `overlay`, mapping by mapping; lists and scalars are replaced.

    Raises:
        ValueError: `overlay` has a key that `base` lacks.
    """
    merged = copy.deepcopy(dict(base))
    for key, value in overlay.items():
        name = f"{where}{key}"
        if key not in merged:
            raise ValueError(f"unknown key {name!r}; known here: {', '.join(map(str, merged))}")
        both = isinstance(value, Mapping) and isinstance(merged[key], Mapping)
        merged[key] = merge(merged[key], value, f"{name}.") if both else copy.deepcopy(value)
    return merged


def parse_dataclass(kind: Any, tree: Any, where: str) -> Any:
    """Return a dataclass of checked values.

    Args:
        kind: the class.
        tree: plain values, a mapping.
        where: the key that leads there, with a point behind it; empty at the top.

    Raises:
        ValueError: a key is missing or unknown, or a value has the wrong type or is out of range.
    """
    if not isinstance(tree, Mapping):
        raise ValueError(f"{where.rstrip('.')!r} must be a mapping, not {tree!r}")
    hints = typing.get_type_hints(kind, include_extras=True)
    known = [item.name for item in fields(kind)]
    for key in tree:
        if key not in known:
            raise ValueError(f"unknown key {where + str(key)!r}; known here: {', '.join(known)}")
    missing = [repr(where + key) for key in known if key not in tree]
    if missing:
        raise ValueError(
            f"missing: {', '.join(missing)}; a newer version brought what is missing: take its lines over from the "
            f"params.yaml of the repository (`git merge`, or `git show` of its main branch)"
        )
    values = {
        item.name: _parse_value(hints[item.name], tree[item.name], f"{where}{item.name}") for item in fields(kind)
    }
    return kind(**values)


def _parse_value(kind: Any, value: Any, name: str) -> Any:
    origin = typing.get_origin(kind)
    if origin is Annotated:
        kind, limits = typing.get_args(kind)
        found = _parse_scalar(kind, value, name)
        return _in_range(found, name, limits) if isinstance(limits, Between) else _like(found, name, limits)
    if is_dataclass(kind):
        return parse_dataclass(kind, value, f"{name}.")
    if origin is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{name!r} must be a list, not {value!r}")
        inner = typing.get_args(kind)[0]
        return tuple(_parse_value(inner, item, f"{name}[{i}]") for i, item in enumerate(value))
    if origin is Literal:
        choices = typing.get_args(kind)
        if value not in choices:
            raise ValueError(f"{name!r} is {value!r}; choose one of {', '.join(map(repr, choices))}")
        return value
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ValueError(f"{name!r} must be a mapping, not {value!r}")
        return dict(value)
    return _parse_scalar(kind, value, name)


def _parse_scalar(kind: Any, value: Any, name: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        hint = " (YAML reads 1e-4 as text: write 1.0e-4)" if kind is float and isinstance(value, str) else ""
        raise ValueError(f"{name!r} is {value!r}, which is not {_KINDS[kind]}{hint}")
    return value


def _in_range(value: Any, name: str, limits: Between) -> Any:
    if not limits.low <= value <= limits.high:  # NaN fails both comparisons, as it should
        raise ValueError(f"{name!r} is {value!r}; it must be between {limits.low} and {limits.high}")
    return value


def _like(value: str, name: str, wanted: Like) -> str:
    if not re.fullmatch(wanted.pattern, value):
        raise ValueError(f"{name!r} is {value!r}; it must be {wanted.what}")
    return value


_KINDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
