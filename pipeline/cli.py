"""`atelier`: everything a person does with a workspace. Thin: each command asks, calls one function, and shows."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from pipeline.commands import (
    building,
    deciding,
    images,
    judging,
    keeping,
    machine,
    painting,
    serving,
    sharing,
    up,
    weights,
)
from pipeline.commands.app import Invocation, app
from pipeline.entry import USER_ERROR

# In the order in which `atelier --help` lists them.
for topic in (
    images, building, judging, deciding, painting, serving, up, sharing, keeping, machine, weights,
):  # fmt: skip
    app.add_typer(topic.commands)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command line. What a user can fix is one sentence and exit status 2; `--debug` shows the traceback."""
    given = tuple(sys.argv[1:] if arguments is None else arguments)
    try:
        app(args=list(given), prog_name="atelier", obj=Invocation(given))
    except (ValueError, OSError) as error:
        if os.environ.get("ATELIER_DEBUG"):
            raise
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(USER_ERROR)


if __name__ == "__main__":
    main()
