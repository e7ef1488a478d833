"""Kill -9 at a chosen step of a change to the registry, in a process of its own.

Steps are what changes something: files opened to be written, renamed or removed, folders made or removed (Python's
audit hooks tell), and each statement that writes to a database, before it and after its commit (SQLAlchemy tells).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_STATEMENTS = ("INSERT", "UPDATE", "DELETE")


def in_a_process(work: Callable[[], Any]) -> Any:
    """Run `work` in a child and return its JSON value; the parent never opens a database, so a child may."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            value = json.dumps(work())
            with os.fdopen(writing, "w") as stream:
                stream.write(value)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as stream:
        told = stream.read()
    _, ended = os.waitpid(child, 0)
    assert os.WIFEXITED(ended), f"the child ended by signal {os.WTERMSIG(ended)}"
    assert os.WEXITSTATUS(ended) == 0, "the child failed, see its traceback"
    return json.loads(told)


def killed(root: Path, work: Callable[[], object], step: int) -> bool:
    """Run `work` in a child that kills itself at step number `step`; return whether that step was reached."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            _arm(root, step)
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    if os.WIFSIGNALED(ended):
        assert os.WTERMSIG(ended) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(ended) == 0, f"it failed before step {step}, see its traceback"
    return False


def steps_of(root: Path, work: Callable[[], object]) -> int:
    """Run `work` in a child undisturbed and return how many steps it has."""

    def count() -> int:
        done = _arm(root, 0)
        work()
        return done()

    return int(in_a_process(count))


def _arm(root: Path, last: int) -> Callable[[], int]:
    from sqlalchemy import Engine, event

    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps == last:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(what: str, arguments: tuple[object, ...]) -> None:
        place = str(arguments[0]) if arguments else ""
        opened = what == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING
        locks = place.endswith((".lock", "-journal"))
        if (opened or what in _CHANGES) and place.startswith(str(root)) and not locks:
            step()

    def before(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.lstrip().upper().startswith(_STATEMENTS):
            step()

    sys.addaudithook(watch)
    event.listen(Engine, "before_cursor_execute", before)
    event.listen(Engine, "commit", lambda _connection: step())
    return lambda: steps
