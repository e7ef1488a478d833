"""The frame of the design, held: which way imports run, what stages depend on, what the training core needs."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.closure import import_closure, stage_files
from pipeline.train import OPERATIONAL

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "flows").rglob("*.py")])
STAGES = {
    "check": "pipeline.check",
    "prepare_photos": "pipeline.prepare",
    "prepare": "pipeline.prepare",
    "group": "pipeline.group",
    "group_judge": "pipeline.group",
    "train": "pipeline.train",
    "package": "pipeline.package",
    "evaluate": "pipeline.evaluate",
}
# A library -> the only modules that may import it.
OWNERS = {
    "prefect": ["flows/"],
    "flows": ["flows/"],
    "mlflow": ["pipeline/tracking.py", "pipeline/registry/", "pipeline/serving_model.py"],
    "albumentations": ["pipeline/augment.py"],
    "cv2": ["pipeline/augment.py", "pipeline/metrics/unlearnt.py"],
}
# From the ground up: a module imports only from its own layer or one before it.
LAYERS = [
    ["files", "params", "workspace", "progress", "process", "stall", "entry", "runlog", "closure", "recipes",
     "catalogue", "devices", "distributed", "weights"],
    ["image_files", "images", "colour"],
    ["networks", "losses", "damage"],
    ["data", "checkpoints", "methods", "metrics", "trainer", "inference", "recovery", "collapse", "panels",
     "painting"],
]
STAGE_MODULES = sorted(set(STAGES.values()) - {"pipeline.check"})


def _imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("library", sorted(OWNERS))
def test_a_library_is_imported_only_where_it_belongs(library: str) -> None:
    for path in SOURCES:
        name = path.relative_to(ROOT).as_posix()
        if any(name.startswith(owner) for owner in OWNERS[library]):
            continue
        assert library not in {imported.partition(".")[0] for imported in _imported(path)}, name


def test_cv2_never_decodes_a_file_since_it_takes_truncated_ones_without_a_word() -> None:
    for path in SOURCES:
        assert not re.search(r"cv2\.(im\w*read|imdecode|imdecodemulti|VideoCapture)", path.read_text()), path


def _layer(module: str) -> int | None:
    top = module.split(".")[1] if module.count(".") else None
    return next((i for i, layer in enumerate(LAYERS) if top in layer), None)


def test_imports_run_downwards() -> None:
    for path in SOURCES:
        module = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        own = _layer(module)
        if own is None:
            continue
        for imported in _imported(path):
            if imported.startswith("pipeline."):
                other = _layer(imported)
                assert other is not None, f"{module} imports {imported}, which is above it"
                assert other <= own, f"{module} imports {imported}, which is above it"


@pytest.mark.parametrize("stage", STAGE_MODULES)
def test_stages_meet_through_files_and_never_import_each_other(stage: str) -> None:
    others = set(STAGE_MODULES) - {stage}
    assert not import_closure(stage, ROOT) & others


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_a_stages_code_dependencies_are_its_import_closure(stage: str) -> None:
    entry = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]
    entry = entry.get("do", entry)
    listed = {dep for dep in entry["deps"] if dep.startswith("pipeline/")}
    templates = {dep for dep in listed if dep.startswith("pipeline/templates/")}
    assert sorted(listed - templates) == stage_files(STAGES[stage], ROOT)
    if "pipeline.reports.report" in import_closure(STAGES[stage], ROOT):
        assert templates == {p.relative_to(ROOT).as_posix() for p in (ROOT / "pipeline/templates").iterdir()}


def test_the_train_stage_depends_on_every_parameter_that_changes_its_result() -> None:
    entry = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["train"]["do"]
    listed = {name.removeprefix("train.") for name in entry["params"] if str(name).startswith("train.")}
    known = set(yaml.safe_load((ROOT / "params.yaml").read_text())["train"])
    assert listed == known - set(OPERATIONAL)


def test_no_stage_depends_on_the_gate() -> None:
    text = (ROOT / "dvc.yaml").read_text()
    assert "gate" not in text
    assert "registry" not in text


def test_the_import_closure_follows_nested_and_relative_package_imports(tmp_path: Path) -> None:
    package = tmp_path / "pipeline"
    (package / "sub").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "sub" / "__init__.py").write_text("from pipeline import leaf\n")
    (package / "leaf.py").write_text("import json\n")
    (package / "other.py").touch()
    (package / "top.py").write_text("def f():\n    import pipeline.sub\n")
    expected = {"pipeline", "pipeline.top", "pipeline.sub", "pipeline.leaf"}
    assert import_closure("pipeline.top", tmp_path) == expected
    (package / "sub" / "one.py").write_text("import pipeline.other\n")
    assert import_closure("pipeline.top", tmp_path) == expected
    text = "from pkgutil import iter_modules\nfrom pipeline import leaf\nlist(iter_modules(__path__))\n"
    (package / "sub" / "__init__.py").write_text(text)
    assert import_closure("pipeline.top", tmp_path) == {*expected, "pipeline.sub.one", "pipeline.other"}


def test_parameters_are_no_code_dependencies_in_whatever_modules_they_stand() -> None:
    assert "pipeline.params.methods.cut" in import_closure("pipeline.train", ROOT)
    assert not [name for name in stage_files("pipeline.train", ROOT) if name.startswith("pipeline/params")]


def test_a_method_is_one_class_one_section_and_one_line() -> None:
    """Nothing but its own two modules, the registry and the pages that show it names a method's class."""
    from pipeline.methods import METHODS
    from pipeline.params.methods import SECTIONS

    assert list(METHODS) == list(SECTIONS)
    for name, section in SECTIONS.items():
        assert section.__module__ == f"pipeline.params.methods.{name}"
    kinds = {each.__name__ for each in METHODS.values()}
    for path in SOURCES:
        if path.parent.name != "methods":
            assert not kinds & set(re.findall(r"\w+Method", path.read_text())), path


