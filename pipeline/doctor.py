"""Is everything here that training, scheduling and serving need? Each answer comes with what to do."""

from __future__ import annotations

import fcntl
import importlib
import os
import platform
import re
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from pipeline import services
from pipeline.databases import damage
from pipeline.dvc import dvc
from pipeline.filesystems import is_network, kind_of
from pipeline.intake.tombstones import standing
from pipeline.manifest import read_manifest
from pipeline.params import load_params
from pipeline.terminal import capture
from pipeline.up import slots
from pipeline.up.credentials import Credentials
from pipeline.up.schema import require_current
from pipeline.up.servers import answers
from pipeline.workspace import PHOTOS, Workspace

State = Literal["ok", "warn", "fail"]
_NEED_FREE = 2e9  # bytes: a small style's crops, checkpoints and packages
_REINSTALL = "run `make setup` in the checkout (after `rm .venv/.stamp`)"


@dataclass(frozen=True)
class Check:
    """One line of the doctor's answer; `remedy` says what to do when the state is not ok."""

    name: str
    state: State
    detail: str
    remedy: str = ""


def diagnose(workspace: Workspace) -> Iterator[Check]:
    """Yield every check in turn; a check that itself breaks is a failed check, not the end."""
    checks: tuple[Callable[[Workspace], Iterator[Check]], ...] = (
        lambda _: check_python(),
        lambda place: check_versions(_locked(place), _installed()),
        lambda _: check_pairs(_installed()),
        check_parameters,
        check_device,
        check_weights,
        check_disk,
        check_git,
        check_dvc,
        check_prefect,
        check_services,
        check_file_system,
        check_mlflow,
        check_registry,
        check_removals,
        check_locks,
    )
    for check in checks:
        try:
            yield from check(workspace)
        except Exception as error:
            yield Check(
                getattr(check, "__name__", "check").removeprefix("check_"),
                "fail",
                f"could not be checked: {type(error).__name__}: {error}",
                "if the next lines do not explain it, report it with the output of `atelier --debug doctor`",
            )


def check_python() -> Iterator[Check]:
    """Python 3.11 or 3.12, on Linux."""
    version = platform.python_version()
    right = (3, 11) <= sys.version_info[:2] <= (3, 12)
    yield Check(
        "python",
        "ok" if right else "fail",
        f"{version} at {sys.executable}",
        "install Python 3.11 or 3.12, remove .venv and run `make setup`",
    )
    if platform.system() != "Linux":
        yield Check("system", "warn", platform.system(), "only Linux (or WSL2) is supported")


def _locked(workspace: Workspace) -> dict[str, str]:
    """Return the lock's versions for this Python and platform."""
    from packaging.requirements import Requirement

    path = workspace.root / "requirements.lock"
    lines = path.read_text().splitlines() if path.is_file() else []
    wanted = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    return {
        canonical(item.name): next(iter(item.specifier)).version
        for item in wanted
        if item.marker is None or item.marker.evaluate()
    }


def _installed() -> dict[str, str]:
    found: dict[str, str] = {}
    for item in metadata.distributions():  # in the order of sys.path: of two, the first is what is imported
        if item.name:
            found.setdefault(canonical(item.name), item.version)
    return found


