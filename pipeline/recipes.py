"""recipes.yaml: the models to build and the styles to prepare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.catalogue import METHODS, Task, facts_of
from pipeline.files import write_atomic
from pipeline.params import OVERRIDABLE, Params, check_method, load_params, read_tree
from pipeline.workspace import PHOTOS, Workspace, check_name

NO_WARM_START = "none"  # the name of the warm start that holds no networks
_KEYS = ("method", "style", "warm_start", "overrides")


@dataclass(frozen=True)
class Recipe:
    """One model to build."""

    name: str
    method: str
    style: str  # the only one, or the first of a group: whose paintings its figures are held against
    warm_start: str
    overrides: Mapping[str, Any]
    group: str | None = None  # of styles, that it learns from
    others: tuple[str, ...] = ()  # the group's styles behind the first

    @property
    def task(self) -> Task:
        """What its model is for."""
        return facts_of(self.method).task

    @property
    def styles(self) -> tuple[str, ...]:
        """All styles that it learns from."""
        return (self.style, *self.others)

    @property
    def collections(self) -> tuple[str, ...]:
        """The collections that it learns from: the styles, and the photographs first where its method needs them."""
        return (PHOTOS, *self.styles) if facts_of(self.method).photographs else self.styles


@dataclass(frozen=True)
class Book:
    """All of recipes.yaml."""

    styles: tuple[str, ...]
    recipes: Mapping[str, Recipe]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # name -> styles that are learnt together

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
    if set(tree) - {"groups"} != {"styles", "recipes"}:
        raise ValueError(f"recipes.yaml must have the keys 'styles' and 'recipes', not {sorted(tree)}")
    if not isinstance(tree["styles"] or [], list) or not isinstance(tree["recipes"] or {}, Mapping):
        raise ValueError("recipes.yaml: 'styles' must be a list and 'recipes' a mapping of name to recipe")
    styles = tuple(check_name(str(style), "style") for style in tree["styles"] or ())
    groups = _groups(tree.get("groups") or {}, styles)
    recipes = {name: _recipe(str(name), entry, styles, groups) for name, entry in (tree["recipes"] or {}).items()}
    return Book(styles, recipes, groups)


def _groups(tree: Any, styles: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return group -> styles. DVC has no stage with a list of inputs, so each member is an entry of its own."""
    if not isinstance(tree, Mapping):
        raise ValueError("recipes.yaml: 'groups' must be a mapping of GROUP-STYLE to {group: GROUP, style: STYLE}")
    found: dict[str, tuple[str, ...]] = {}
    for key, entry in tree.items():
        if not isinstance(entry, Mapping) or set(entry) != {"group", "style"}:
            raise ValueError(f"groups.{key} in recipes.yaml must have just the keys group and style")
        group, style = check_name(str(entry["group"]), "style"), str(entry["style"])
        if key != f"{group}-{style}":
            raise ValueError(f"groups.{key} in recipes.yaml must be named {group}-{style}, after what it holds")
        if group in styles:
            raise ValueError(f"groups.{key} in recipes.yaml: {group!r} is a style; name the group otherwise")
        if style not in styles:
            raise ValueError(
                f"groups.{key} in recipes.yaml: {style!r} is not among the styles ({', '.join(styles) or 'none'})"
            )
        found[group] = (*found.get(group, ()), style)
    return found


def _recipe(name: str, entry: Any, styles: tuple[str, ...], groups: Mapping[str, tuple[str, ...]]) -> Recipe:
    check_name(name, "recipe")
    if isinstance(entry, Mapping) and "warm_start" not in entry:
        raise ValueError(
            f"recipe {name!r} in recipes.yaml lacks warm_start; add `warm_start: {NO_WARM_START}`, or the name of "
            f"a folder of warm/"
        )
    if not isinstance(entry, Mapping) or set(entry) != set(_KEYS):
        raise ValueError(f"recipe {name!r} in recipes.yaml must have just the keys {', '.join(_KEYS)}")
    if entry["method"] not in METHODS:
        choices = ", ".join(METHODS)
        raise ValueError(f"recipe {name!r}: unknown method {entry['method']!r}; choose one of {choices}")
    members = groups.get(str(entry["style"]), ())
    if members and not facts_of(entry["method"]).reference:
        several = ", ".join(each for each, facts in METHODS.items() if facts.reference)
        raise ValueError(
            f"recipe {name!r}: {entry['style']!r} is a group of styles, and method {entry['method']!r} learns one; "
            f"name a style, or choose a method that paints after references: {several}"
        )
    if not members and entry["style"] not in styles:
        raise ValueError(
            f"recipe {name!r}: style {entry['style']!r} is not in recipes.yaml's styles "
            f"({', '.join(styles) or 'none'}); add it with `atelier ingest DIR --style {entry['style']}`"
        )
    try:
        check_name(str(entry["warm_start"]), "warm start")
    except ValueError as error:
        raise ValueError(f"recipe {name!r}: {error}") from error
    overrides = entry["overrides"] or {}
    if not isinstance(overrides, Mapping):
        raise ValueError(f"recipe {name!r}: overrides must be a mapping like params.yaml, not {overrides!r}")
    for key in overrides:
        if key not in OVERRIDABLE:
            raise ValueError(f"recipe {name!r} overrides {key!r}; a recipe may override {', '.join(OVERRIDABLE)}")
    begin = str(entry["warm_start"])
    if not members:
        return Recipe(name, entry["method"], entry["style"], begin, overrides)
    return Recipe(name, entry["method"], members[0], begin, overrides, entry["style"], members[1:])


