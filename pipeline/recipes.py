"""recipes.yaml: the models to build and the styles to prepare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.files import write_atomic
from pipeline.params import OVERRIDABLE, Params, load_params, read_tree
from pipeline.workspace import Workspace, check_name

METHODS = ("cut",)
_KEYS = ("method", "style", "overrides")
_HEADER = """\
# The models to build. `atelier ingest` adds a style and its default recipe; edit by hand for more.
#   styles:  one data stage each
#   recipes: name -> method, style, overrides of params.yaml (seed, train, evaluate, the method's own)
"""


@dataclass(frozen=True)
class Recipe:
    """One model to build."""

    name: str
    method: str
    style: str
    overrides: Mapping[str, Any]


@dataclass(frozen=True)
class Book:
    """All of recipes.yaml."""

    styles: tuple[str, ...]
    recipes: Mapping[str, Recipe]

    def recipe(self, name: str) -> Recipe:
        """Return one recipe.

        Raises:
            ValueError: there is none of that name.
        """
        if name not in self.recipes:
            known = ", ".join(self.recipes) or "none yet; `atelier ingest DIR --style NAME` makes one"
            raise ValueError(f"no recipe named {name!r}; known: {known}")
        return self.recipes[name]


def load_book(workspace: Workspace) -> Book:
    """Return the checked recipes.

    Raises:
        ValueError: an unknown key, method, style or override, or a name that will not do.
    """
    tree = read_tree(workspace.recipes_file)
    if set(tree) != {"styles", "recipes"}:
        raise ValueError(f"recipes.yaml must have the keys 'styles' and 'recipes', not {sorted(tree)}")
    if not isinstance(tree["styles"] or [], list) or not isinstance(tree["recipes"] or {}, Mapping):
        raise ValueError("recipes.yaml: 'styles' must be a list and 'recipes' a mapping of name to recipe")
    styles = tuple(check_name(str(style), "style") for style in tree["styles"] or ())
    recipes = {name: _recipe(str(name), entry, styles) for name, entry in (tree["recipes"] or {}).items()}
    return Book(styles, recipes)


def _recipe(name: str, entry: Any, styles: tuple[str, ...]) -> Recipe:
    check_name(name, "recipe")
    if not isinstance(entry, Mapping) or set(entry) != set(_KEYS):
        raise ValueError(f"recipe {name!r} in recipes.yaml must have just the keys {', '.join(_KEYS)}")
    if entry["method"] not in METHODS:
        choices = ", ".join(METHODS)
        raise ValueError(f"recipe {name!r}: unknown method {entry['method']!r}; choose one of {choices}")
    if entry["style"] not in styles:
        raise ValueError(
            f"recipe {name!r}: style {entry['style']!r} is not in recipes.yaml's styles "
            f"({', '.join(styles) or 'none'}); add it with `atelier ingest DIR --style {entry['style']}`"
        )
    overrides = entry["overrides"] or {}
    if not isinstance(overrides, Mapping):
        raise ValueError(f"recipe {name!r}: overrides must be a mapping like params.yaml, not {overrides!r}")
    for key in overrides:
        if key not in OVERRIDABLE:
            raise ValueError(
                f"recipe {name!r} overrides {key!r}; a recipe may override {', '.join(OVERRIDABLE)}"
            )
    return Recipe(name, entry["method"], entry["style"], overrides)


def recipe_params(workspace: Workspace, recipe: Recipe) -> Params:
    """Return params.yaml with the recipe's overrides.

    Raises:
        ValueError: a wrong key or value in either.
    """
    load_params(workspace.params_file)  # so that a mistake in the file is not blamed on the recipe
    try:
        return load_params(workspace.params_file, recipe.overrides)
    except ValueError as error:
        raise ValueError(f"recipe {recipe.name!r}: {error}") from error


def add_style(workspace: Workspace, style: str, method: str = "cut") -> bool:
    """Add a style and its default recipe of the same name; return whether anything changed."""
    check_name(style, "style")
    book = load_book(workspace)
    if style in book.styles:
        return False
    styles = sorted({*book.styles, style})
    recipes = {
        name: {"method": recipe.method, "style": recipe.style, "overrides": dict(recipe.overrides)}
        for name, recipe in book.recipes.items()
    }
    recipes.setdefault(style, {"method": method, "style": style, "overrides": {}})
    import yaml  # here for the same reason as in params.read_tree

    body = yaml.safe_dump({"styles": styles, "recipes": recipes}, sort_keys=True, allow_unicode=True)
    write_atomic(workspace.recipes_file, _HEADER + body)
    return True
