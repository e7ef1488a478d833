"""Elsewhere than on loopback the servers demand passwords and names; secrets show nowhere."""

from __future__ import annotations

import importlib.util
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from pipeline.params import Up, load_params
from pipeline.up.binding import Binding, binding, choose_port, is_loopback
from pipeline.up.credentials import MLFLOW_PASSWORD, PREFECT_AUTH, Credentials, without_secrets

SECRET = "studio:correct-horse-battery"
NOTHING = Credentials(None, None, "admin")
PREFECT = replace(NOTHING, prefect=SecretStr(SECRET))
BOTH = replace(PREFECT, mlflow=SecretStr("another-long-secret"))


@pytest.fixture(scope="module")
def settings() -> Up:
    return load_params(Path(__file__).parents[3] / "params.yaml").up


def test_loopback_is_the_default_and_demands_nothing(settings: Up) -> None:
    assert is_loopback(settings.host)
    assert binding(settings, NOTHING) == Binding("127.0.0.1", ())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "studio.example.org"])
@pytest.mark.parametrize(
    ("given", "hosts", "says"),
    [
        (NOTHING, ("studio.example.org",), PREFECT_AUTH),
        (PREFECT, ("studio.example.org",), MLFLOW_PASSWORD),
        (BOTH, (), "up.allowed_hosts"),
        (BOTH, ("*",), "up.allowed_hosts"),
    ],
)
def test_elsewhere_it_refuses_without(
    settings: Up, host: str, given: Credentials, hosts: tuple[str, ...], says: str
) -> None:
    with pytest.raises(ValueError, match=says) as refused:
        binding(replace(settings, host=host, allowed_hosts=hosts), given)
    assert "can be reached from other machines" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "horse" not in str(refused.value)


def test_elsewhere_with_all_of_it(settings: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = replace(settings, host="0.0.0.0", allowed_hosts=("studio.example.org",))
    if importlib.util.find_spec("flask_wtf") is None:
        with pytest.raises(ValueError, match="Flask-WTF"):
            binding(wide, BOTH)
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    found = binding(wide, BOTH)
    assert found.address(4200) == "http://127.0.0.1:4200"
    assert {"studio.example.org", "studio.example.org:5000", "127.0.0.1:5000"} <= set(found.hosts(5000))
    assert "*" not in "".join(found.origins(5000))


def test_a_secret_from_a_file_is_the_one_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "auth"
    file.write_text(f"{SECRET}\n")
    from_file = Credentials.find({f"{PREFECT_AUTH}_FILE": str(file)})
    assert from_file == Credentials.find({PREFECT_AUTH: SECRET}) == PREFECT
    assert from_file.for_prefect() == {PREFECT_AUTH: SECRET}
    assert "horse" not in f"{from_file!r} {from_file} {BOTH!r}"


@pytest.mark.parametrize("text", ["", "  \n", "no-colon", ":x", "x:"])
def test_a_secret_that_is_none_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    file = tmp_path / "auth"
    file.write_text(text)
    with pytest.raises(ValueError, match=PREFECT_AUTH) as refused:
        Credentials.find({f"{PREFECT_AUTH}_FILE": str(file)})
    assert not text.strip() or text not in str(refused.value).replace(str(file), "")


def test_a_secret_given_twice_or_in_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="both set"):
        Credentials.find({MLFLOW_PASSWORD: "x", f"{MLFLOW_PASSWORD}_FILE": "y"})
    with pytest.raises(ValueError, match="cannot be read"):
        Credentials.find({f"{MLFLOW_PASSWORD}_FILE": str(tmp_path / "none")})


def test_children_inherit_no_secret() -> None:
    left = without_secrets({PREFECT_AUTH: SECRET, f"{MLFLOW_PASSWORD}_FILE": "f", "PATH": "/bin"})
    assert left == {"PATH": "/bin"}


def test_a_port_that_is_taken_is_named_and_a_free_one_is_kept() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        with pytest.raises(ValueError, match=rf"port {taken} of 127\.0\.0\.1 is taken .* up\.prefect_port"):
            choose_port(taken, "127.0.0.1", "prefect", None)
        assert choose_port(0, "127.0.0.1", "prefect", taken) != taken
    assert choose_port(0, "127.0.0.1", "prefect", taken) == taken
    assert choose_port(0, "127.0.0.1", "mlflow", taken, [taken]) != taken