def canonical(name: str) -> str:
    """Return a package name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def check_versions(locked: Mapping[str, str], installed: Mapping[str, str]) -> Iterator[Check]:
    """Compare what is installed with the lock, for every package that the lock names."""
    if not locked:
        yield Check("versions", "warn", "no requirements.lock to compare with", "git checkout requirements.lock")
        return
    absent = [name for name in locked if name not in installed]
    # A local part such as +cpu names a build of the same version.
    other = [
        f"{name} {installed[name]} (lock: {version})"
        for name, version in locked.items()
        if name in installed and installed[name].partition("+")[0] != version
    ]
    if absent:
        yield Check("versions", "fail", f"not installed: {_some(absent)}", _REINSTALL)
    if other:
        yield Check("versions", "warn", f"not as locked: {_some(other)}", f"tested is the lock: {_REINSTALL}")
    if not absent and not other:
        yield Check("versions", "ok", f"all {len(locked)} packages are as locked")


def _some(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def check_pairs(installed: Mapping[str, str]) -> Iterator[Check]:
    """Refuse the pairs of versions that break without an error that says so."""
    broken = []
    if _version(installed.get("fastapi", "0")) >= (0, 151):
        broken.append((f"fastapi {installed['fastapi']}", "the Prefect server cannot start", "fastapi<0.151"))
    if _version(installed.get("sqlalchemy", "0")) >= (2, 1):
        broken.append((f"sqlalchemy {installed['sqlalchemy']}", "cron never schedules a run", "sqlalchemy<2.1"))
    if _version(installed.get("albumentations", "0")) >= (3,):
        broken.append((f"albumentations {installed['albumentations']}", "another licence (AGPL)", "albumentations<3"))
    for what, effect, right in broken:
        yield Check("versions", "fail", f"{what}: {effect}", f"{sys.executable} -m pip install '{right}'")
    mismatch = torch_mismatch(installed, _torchvision_needs())
    if mismatch:
        yield Check("versions", "fail", mismatch, _REINSTALL)
    if not broken and not mismatch:
        yield Check("pairs", "ok", "no pair of versions that is known to break")


def torch_mismatch(installed: Mapping[str, str], needed: str) -> str:
    """Return what is wrong between torch and torchvision, or nothing.

    Args:
        installed: package -> version, with local parts such as `+cpu`.
        needed: the torch versions that this torchvision accepts, such as `==2.15.0`; empty if unknown.
    """
    from packaging.specifiers import SpecifierSet

    torch, vision = installed.get("torch", ""), installed.get("torchvision", "")
    if not torch or not vision:
        return ""  # the lock's check says so
    if not SpecifierSet(needed).contains(torch.partition("+")[0], prereleases=True):
        return f"torchvision {vision} needs torch{needed}, not {torch}"
    builds = torch.partition("+")[2], vision.partition("+")[2]
    if "cpu" in builds and builds[0] != builds[1]:
        return f"torch {torch} and torchvision {vision} are of different builds: operator torchvision::nms is missing"
    return ""


def _torchvision_needs() -> str:
    from packaging.requirements import Requirement

    try:
        wanted = [Requirement(line) for line in metadata.requires("torchvision") or []]
    except metadata.PackageNotFoundError:
        return ""
    return next((str(item.specifier) for item in wanted if item.name == "torch"), "")


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def check_parameters(workspace: Workspace) -> Iterator[Check]:
    """params.yaml and recipes.yaml are right."""
    from pipeline.recipes import load_book, recipe_params

    try:
        load_params(workspace.params_file)
        book = load_book(workspace)
        for recipe in book.recipes.values():
            recipe_params(workspace, recipe)
    except ValueError as error:
        yield Check("parameters", "fail", str(error), "edit the file named")
        return
    if book.recipes:
        yield Check("parameters", "ok", f"right; {len(book.recipes)} recipes of {len(book.styles)} styles")
    else:
        yield Check("parameters", "warn", "right, but there is no style yet", "atelier ingest FOLDER --style NAME")


def check_device(workspace: Workspace) -> Iterator[Check]:
    """What training would run on, and whether params.yaml allows it."""
    import torch

    try:
        importlib.import_module("torchvision")  # a build that does not fit torch fails here, in plain words
    except (ImportError, RuntimeError) as error:
        yield Check("device", "fail", f"torchvision does not fit torch {torch.__version__}: {error}", _REINSTALL)
    settings = load_params(workspace.params_file).train
    cuda = torch.cuda.is_available()
    if cuda:
        free, total = torch.cuda.mem_get_info()
        yield Check("device", "ok", f"{torch.cuda.get_device_name()}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free")
    elif "cuda" in (settings.device, settings.require_device):
        yield Check(
            "device",
            "fail",
            "params.yaml asks for CUDA and there is none",
            "check `nvidia-smi` and the driver, or set train.device and train.require_device to auto and any",
        )
    elif shutil.which("nvidia-smi"):
        yield Check(
            "device", "warn", "an NVIDIA driver is here but torch sees no device", "compare the CUDA of `nvidia-smi`"
        )
    else:
        cores = len(os.sched_getaffinity(0))
        yield Check("device", "ok", f"CPU, {cores} cores (`atelier preset demo` has sizes that suit it)")
        if settings.threads > cores:
            yield Check(
                "device",
                "warn",
                f"train.threads is {settings.threads}, the machine has {cores} cores",
                f"set train.threads to {cores} or less (it is part of a CPU result)",
            )


def check_weights(workspace: Workspace) -> Iterator[Check]:
    """Pretrained weights: an extra, never required."""
    from pipeline.weights import find  # takes seconds, as torch does

    settings = load_params(workspace.params_file).weights
    for kind, named, wanted, title, use in (
        (
            "vgg16", settings.vgg16, settings.vgg16_sha256, "VGG16",
            "the perceptual distance LPIPS, and a kernel distance",
        ),
        (
            "inception", settings.inception, settings.inception_sha256, "Inception",
            "kernel and Fréchet distances that others report too",
        ),
    ):  # fmt: skip
        try:
            path = find(kind, named, wanted, f"weights.{kind}_sha256")
        except ValueError as error:
            yield Check("weights", "fail", str(error), f"see weights.{kind} in params.yaml; training needs none")
            continue
        where = f"{title} at {path}" if path else f"no {title} weights, and none needed"
        yield Check("weights", "ok", f"{where}: good for {use}" if path else f"{where}; they are good for {use}")


def check_disk(workspace: Workspace) -> Iterator[Check]:
    """Room for data, checkpoints and packages."""
    free = shutil.disk_usage(workspace.root).free
    yield Check(
        "disk",
        "ok" if free >= _NEED_FREE else "warn",
        f"{free / 1e9:.1f} GB free at {workspace.root}",
        "free some space: work/ may be deleted, `dvc gc --workspace` drops old data versions",
    )


def check_git(workspace: Workspace) -> Iterator[Check]:
    """git runs, the workspace is a repository, and it knows who commits."""
    if not shutil.which("git"):
        yield Check("git", "fail", "git is not installed", "install the package git")
        return
    inside = capture(workspace, ["git", "rev-parse", "--show-toplevel"])
    if inside.returncode != 0:
        yield Check("git", "fail", inside.stderr.strip() or "no repository here", "clone the repository with git")
        return
    who = capture(workspace, ["git", "var", "GIT_COMMITTER_IDENT"])
    if who.returncode != 0 and load_params(workspace.params_file).retrain.commit:
        remedy = "git config user.name NAME; git config user.email MAIL"
        yield Check("git", "warn", "git does not know you: retrains will commit as Style Atelier", remedy)
        return
    yield Check("git", "ok", f"repository at {inside.stdout.strip()}")


def check_dvc(workspace: Workspace) -> Iterator[Check]:
    """DVC is set up in the workspace and no command of it hangs."""
    if not (workspace.root / ".dvc").is_dir():
        yield Check("dvc", "fail", "not set up here", f"cd {workspace.root} && dvc init (in a git repository)")
        return
    answer = capture(workspace, dvc(workspace, "version"))
    if answer.returncode != 0:
        yield Check("dvc", "fail", answer.stderr.strip()[-200:] or "does not start", _REINSTALL)
        return
    yield Check("dvc", "ok", answer.stdout.splitlines()[0].strip())


def check_prefect(workspace: Workspace) -> Iterator[Check]:
    """The Prefect server that runs would talk to."""
    own = services.prefect_url(workspace)
    url = os.environ.get("PREFECT_API_URL", "") or (f"{own}/api" if own else "")
    if not url:
        yield Check("prefect", "ok", "each run starts its own server; a schedule needs `atelier up`")
        return
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=3) as answer:
            healthy = answer.status == 200
    except (urllib.error.URLError, OSError, ValueError) as error:
        yield Check(
            "prefect",
            "fail",
            f"PREFECT_API_URL is {url}, which does not answer ({error})",
            "start it with `prefect server start`, or `unset PREFECT_API_URL`",
        )
        return
    yield Check("prefect", "ok" if healthy else "warn", f"server at {url}", "see the server's own output")


def check_services(workspace: Workspace) -> Iterator[Check]:
    """What `atelier up` started still runs, no slot of a deployment is taken for nothing, databases are current."""
    found = services.read(workspace)
    for name, one in found.items():
        if not one.alive:
            yield Check("services", "warn", f"{name} had been started by `atelier up` and ended", "run `atelier up`")
    require_current(workspace)
    prefect = found.get(services.PREFECT)
    if prefect is None or not prefect.pid or not prefect.alive or not answers(services.PREFECT, prefect.address):
        return
    serving = services.SERVE in found and found[services.SERVE].alive
    stale = list(slots.find(slots.Api(prefect.address, Credentials.find()), serving))
    for unused in stale:
        yield Check("services", "warn", slots.sentence(unused), "run `atelier up`, which gives them back")
    if not stale and all(one.alive for one in found.values()):
        yield Check("services", "ok", f"up: {', '.join(found)}")


def check_mlflow(workspace: Workspace) -> Iterator[Check]:
    """The registry's database is whole."""
    other = os.environ.get("MLFLOW_TRACKING_URI", "")
    if other and other != workspace.tracking_uri:
        yield Check("mlflow", "warn", f"MLFLOW_TRACKING_URI is {other}", "atelier uses the var/mlflow.db here")
    path = workspace.var / "mlflow.db"
    if not path.is_file():
        yield Check("mlflow", "ok", "no registry yet; the first `atelier retrain` makes it")
        return
    wrong = damage(path)
    yield Check(
        "mlflow",
        "fail" if wrong else "ok",
        f"registry {path} {wrong}" if wrong else f"registry {path}",
        "`atelier restore DIR` from a backup, or `atelier registry rebuild`; champions can be used meanwhile",
    )


