"""The password of MLflow's administrator: the one that is given now, not the one of the server's first start."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from pydantic import SecretStr

_PATIENCE = 60.0  # seconds that a writer waits for another


def settle(path: Path, user: str, password: SecretStr) -> bool:
    """Make a user's password the given one, while no server runs; return whether it was another.

    MLflow takes the password of its environment only while there is no such user: one that leaked, and was replaced
    there, would stay good for ever. Other users keep theirs. A hash is stored, never the password.

    Args:
        path: of the database with MLflow's users; where none is, or not this user, MLflow makes them at its start.
        user: the administrator's name.
        password: from now on.

    Raises:
        ValueError: the database cannot be read or written.
    """
    from werkzeug.security import check_password_hash, generate_password_hash  # what MLflow itself uses

    if not path.is_file() or not path.stat().st_size:
        return False
    try:
        with closing(sqlite3.connect(path, timeout=_PATIENCE)) as database, database:
            if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'users'").fetchone():
                return False
            row = database.execute("SELECT password_hash FROM users WHERE username = ?", (user,)).fetchone()
            if row is None or check_password_hash(str(row[0]), password.get_secret_value()):
                return False
            hashed = generate_password_hash(password.get_secret_value())
            database.execute("UPDATE users SET password_hash = ? WHERE username = ?", (hashed, user))
    except sqlite3.Error as error:
        raise ValueError(
            f"{path}, which holds MLflow's users, cannot be used ({error}); bring it back with `atelier restore "
            f"DIR`, or delete it: the user {user} is made anew, others are not"
        ) from error
    return True
