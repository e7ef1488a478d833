"""The flows as commands: `python -m flows retrain|promote|publish|watch|serve`.

Each imports Prefect only after its settings are in the environment, where Prefect reads them once.
"""

from __future__ import annotations

import argparse
import getpass
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from flows.environment import server_answers, settle
from flows.guard import only_one
from flows.preflight import preflight
from pipeline.entry import run_stage
from pipeline.files import read_json
from pipeline.up.schema import require_current
from pipeline.workspace import Workspace, find_workspace


def main() -> None:
    """Run the command that the arguments name, in the workspace at or above the current folder."""
    given = parser().parse_args()
    if given.debug:
        os.environ["ATELIER_DEBUG"] = "1"
    workspace = find_workspace(Path.cwd())
    os.chdir(workspace.root)
    given.run(workspace, given)


def parser() -> argparse.ArgumentParser:
    """Return what reads the arguments: of each command what it does, and an example."""
    whole = argparse.ArgumentParser(prog="python -m flows", description="Run a flow of this workspace.")
    commands = whole.add_subparsers(required=True, metavar="COMMAND")

    def add(run: Any, does: str, example: str) -> argparse.ArgumentParser:
        name = run.__name__
        told = f"{does} Example: {f'python -m flows {name} {example}'.strip()}"
        command = commands.add_parser(name, help=does, description=told)
        command.add_argument("--debug", action="store_true", help="show tracebacks")
        command.set_defaults(run=run)
        return command

    one = add(retrain, "Ingest the inbox; build, judge, register, promote what is new.", "monet")
    one.add_argument("recipes", nargs="*", metavar="RECIPE", help="all without")
    one = add(promote, "Make a version the champion.", 'monet 3 --reason "The sky is calmer."')
    one.add_argument("name", help="registered model, which is the recipe's name")
    one.add_argument("version", nargs="?", type=int, help="the challenger without")
    instead = one.add_mutually_exclusive_group()
    instead.add_argument("--rollback", action="store_true", help="make the previous champion the champion again")
    instead.add_argument("--hold", action="store_true", help="let only a person promote the version")
    one.add_argument("--reason", required=True, help="stands in the record of promotions")
    one = add(publish, "Push what retrain committed: data, commits, version tags.", "--dry-run")
    one.add_argument("--dry-run", action="store_true", help="say what would go; push nothing")
    add(watch, "Watch the inbox; retrain when something new lies still in it.", "")
    add(serve, "Serve the deployments to a running Prefect server.", "")
    return whole


def retrain(workspace: Workspace, given: argparse.Namespace) -> None:
    """Run a retrain: exit 0 if every recipe came through, 1 if one failed, 2 if it could not begin."""
    preflight(workspace, given.recipes)
    with only_one(workspace):
        settle(workspace)
        from flows.retrain import retrain, sentence

        whole: Any
        began = time.time()
        try:
            state = retrain(given.recipes or None, return_state=True)
            completed, whole = state.is_completed(), state.result(raise_on_failure=False)
        except KeyboardInterrupt:
            print("stopped; the next retrain goes on from the last checkpoint", file=sys.stderr)
            sys.exit(130)
        except Exception as error:
            whole = _done_without_server(workspace, began, error)
            completed = not any(result["state"] == "failed" for result in whole["recipes"])
    if isinstance(whole, BaseException):  # it could not begin, or was ended
        raise whole
    for result in whole["recipes"]:
        print(sentence(result))
        if "report" in result:
            print(f"  report: {result['report']}")
    if whole.get("published"):
        print(whole["published"])
    if not completed:
        sys.exit(1)