def recipe_params(workspace: Workspace, recipe: Recipe) -> Params:
    """Return params.yaml with the recipe's overrides.

    Raises:
        ValueError: a wrong key or value in either.
    """
    load_params(workspace.params_file)  # so that a mistake in the file is not blamed on the recipe
    try:
        params = load_params(workspace.params_file, recipe.overrides)
        check_method(params, recipe.method)
        return params
    except ValueError as error:
        raise ValueError(f"recipe {recipe.name!r}: {error}") from error


def set_warm_start(workspace: Workspace, recipe: str, warm_start: str) -> bool:
    """Let a recipe begin with other networks; return whether anything changed. All else in recipes.yaml stays.

    Raises:
        ValueError: there is no such recipe, or the file is wrong.
    """
    check_name(warm_start, "warm start")
    if load_book(workspace).recipe(recipe).warm_start == warm_start:
        return False
    import yaml  # here for the same reason as in params.read_tree

    text = workspace.recipes_file.read_bytes().decode()
    node: Any = yaml.compose(text, yaml.SafeLoader)
    for key in ("recipes", recipe, "warm_start"):
        node = next(value for name, value in node.value if name.value == key)
    start, end = node.start_mark.index, node.end_mark.index
    write_atomic(workspace.recipes_file, text[:start] + _scalar(warm_start) + text[end:])
    return True


def add_style(workspace: Workspace, style: str, method: str = "cut", warm_start: str = NO_WARM_START) -> bool:
    """Add a style and its default recipe of the same name; return whether anything changed.

    Everything that stands in recipes.yaml, comments too, stays to the letter.

    Args:
        workspace: whose recipes.
        style: a collection.
        method: of its recipe.
        warm_start: what its recipe begins with.

    Raises:
        ValueError: the file is wrong, or written in a way that this cannot add to.
    """
    check_name(style, "style")
    book = load_book(workspace)
    if style in book.styles:
        return False
    import yaml  # here for the same reason as in params.read_tree

    text = workspace.recipes_file.read_bytes().decode()
    after = yaml.safe_load(text)
    after["styles"] = [*(after["styles"] or ()), style]
    recipe = _new(method, style, warm_start)
    if style not in book.recipes:
        after["recipes"] = {**(after["recipes"] or {}), style: recipe}
    nodes = _nodes(text)
    edits = [_appended(text, nodes["styles"], 0, [f"- {_scalar(style)}"], _scalar(style))]
    if style not in book.recipes:
        edits.append(_recipe_edit(text, nodes["recipes"], style, recipe))
    if not _write(workspace, text, edits, after):
        raise ValueError(
            f"recipes.yaml is written in a way that style {style!r} cannot be added to; add it by hand: to `styles`, "
            f"and to `recipes` with {recipe}"
        )
    return True


def add_recipe(
    workspace: Workspace, name: str, method: str, style: str | Sequence[str], warm_start: str = NO_WARM_START
) -> None:
    """Add a recipe for styles that are there. Everything that stands in recipes.yaml, comments too, stays.

    Args:
        workspace: whose recipes.
        name: of the recipe, and of the model that it makes.
        method: see `pipeline.catalogue`.
        style: the collection that it learns from; several become a group called `<name>-styles`.
        warm_start: what it begins with.

    Raises:
        ValueError: the name is taken or will not do, the method or the style is unknown, or the file is wrong or
            written in a way that this cannot add to.
    """
    check_name(name, "recipe")
    book = load_book(workspace)
    if name in book.recipes:
        raise ValueError(f"there is a recipe {name!r} already, of {book.recipes[name].method}; choose another name")
    styles = (style,) if isinstance(style, str) else tuple(dict.fromkeys(style))
    group = f"{name}-styles" if len(styles) > 1 else None
    if group in book.groups or group in book.styles:
        raise ValueError(f"{group!r} stands in recipes.yaml already; choose another name than {name!r}")
    members = {f"{group}-{each}": {"group": group, "style": each} for each in styles} if group else {}
    recipe = _new(method, group or styles[0], warm_start)
    _recipe(name, recipe, book.styles, {**book.groups, **_groups(members, book.styles)})
    import yaml  # here for the same reason as in params.read_tree

    text = workspace.recipes_file.read_bytes().decode()
    after = yaml.safe_load(text)
    after["recipes"] = {**(after["recipes"] or {}), name: recipe}
    edits = [_recipe_edit(text, _nodes(text)["recipes"], name, recipe)]
    if members:
        after["groups"] = {**(after.get("groups") or {}), **members}
        edits = _groups_edits(text, members, edits[0])
    if not _write(workspace, text, edits, after):
        raise ValueError(
            f"recipes.yaml is written in a way that recipe {name!r} cannot be added to; add it by hand: {recipe}"
            + (f", and groups: {members}" if members else "")
        )


