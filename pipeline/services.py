"""What `atelier up` started: processes and addresses, in `var/services.json`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.files import read_json, write_json
from pipeline.workspace import Workspace

PREFECT, MLFLOW, SERVE, KEEPER = "prefect", "mlflow", "serve", "keeper"
FORMAT = 1


@dataclass(frozen=True)
class Service:
    """A process that `up` started, or a server that was there already (pid 0), which is never stopped."""

    name: str  # prefect | mlflow | serve, the deployments | keeper, which is `atelier up --foreground`
    pid: int  # of the leader of its process group
    identity: str  # of that process, for ever: see `identity`
    mark: str  # in the environment of all that it starts: see `pipeline.up.processes`
    address: str  # without a path: http://127.0.0.1:4200; empty where nothing listens

    @property
    def alive(self) -> bool:
        """Whether it runs; of a server that `up` did not start nobody can say, and it is taken to."""
        return self.pid == 0 or identity(self.pid) == self.identity


def identity(pid: int) -> str | None:
    """Return what tells a process from all others that have or had its number, or None where it does not run.

    That is the boot of the machine and the process's start in clock ticks since then.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"


def services_file(workspace: Workspace) -> Path:
    """Return where the record lies."""
    return workspace.var / "services.json"


def read(workspace: Workspace) -> dict[str, Service]:
    """Return what is recorded by name, whether or not it still runs.

    Raises:
        ValueError: the record is damaged, or of another version.
    """
    path = services_file(workspace)
    if not path.is_file():
        return {}
    try:
        whole = read_json(path)
        if whole["format"] != FORMAT:
            raise ValueError("it is of another version")
        return {one["name"]: Service(**one) for one in whole["services"]}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}); end the servers that run in {workspace.root} yourself, delete the "
            f"file, and run `atelier up`"
        ) from error


def write(workspace: Workspace, services: Iterable[Service]) -> None:
    """Record these and no others, in one step."""
    write_json(services_file(workspace), {"format": FORMAT, "services": [asdict(one) for one in services]})


def prefect_url(workspace: Workspace) -> str | None:
    """Return the address of Prefect's pages while `up` keeps a server, without a path: its API is at `/api`."""
    return _address(workspace, PREFECT)


def mlflow_url(workspace: Workspace) -> str | None:
    """Return the address of MLflow's pages while `up` keeps a server."""
    return _address(workspace, MLFLOW)


def _address(workspace: Workspace, name: str) -> str | None:
    try:
        found = read(workspace).get(name)
    except ValueError:
        return None  # `up`, `down` and `status` say so; who only asks for an address goes on without
    return found.address if found is not None and found.alive else None