def _done_without_server(workspace: Workspace, began: float, error: Exception) -> Any:
    """Return what a retrain came to whose Prefect server went away: the work needs none, only the record of it does.

    Raises:
        ValueError: the server went away before the work was done.
        Exception: `error` itself, where it has nothing to do with the server.
    """
    if server_answers():
        raise error
    last = workspace.var / "last_retrain.json"
    if not last.is_file() or last.stat().st_mtime < began:
        raise ValueError(
            f"the Prefect server at {os.environ['PREFECT_API_URL']} went away before the retrain was done; run "
            "`atelier up`, or `unset PREFECT_API_URL` if that names it, and retrain again: it goes on where this one "
            "was cut off"
        ) from error
    print("the Prefect server went away; what was done is done, but its pages do not tell of it", file=sys.stderr)
    return read_json(last)


def promote(workspace: Workspace, given: argparse.Namespace) -> None:
    """Promote a version, or with --rollback the previous champion, or hold a version, by a person's decision.

    As a flow where a Prefect server answers, which then shows it. Without one it is done all the same, and at once:
    going back must not wait for a server. The journal tells of it either way.
    """
    if given.rollback and given.version is not None:
        raise ValueError("--rollback takes no version: it returns to the previous champion")
    name, version, reason, by = given.name, given.version, given.reason, _person()
    settle(workspace)
    if os.environ.get("PREFECT_API_URL") and server_answers():
        from prefect.exceptions import ParameterTypeError

        from flows import promote as flow

        try:
            if given.rollback:
                print(flow.rollback(name, reason, by))
            else:
                print((flow.hold if given.hold else flow.promote)(name, version, reason, by))
        except ParameterTypeError as error:
            raise ValueError(str(error)) from error
    else:
        from pipeline.registry import decisions

        if given.rollback:
            print(decisions.rollback(workspace, name, reason, by))
        else:
            print((decisions.hold if given.hold else decisions.promote)(workspace, name, version, reason, by))


def publish(workspace: Workspace, given: argparse.Namespace) -> None:
    """Publish what is committed: exit 0 when all of it is at the remotes, 1 with one sentence when it is not.

    Without Prefect: there is nothing to schedule, and no server to wait for.
    """
    from flows import publishing
    from pipeline.params import load_params

    settings = load_params(workspace.params_file).publish
    try:
        if given.dry_run:
            said = publishing.offer(workspace, settings).lines()
        else:
            with only_one(workspace):
                said = publishing.publish(workspace, settings, lambda line: print(line, file=sys.stderr))
    except publishing.NotPublishedError as error:
        print(f"not published: {error}", file=sys.stderr)
        sys.exit(1)
    for line in said:
        print(line)


def watch(workspace: Workspace, _: argparse.Namespace) -> None:
    """Watch the inbox and retrain when something new lies still in it, until stopped."""
    require_current(workspace, damaged_too=False)  # before Prefect brings an older database along, without a copy
    settle(workspace)
    from flows.watch import watch_forever

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as a service is stopped: in order, like Ctrl-C
    try:
        watch_forever(workspace)
    except KeyboardInterrupt:
        print("stopped watching", file=sys.stderr)


def serve(workspace: Workspace, _: argparse.Namespace) -> None:
    """Serve the deployments until stopped."""
    settle(workspace)
    if not os.environ.get("PREFECT_API_URL"):
        raise ValueError(
            "PREFECT_API_URL is not set, and a temporary server schedules nothing: run `atelier up`, which starts a "
            "server and this, or `prefect server start` in another terminal, then `export "
            "PREFECT_API_URL=http://127.0.0.1:4200/api`"
        )
    _await_server(90.0)
    from flows.serve import serve_all

    serve_all(workspace)


def _await_server(patience: float) -> None:
    """Return once the Prefect server answers: one that was just started takes its time.

    Raises:
        ValueError: nothing answers within `patience` seconds.
    """
    deadline = time.monotonic() + patience
    while not server_answers():
        if time.monotonic() > deadline:
            raise ValueError(
                f"no Prefect server answers at PREFECT_API_URL={os.environ['PREFECT_API_URL']}; start one with "
                f"`prefect server start`, or correct the address"
            )
        time.sleep(0.5)


def _person() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a user database
        return f"uid {os.getuid()}"


if __name__ == "__main__":
    run_stage(main)