_BLOCKER = """
import importlib.abc, sys, sysconfig
ALLOWED = {allowed!r}
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in BLOCKED:
            raise ModuleNotFoundError(f"blocked: {{name}}", name=name)
import importlib.metadata as md
BLOCKED = {{top for top, owners in md.packages_distributions().items() if not set(map(str.lower, owners)) & ALLOWED}}
BLOCKED -= {{"pipeline", "flows"}} | set(sys.builtin_module_names)
sys.meta_path.insert(0, Blocker())
{imports}
print("imported", len(BLOCKED))
"""


def _import_blocked(allowed: set[str], modules: list[str]) -> subprocess.CompletedProcess[str]:
    imports = "\n".join(f"import pipeline.{module}" for module in modules)
    script = _BLOCKER.format(allowed=allowed, imports=imports)
    return subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)


def _requirements_closure(*names: str) -> set[str]:
    """Distributions that `names` need to be installed at all, extras left out."""
    import importlib.metadata as md
    import re

    seen: set[str] = set()
    queue = list(names)
    while queue:
        name = queue.pop().lower()
        if name in seen:
            continue
        seen.add(name)
        for line in md.requires(name) or []:
            if "extra ==" not in line:
                wanted = re.match(r"[A-Za-z0-9_.-]+", line)
                if wanted and _installed(wanted.group()):
                    queue.append(wanted.group())
    return seen | {name.replace("-", "_") for name in seen}


def _installed(name: str) -> bool:
    import importlib.metadata as md

    try:
        md.distribution(name)
    except md.PackageNotFoundError:
        return False
    return True


CORE = ["train", "methods", "networks.generators", "networks.discriminators", "losses", "data", "checkpoints"]


def test_the_training_core_needs_torch_torchvision_numpy_and_pillow_alone() -> None:
    done = _import_blocked(_requirements_closure("torch", "torchvision", "numpy", "pillow"), CORE)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 50  # the blocker did block the rest of the environment


def test_the_blocker_of_the_test_above_does_block() -> None:
    assert "blocked: yaml" in _import_blocked(_requirements_closure("numpy"), ["recipes; import yaml"]).stderr
