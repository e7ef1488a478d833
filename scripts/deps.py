"""Write each stage's code dependencies in dvc.yaml anew: the import closure of its module, and the pages' templates.

    python -m scripts.deps

After a module was added or an import changed; `tests/test_structure.py` holds that they are right.
"""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.closure import import_closure, stage_files
from pipeline.files import write_atomic

ROOT = Path(__file__).resolve().parents[1]
_OWN = "pipeline/"  # dependencies that begin so are code, and written here; others stay as they are


def main(root: Path = ROOT) -> bool:
    """Mend `dvc.yaml` of a checkout and return whether anything changed."""
    path = root / "dvc.yaml"
    before = path.read_text()
    after = mended(before, root)
    if after != before:
        write_atomic(path, after)
    return after != before


def mended(text: str, root: Path) -> str:
    """Return the text of a dvc.yaml with every list of code dependencies as the sources below `root` ask for."""
    stages = re.split(r"^(?=  \w+:\n)", text, flags=re.MULTILINE)
    return "".join(_mended_stage(stage, root) for stage in stages)


def _mended_stage(text: str, root: Path) -> str:
    module = re.search(r"cmd: python -m (pipeline\.\w+)", text)
    if module is None:
        return text
    files = stage_files(module[1], root)
    if "pipeline.pages" in import_closure(module[1], root):
        files += sorted(path.relative_to(root).as_posix() for path in (root / "pipeline/templates").iterdir())
    lines = text.splitlines(keepends=True)
    code = [number for number, line in enumerate(lines) if line.lstrip().startswith(f"- {_OWN}")]
    assert code, f"the stage of {module[1]} lists no code"
    indent = lines[code[0]].partition("-")[0]
    kept = [line for number, line in enumerate(lines[code[0] :], code[0]) if number not in code]
    return "".join([*lines[: code[0]], *(f"{indent}- {name}\n" for name in files), *kept])


if __name__ == "__main__":
    print("dvc.yaml: code dependencies written anew" if main() else "dvc.yaml: nothing to change")
