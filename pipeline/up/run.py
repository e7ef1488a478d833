"""Starting, mending, keeping and stopping what a workspace's schedule needs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline import services
from pipeline.params import Up, load_params
from pipeline.process import StopRequest, exclusive
from pipeline.registry import store
from pipeline.services import KEEPER, MLFLOW, PREFECT, SERVE, Service
from pipeline.up import processes, servers, slots
from pipeline.up.binding import Binding, binding, choose_port
from pipeline.up.credentials import MLFLOW_PASSWORD, PREFECT_AUTH, Credentials
from pipeline.up.schema import require_current
from pipeline.up.slots import DEPLOYMENTS
from pipeline.workspace import Workspace

_ORDER = (SERVE, PREFECT, MLFLOW)  # of stopping: who asks a server ends before it
_LOOK = 2.0  # seconds between two looks of the keeper
_LONGEST_PAUSE = 300.0  # seconds before a service that keeps ending is started again
_STEADY = 600.0  # seconds after which a service that ended again is started at once


@dataclass(frozen=True)
class Done:
    """What `up` found and did."""

    services: dict[str, Service]
    started: tuple[str, ...]  # names, in order
    mended: tuple[str, ...]  # those of them that had been started before, and ended or did not answer
    released: tuple[str, ...]  # sentences


def up(workspace: Workspace, say: Callable[[str], None] = lambda _: None) -> Done:
    """Bring up what is not up, and return what there is then. Run again, it changes nothing but what ended meanwhile.

    Args:
        workspace: whose servers and deployments.
        say: told what it waits for.

    Raises:
        ValueError: another `up` or `down` is at work; an address that may or can not be used; a database that is
            damaged or of another version; or a service that does not come up. What is up by then stays up.
    """
    with _alone(workspace):
        return _Upping(workspace, say).run()


def down(workspace: Workspace, say: Callable[[str], None] = lambda _: None) -> list[str]:
    """Stop what `up` started, each before what it needs, and return the names of what ran.

    Raises:
        ValueError: an `up` is at work, or the record is damaged.
    """
    settings = load_params(workspace.params_file).up
    keeper = services.read(workspace).get(KEEPER)
    stopped = []
    if keeper is not None and keeper.alive and keeper.pid != os.getpid():
        say("asking the process that keeps them to stop")
        stopped = [name for name, one in services.read(workspace).items() if one.pid and name != KEEPER and one.alive]
        processes.ask(keeper, signal.SIGTERM)
        processes.wait(lambda: not keeper.alive, settings.stop_seconds * (len(_ORDER) + 1))
    with _alone(workspace):
        found = services.read(workspace)
        for name in _ORDER:
            if name in found and found[name].pid:
                say(f"stopping {name}")
                if processes.stop(found[name], settings.stop_seconds):
                    stopped.append(name)
                del found[name]
                services.write(workspace, found.values())
        services.services_file(workspace).unlink(missing_ok=True)
    return [name for name in _ORDER if name in stopped]


def keep(workspace: Workspace, say: Callable[[str], None]) -> None:
    """Bring up, mend what ends, and stop it all on SIGTERM or Ctrl-C.

    A service that keeps ending is started again ever later. `atelier down` stops this process too.

    Raises:
        ValueError: as `up`, at the beginning; or another process keeps this workspace's services already.
    """
    with StopRequest() as stop:
        before = services.read(workspace).get(KEEPER)
        if before is not None and before.alive and before.pid != os.getpid():
            raise ValueError(f"process {before.pid} keeps them already; stop it with `atelier down`")
        done = up(workspace, say)
        _record_keeper(workspace)
        for name, one in done.services.items():
            say(f"{name}: {one.address or 'process ' + str(one.pid)}")
        pauses = _Pauses()
        while not stop.asked:
            time.sleep(_LOOK)
            processes.reap()
            ended = [name for name, one in services.read(workspace).items() if not one.alive]
            if not ended or not pauses.over(ended):
                continue
            say(f"{', '.join(ended)} ended; starting again")
            try:
                up(workspace)
                _record_keeper(workspace)
            except (ValueError, OSError) as error:
                say(f"not yet: {' '.join(str(error).split())}")
    say("stopping")
    down(workspace, say)


def serving(workspace: Workspace) -> Iterator[tuple[str, str]]:
    """Yield each recorded service's name and how it is, in words."""
    for name, one in services.read(workspace).items():
        if not one.alive:
            yield name, f"ended; `atelier up` starts it again (see {servers.log_file(workspace, name)})"
        elif one.address and not servers.answers(name, one.address, 5.0):
            yield name, f"runs (process {one.pid}) but does not answer at {one.address}"
        elif one.pid == 0:
            yield name, f"{one.address}, not started here"
        else:
            yield name, f"{one.address + ', ' if one.address else ''}process {one.pid}"