def _new(method: str, style: str, warm_start: str) -> dict[str, Any]:
    """Return the entry of a new recipe, with what its method wants to be otherwise than in params.yaml."""
    overrides = dict(facts_of(method).overrides) if method in METHODS else {}
    return {"method": method, "style": style, "warm_start": warm_start, "overrides": overrides}


_Edit = tuple[int, int, str]  # start, end, and what comes there


def _nodes(text: str) -> dict[str, Any]:
    """Return the two parts of recipes.yaml, which know where they stand in the text."""
    import yaml

    root: Any = yaml.compose(text, yaml.SafeLoader)
    return {key.value: node for key, node in root.value}


def _recipe_edit(text: str, node: Any, name: str, recipe: Mapping[str, Any]) -> _Edit:
    import yaml

    overrides = yaml.safe_dump(recipe["overrides"], default_flow_style=True, sort_keys=False, width=10_000).strip()
    plain = (f"{key}: {_scalar(recipe[key])}" for key in ("method", "style", "warm_start"))
    entry = (*plain, f"overrides: {overrides}")
    called = _scalar(name)
    lines = [f"{called}:", *(f"  {line}" for line in entry)]
    return _appended(text, node, 2, lines, f"{called}: {{{', '.join(entry)}}}")


def _groups_edits(text: str, members: Mapping[str, Mapping[str, str]], recipe: _Edit) -> list[_Edit]:
    """Return the edits that add a recipe and the members of its group."""
    lines = [
        f"{_scalar(key)}: {{group: {_scalar(entry['group'])}, style: {_scalar(entry['style'])}}}"
        for key, entry in members.items()
    ]
    nodes = _nodes(text)
    if "groups" in nodes:
        return [recipe, _appended(text, nodes["groups"], 2, lines, ", ".join(lines))]
    top = _first_key(text)
    return [recipe, (top, top, "".join(f"{line}\n" for line in ("groups:", *(f"  {line}" for line in lines))))]


def _first_key(text: str) -> int:
    """Return where the first key of recipes.yaml stands."""
    import yaml

    root: Any = yaml.compose(text, yaml.SafeLoader)
    return int(min(key.start_mark.index for key, _ in root.value))


def _write(workspace: Workspace, text: str, edits: Sequence[_Edit], after: Mapping[str, Any]) -> bool:
    """Write recipes.yaml with edits if it then reads as it is to; return whether it does."""
    import yaml

    for start, end, new in sorted(edits, reverse=True):  # from the end, so that the places stay right
        text = text[:start] + new + text[end:]
    try:
        if yaml.safe_load(text) != after:
            return False
    except yaml.YAMLError:
        return False
    write_atomic(workspace.recipes_file, text)
    return True


def _scalar(name: str) -> str:
    """Return a name as YAML reads it back."""
    import yaml

    # Digits first would be a number or a date to one YAML reader or another, and `on` is a truth value.
    return name if name[0].isalpha() and yaml.safe_load(name) == name else f'"{name}"'


def _appended(text: str, node: Any, indent: int, lines: list[str], item: str) -> _Edit:
    """Return what to put where (start, end, new text) so that a YAML list or mapping has one more at its end.

    Args:
        text: the whole file.
        node: the list or mapping in it.
        indent: of its items, where it has none yet.
        lines: the item on lines of its own.
        item: the item as it stands in brackets.
    """
    start, end = node.start_mark.index, node.end_mark.index
    if node.value and node.flow_style:
        return end - 1, end - 1, f", {item}"
    if node.value:
        above = text[:end].split("\n")
        while not above[-1].strip() or above[-1].lstrip().startswith("#"):
            above.pop()  # a comment below a block is most often about what follows
        start = end = len("\n".join(above))
        indent, rest = node.start_mark.column, ""
    else:
        start, rest = len(text[:start].rstrip(" ")), text[end:].partition("\n")[0]
    return start, end + len(rest), rest.rstrip() + "".join(f"\n{' ' * indent}{line}" for line in lines)
