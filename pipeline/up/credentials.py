"""Secrets of the servers: from the environment or from files, and nowhere else."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

PREFECT_AUTH = "PREFECT_SERVER_API_AUTH_STRING"  # user:password, which the server asks for
PREFECT_CLIENT = "PREFECT_API_AUTH_STRING"  # the same, which a client shows
MLFLOW_USER = "MLFLOW_AUTH_ADMIN_USERNAME"
MLFLOW_PASSWORD = "MLFLOW_AUTH_ADMIN_PASSWORD"
MLFLOW_KEY = "MLFLOW_FLASK_SERVER_SECRET_KEY"  # signs the forms of MLflow's pages
_SHORTEST = 12  # characters; MLflow takes no shorter password
NAMES = tuple(
    name + suffix for name in (PREFECT_AUTH, PREFECT_CLIENT, MLFLOW_PASSWORD, MLFLOW_KEY) for suffix in ("", "_FILE")
)


@dataclass(frozen=True)
class Credentials:
    """What the servers demand of those who come; None where they demand nothing. Printed, it shows no secret."""

    prefect: SecretStr | None
    mlflow: SecretStr | None
    mlflow_user: str

    @staticmethod
    def find(environment: Mapping[str, str] | None = None) -> Credentials:
        """Return what the environment (the process's without) gives, or the files that it names.

        Raises:
            ValueError: a secret that is empty, unreadable, given twice, or of the wrong form. No message holds one.
        """
        given = os.environ if environment is None else environment
        prefect = _secret(given, PREFECT_AUTH) or _secret(given, PREFECT_CLIENT)
        if prefect is not None and not all(prefect.get_secret_value().partition(":")):
            raise ValueError(f"{PREFECT_AUTH} must be of the form USER:PASSWORD")
        mlflow = _secret(given, MLFLOW_PASSWORD)
        if mlflow is not None and len(mlflow.get_secret_value()) < _SHORTEST:
            raise ValueError(f"{MLFLOW_PASSWORD} must have {_SHORTEST} characters or more, which MLflow demands")
        return Credentials(prefect, mlflow, given.get(MLFLOW_USER) or "admin")

    def for_prefect(self) -> dict[str, str]:
        """Return what the Prefect server must find in its environment."""
        return {} if self.prefect is None else {PREFECT_AUTH: self.prefect.get_secret_value()}

    def for_flows(self) -> dict[str, str]:
        """Return what a client of the Prefect server must find in its environment."""
        return {} if self.prefect is None else {PREFECT_CLIENT: self.prefect.get_secret_value()}

    def for_mlflow(self) -> dict[str, str]:
        """Return what the MLflow server must find in its environment."""
        if self.mlflow is None:
            return {}
        # A new key at every start: forms that were open then must be loaded again, and nobody need keep the key.
        return {
            MLFLOW_USER: self.mlflow_user,
            MLFLOW_PASSWORD: self.mlflow.get_secret_value(),
            MLFLOW_KEY: secrets.token_hex(32),
        }


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the servers' secrets: each child is given its own."""
    return {name: text for name, text in environment.items() if name not in NAMES}


def _secret(given: Mapping[str, str], name: str) -> SecretStr | None:
    """Return the secret in the variable `name`, or in the file that `name`_FILE names."""
    file = given.get(f"{name}_FILE")
    if file and given.get(name):
        raise ValueError(f"{name} and {name}_FILE are both set; unset one of them")
    text = given.get(name, "")
    if file:
        try:
            text = Path(file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise ValueError(f"{name}_FILE names {file}, which cannot be read ({why})") from None
        if not text:
            raise ValueError(f"{name}_FILE names {file}, which is empty; write the secret into it")
    return SecretStr(text) if text else None
