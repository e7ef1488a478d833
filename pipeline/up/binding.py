"""On which addresses the servers listen, and what that demands."""

from __future__ import annotations

import importlib.util
import re
import socket
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address

from pipeline.params import Up
from pipeline.up.credentials import MLFLOW_PASSWORD, PREFECT_AUTH, Credentials

_ANY = ("0.0.0.0", "::")


@dataclass(frozen=True)
class Binding:
    """An address that was found fit, and how to ask there from this machine."""

    host: str
    allowed_hosts: tuple[str, ...]

    def address(self, port: int) -> str:
        """Return the address of a port as a program on this machine calls it."""
        host = "127.0.0.1" if self.host in _ANY else self.host
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def hosts(self, port: int) -> list[str]:
        """Return under which names MLflow may be asked; none for MLflow's own, which are those of this machine."""
        if not self.allowed_hosts:
            return []
        own = [self.address(port).removeprefix("http://"), f"localhost:{port}", f"127.0.0.1:{port}"]
        return list(dict.fromkeys([*self.allowed_hosts, *(f"{name}:{port}" for name in self.allowed_hosts), *own]))

    def origins(self, port: int) -> list[str]:
        """Return which pages may ask: those of the server itself."""
        names = ["localhost", "127.0.0.1", *self.allowed_hosts]
        found = [self.address(port), *(f"{kind}://{name}:{port}" for name in names for kind in ("http", "https"))]
        return list(dict.fromkeys([*found, *(f"https://{name}" for name in self.allowed_hosts)]))


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _matches_all(name: str) -> bool:
    """Whether MLflow, which takes wildcards, would let any name pass: of `*.studio.example.org` the end is fixed."""
    return not re.fullmatch(r"(\*\.)?[\w-][\w.:-]*|\[[0-9a-fA-F:]+\]", name)


def binding(settings: Up, credentials: Credentials) -> Binding:
    """Return where to listen.

    Raises:
        ValueError: other machines would reach the servers, and a secret, the allowed hosts, or what MLflow's
            passwords need is missing; or MLflow is to ask for a password and cannot.
    """
    host = settings.host
    if not is_loopback(host):
        reached = f"up.host {host} can be reached from other machines, which demands"
        if credentials.prefect is None:
            raise ValueError(
                f"{reached} a password for Prefect: put USER:PASSWORD into the environment variable {PREFECT_AUTH}, "
                f"or into a file that {PREFECT_AUTH}_FILE names, or set up.host to 127.0.0.1"
            )
        if credentials.mlflow is None:
            raise ValueError(
                f"{reached} a password for MLflow: put one into the environment variable {MLFLOW_PASSWORD}, or into "
                f"a file that {MLFLOW_PASSWORD}_FILE names, or set up.host to 127.0.0.1"
            )
        if not settings.allowed_hosts or any(_matches_all(name) for name in settings.allowed_hosts):
            raise ValueError(
                f"{reached} the names under which it may be: set up.allowed_hosts to those that people type into "
                f"their browsers, such as [studio.example.org], or set up.host to 127.0.0.1"
            )
    if credentials.mlflow is not None and importlib.util.find_spec("flask_wtf") is None:
        raise ValueError(
            f"{MLFLOW_PASSWORD} is set, but the package Flask-WTF, which MLflow's passwords need, is not installed; "
            f"run `pip install flask-wtf`, or unset the variable and set up.host to 127.0.0.1"
        )
    return Binding(host, tuple(settings.allowed_hosts))


def choose_port(wanted: int, host: str, name: str, before: int | None, taken: Collection[int] = ()) -> int:
    """Return a port that is free: the wanted one, or with 0 the one of before, or any.

    Raises:
        ValueError: the wanted one is taken.
    """
    if wanted:
        if not _is_free(host, wanted):
            raise ValueError(
                f"port {wanted} of {host} is taken by another program; set up.{name}_port to another one, or to 0 "
                f"for a free one"
            )
        return wanted
    if before and before not in taken and _is_free(host, before):
        return before
    with socket.socket(_family(host)) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _is_free(host: str, port: int) -> bool:
    with socket.socket(_family(host)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
