"""The import closure of a module inside `pipeline`: which source files can change what it computes."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from pipeline.files import sha256_bytes, sha256_file

# What these, and the modules of these packages, read is tracked as parameters or decides nothing about the result.
TRACKED_ELSEWHERE = frozenset({"pipeline.params", "pipeline.recipes"})
_ALL = "iter_modules"  # a package that calls this imports all of its modules


def import_closure(module: str, root: Path) -> frozenset[str]:
    """Return the names of all `pipeline` modules that `module` imports, directly or not, itself included.

    Imports inside functions count: they run when the function does. Packages on the way count too, because
    importing `a.b` runs `a/__init__.py`. Of a package that calls `iter_modules` every module counts.

    Args:
        module: dotted name, such as `pipeline.train`.
        root: folder that holds the `pipeline` package.
    """
    seen: set[str] = set()
    queue = [module]
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        path = module_file(name, root)
        if path is None:
            continue
        seen.add(name)
        if "." in name:
            queue.append(name.rpartition(".")[0])
        queue.extend(_imports(path))
        if path.name == "__init__.py" and _imports_all(path):
            queue.extend(f"{name}.{each.stem}" for each in path.parent.glob("*.py") if each != path)
    return frozenset(seen)


def module_file(name: str, root: Path) -> Path | None:
    """Return the source file of a `pipeline` module, or None when `name` is something else."""
    if name.partition(".")[0] != "pipeline":
        return None
    base = root.joinpath(*name.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def stage_files(module: str, root: Path) -> list[str]:
    """Return the closure's files, less what params track, relative to `root` and sorted: a stage's code `deps`."""
    names = (name for name in import_closure(module, root) if not _tracked(name))
    files = (module_file(name, root) for name in names)
    return sorted(path.relative_to(root).as_posix() for path in files if path is not None)


def code_digest(module: str, root: Path) -> str:
    """Return one SHA-256 over the names and contents of a stage's code files."""
    lines = [f"{name} {sha256_file(root / name)}\n" for name in stage_files(module, root)]
    return sha256_bytes("".join(lines).encode())


def _tracked(name: str) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in TRACKED_ELSEWHERE)


def _imports_all(path: Path) -> bool:
    calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return any(isinstance(func, ast.Name) and func.id == _ALL for func in calls)


def _imports(path: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.append(node.module)
            names.extend(f"{node.module}.{alias.name}" for alias in node.names)
    return names


if __name__ == "__main__":
    for line in stage_files(sys.argv[1], Path.cwd()):
        print(line)
