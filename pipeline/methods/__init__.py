"""Methods: one file and one class each, all behind the one interface of `base`.

Which there are is registered in `pipeline.params.methods`; the class of each is found here by its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

from pipeline.methods.base import Method
from pipeline.params import Params
from pipeline.params.methods import SECTIONS


def _classes(kind: type[Method] = Method) -> Iterator[type[Method]]:
    """Yield the classes of this package that have a name of their own."""
    for one in kind.__subclasses__():
        if "name" in vars(one) and one.__module__.startswith(f"{__name__}."):
            yield one
        yield from _classes(one)


def _found() -> dict[str, type[Method]]:
    for module in iter_modules(__path__, f"{__name__}."):  # `closure` knows that every module is imported here
        import_module(module.name)
    known = {one.name: one for one in _classes()}
    if set(known) != set(SECTIONS):
        raise ImportError(
            f"methods with a section in pipeline.params.methods: {', '.join(sorted(SECTIONS))}; with a class in "
            f"{__name__}: {', '.join(sorted(known))}: each needs both"
        )
    return {name: known[name] for name in SECTIONS}


METHODS: dict[str, type[Method]] = _found()


def build_method(name: str, params: Params) -> Method:
    """Return a new method with freshly initialised networks; the same seed gives the same weights.

    Raises:
        ValueError: no method has that name.
    """
    if name not in METHODS:
        raise ValueError(f"unknown method {name!r}; choose one of {', '.join(METHODS)}")
    return METHODS[name](params)