class _Upping:
    """One `up`, step by step."""

    def __init__(self, workspace: Workspace, say: Callable[[str], None]) -> None:
        self.workspace, self.say = workspace, say
        self.settings: Up = load_params(workspace.params_file).up
        self.credentials = Credentials.find()
        self.binding: Binding = binding(self.settings, self.credentials)
        self.found = services.read(workspace)
        if KEEPER in self.found and not self.found[KEEPER].alive:
            del self.found[KEEPER]  # what it kept goes on without it
        self.ended = [name for name in self.found if not self._well(name)]
        self.started: list[str] = []

    def run(self) -> Done:
        """Bring everything up in order."""
        self._require_same_secrets()
        if self.ended or not {PREFECT, MLFLOW, SERVE} <= set(self.found):
            require_current(self.workspace)
            _require_registry(self.workspace)
            self._servers()
        api = slots.Api(self.found[PREFECT].address, self.credentials)
        # To a server that is not ours other machines may serve theirs, and their processes are not here to be seen.
        own = self.found[PREFECT].pid != 0
        released = slots.release(api, serving=self._alive(SERVE)) if own else []
        self._serve(api)
        mended = tuple(name for name in self.started if name in self.ended)
        return Done(self.found, tuple(self.started), mended, tuple(released))

    def _require_same_secrets(self) -> None:
        """Return when no server that runs asks for another password than the one that is given now.

        Raises:
            ValueError: one does: it would go on to, however often `up` says that nothing is to be done.
        """
        wanted = {
            PREFECT: (PREFECT_AUTH, self.credentials.for_prefect()),
            MLFLOW: (MLFLOW_PASSWORD, self.credentials.for_mlflow()),
        }
        for name, (variable, given) in wanted.items():
            has = processes.environment(self.found[name]) if name in self.found else None
            if has is not None and has.get(variable) != given.get(variable):
                raise ValueError(
                    f"{name} runs with another {variable} than `atelier up` was given now (or one of the two has "
                    f"none); give it the same, or run `atelier down`, then `atelier up`"
                )

    def _servers(self) -> None:
        """Start both servers, then wait for both: each takes its time."""
        if not self._well(PREFECT):
            theirs = self._theirs()
            if theirs is not None:
                self._keep(theirs)
            else:
                self._start(
                    PREFECT,
                    self.settings.prefect_port,
                    lambda port: servers.start_prefect(self.workspace, self.binding, port, self.credentials),
                )
        if not self._well(MLFLOW):
            self._start(
                MLFLOW,
                self.settings.mlflow_port,
                lambda port: servers.start_mlflow(
                    self.workspace, self.binding, port, self.credentials, self.settings
                ),
            )
        for name in (PREFECT, MLFLOW):
            if name in self.started:
                self.say(f"waiting for {name}")
                servers.await_answer(self.workspace, self.found[name], self.settings.start_seconds)

    def _theirs(self) -> Service | None:
        """Return the Prefect server that the environment names, if it answers: then none is started."""
        url = os.environ.get("PREFECT_API_URL", "").rstrip("/").removesuffix("/api")
        if not url or not servers.answers(PREFECT, url):
            return None
        return Service(PREFECT, 0, "", "", url)

    def _serve(self, api: slots.Api) -> None:
        """Serve the deployments, anew where the server is a new one, and wait until they are polled."""
        if self._alive(SERVE) and PREFECT not in self.started:
            return
        if SERVE in self.found:
            processes.stop(self.found[SERVE], self.settings.stop_seconds, flows_too=False)
        self.say("serving the deployments")
        began = datetime.now(UTC)
        self._keep(servers.start_serving(self.workspace, self.found[PREFECT].address, self.credentials))
        self.started.append(SERVE)
        servers.wait_for(
            self.workspace,
            self.found[SERVE],
            lambda: _polled(api, began),
            self.settings.start_seconds,
            "does not serve the deployments",
        )

    def _start(self, name: str, wanted: int, start: Callable[[int], Service]) -> None:
        before = self.found.get(name)
        if before is not None:
            processes.stop(before, self.settings.stop_seconds)  # what is left of it holds its port
        taken = [port for one in self.found.values() if one.name != name and (port := _port(one))]
        port = choose_port(wanted, self.binding.host, name, _port(before) if before else None, taken)
        self._keep(start(port))
        self.started.append(name)

    def _keep(self, service: Service) -> None:
        """Record a service at once: whatever comes, `down` finds it."""
        self.found[service.name] = service
        services.write(self.workspace, self.found.values())

    def _alive(self, name: str) -> bool:
        return name in self.found and self.found[name].alive

    def _well(self, name: str) -> bool:
        if not self._alive(name):
            return False
        address = self.found[name].address
        return not address or servers.answers(name, address)


class _Pauses:
    """When a service that ended may be started again: at once, and ever later when it ends again and again."""

    def __init__(self) -> None:
        self.pause, self.next = 0.0, 0.0

    def over(self, _ended: list[str]) -> bool:
        now = time.monotonic()
        if now < self.next:
            return False
        self.pause = 0.0 if now - self.next > _STEADY else min(_LONGEST_PAUSE, max(5.0, 2 * self.pause))
        self.next = now + self.pause
        return True


def _record_keeper(workspace: Workspace) -> None:
    with _alone(workspace):
        found = services.read(workspace)
        found[KEEPER] = Service(KEEPER, os.getpid(), services.identity(os.getpid()) or "", "", "")
        services.write(workspace, found.values())


@contextmanager
def _alone(workspace: Workspace) -> Iterator[None]:
    with exclusive(workspace.var / "up.lock", f"`atelier up` or `down` of {workspace.root}"):
        yield


def _require_registry(workspace: Workspace) -> None:
    """Make MLflow's database where there is none: its server must not make one of another shape.

    Raises:
        ValueError: there was one, and it is lost or damaged.
    """
    if store.lost(workspace) is not None or not store.has_registry(workspace):
        store.opened(workspace)


def _polled(api: slots.Api, since: datetime) -> bool:
    """Whether every deployment has been asked for its runs since a moment."""
    try:
        found = {one["name"]: one.get("last_polled") for one in api.deployments()}
    except OSError:
        return False
    return all(
        (when := found.get(name)) and datetime.fromisoformat(str(when).replace("Z", "+00:00")) >= since
        for name in DEPLOYMENTS
    )


def _port(service: Service) -> int | None:
    _, _, port = service.address.rpartition(":")
    return int(port) if port.isdigit() else None
