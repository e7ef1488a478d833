"""The flows as commands. Imports Prefect only after its settings are in the environment."""

from __future__ import annotations

import argparse
import getpass
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from flows.environment import settle
from flows.guard import only_one
from flows.preflight import preflight
from pipeline.files import read_json
from pipeline.workspace import Workspace, find_workspace


def _workspace() -> Workspace:
    """Return the workspace at or above the current folder, and go there."""
    workspace = find_workspace(Path.cwd())
    os.chdir(workspace.root)
    return workspace


def _parser(module: str, does: str, example: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m flows.{module}", description=f"{does} Example: python -m flows.{module} {example}"
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def _parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    given = parser.parse_args()
    if given.debug:
        os.environ["ATELIER_DEBUG"] = "1"
    return given


def retrain_command() -> None:
    """Run a retrain: exit 0 if every recipe came through, 1 if one failed, 2 if it could not begin."""
    parser = _parser("retrain", "Ingest the inbox; build, judge, register, promote what is new.", "monet")
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help="all without")
    given = _parse(parser)
    workspace = _workspace()
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
    url = os.environ.get("PREFECT_API_URL", "")
    if not url or _answers(url):
        raise error
    last = workspace.var / "last_retrain.json"
    if not last.is_file() or last.stat().st_mtime < began:
        raise ValueError(
            f"the Prefect server at {url} went away before the retrain was done; run `atelier up`, or `unset "
            f"PREFECT_API_URL` if that names it, and retrain again: it goes on where this one was cut off"
        ) from error
    print("the Prefect server went away; what was done is done, but its pages do not tell of it", file=sys.stderr)
    return read_json(last)


def publish_command() -> None:
    """Publish what is committed: exit 0 when all of it is at the remotes, 1 with one sentence when it is not.

    Without Prefect: there is nothing to schedule, and no server to wait for.
    """
    parser = _parser("publish", "Push what retrain committed: data, commits, version tags.", "--dry-run")
    parser.add_argument("--dry-run", action="store_true", help="say what would go; push nothing")
    given = _parse(parser)
    workspace = _workspace()
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


def promote_command() -> None:
    """Promote a version, or with --rollback the previous champion, or hold a version, by a person's decision.

    As a flow where a Prefect server answers, which then shows it. Without one it is done all the same, and at once:
    going back must not wait for a server. The journal tells of it either way.
    """
    parser = _parser("promote", "Make a version the champion.", 'monet 3 --reason "The sky is calmer."')
    parser.add_argument("name", help="registered model, which is the recipe's name")
    parser.add_argument("version", nargs="?", type=int, help="the challenger without")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--rollback", action="store_true", help="make the previous champion the champion again")
    instead.add_argument("--hold", action="store_true", help="let only a person promote the version")
    parser.add_argument("--reason", required=True, help="stands in the record of promotions")
    given = _parse(parser)
    workspace = _workspace()
    if given.rollback and given.version is not None:
        raise ValueError("--rollback takes no version: it returns to the previous champion")
    name, version, reason, by = given.name, given.version, given.reason, _person()
    settle(workspace)
    if _answers(os.environ.get("PREFECT_API_URL", "")):
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


def _answers(url: str) -> bool:
    """Return whether a Prefect server answers at `url`, within a second or two."""
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=2):
            return True
    except urllib.error.HTTPError:
        return True  # it answers; what it lacks, Prefect will say
    except (OSError, ValueError):
        return False


def watch_command() -> None:
    """Watch the inbox and retrain when something new lies still in it, until stopped."""
    _parse(_parser("watch", "Watch the inbox; retrain when something new lies still in it.", ""))
    workspace = _workspace()
    settle(workspace)
    from flows.watch import watch_forever

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as a service is stopped: in order, like Ctrl-C
    try:
        watch_forever(workspace)
    except KeyboardInterrupt:
        print("stopped watching", file=sys.stderr)


def serve_command() -> None:
    """Serve the deployments until stopped."""
    _parse(_parser("serve", "Serve the deployments to a running Prefect server.", ""))
    workspace = _workspace()
    settle(workspace)
    if not os.environ.get("PREFECT_API_URL"):
        raise ValueError(
            "PREFECT_API_URL is not set, and a temporary server schedules nothing: run `atelier up`, which starts a "
            "server and this, or `prefect server start` in another terminal, then `export "
            "PREFECT_API_URL=http://127.0.0.1:4200/api`"
        )
    _await_server(os.environ["PREFECT_API_URL"])
    from flows.serve import serve_all

    serve_all(workspace)


def _await_server(url: str, patience: float = 90.0) -> None:
    """Return once the server at `url` answers: one that was just started takes its time.

    Raises:
        ValueError: nothing answers within `patience` seconds.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=10):
                return
        except urllib.error.HTTPError:
            return  # it answers; what it lacks, Prefect will say
        except (OSError, ValueError) as error:
            if time.monotonic() > deadline:
                raise ValueError(
                    f"no Prefect server answers at PREFECT_API_URL={url} ({error}); start one with "
                    f"`prefect server start`, or correct the address"
                ) from error
        time.sleep(0.5)


def _person() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a user database
        return f"uid {os.getuid()}"