def check_registry(workspace: Workspace) -> Iterator[Check]:
    """Champions are what was decided and what was registered, and nothing was cut short."""
    if not (workspace.var / "mlflow.db").is_file() and not (workspace.var / "promotions.jsonl").is_file():
        return  # nothing was ever registered, and mlflow need not even be imported
    if damage(workspace.var / "mlflow.db") not in (None, "is missing"):
        return  # said above
    from pipeline.registry.health import problems

    found = list(problems(workspace))
    for problem in found:
        yield Check("registry", "fail" if problem.grave else "warn", problem.detail, problem.remedy)
    if not found:
        yield Check("registry", "ok", "versions, aliases and files are as the journal says")


def check_file_system(workspace: Workspace) -> Iterator[Check]:
    """Databases and locks lie on a disk of this machine."""
    kind, mount = kind_of(workspace.var)
    if is_network(kind):
        yield Check(
            "file system",
            "fail",
            f"{workspace.var} lies on {kind} ({mount}): SQLite loses data there, and locks do not hold",
            "move the workspace to a local disk; a DVC remote and backups may lie on the network",
        )
    else:
        yield Check("file system", "ok", f"{workspace.var} lies on {kind} ({mount})")


def check_removals(workspace: Workspace) -> Iterator[Check]:
    """No image is left that a person took out: a removal that was cut short, or data of another day."""
    for collection in workspace.collections():
        removed = standing(workspace, collection)
        left = [entry for entry in read_manifest(workspace.collection(collection)) if entry.sha256 in removed]
        option = "--photos" if collection == PHOTOS else f"--style {collection}"
        if left:
            yield Check(
                "removals",
                "fail",
                f"{collection} still holds images that were removed: {_some([entry.sha256[:12] for entry in left])}",
                f'run `atelier remove {left[0].sha256[:12]} ... {option} --reason "..."` to finish it',
            )


def check_locks(workspace: Workspace) -> Iterator[Check]:
    """Who is at work here now. Locks end with their process, so none is ever stale."""
    held = [path for path in sorted(workspace.var.rglob("*.lock")) if _is_held(path)]
    for path in held:
        who = path.read_text(errors="replace").strip()
        yield Check(
            "locks",
            "warn",
            f"{path.name} is held{f' by process {who}' if who else ''}: something runs here now",
            "wait for it; it ends with its process",
        )
    if not held:
        yield Check("locks", "ok", "nothing else is at work here")


def _is_held(path: Path) -> bool:
    with path.open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        return False
