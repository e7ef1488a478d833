"""`atelier status --check`: what a monitor asks."""

from __future__ import annotations

import json

from pipeline.workspace import Workspace


def checkup(workspace: Workspace, as_json: bool) -> int:
    """Say in a line whether all is well, or what is not; return the exit status, which is 1 if something is not."""
    from pipeline.health import check

    found = check(workspace)
    if as_json:
        print(json.dumps(found.to_dict(), indent=2))
    elif found.problems:
        for problem in found.problems:
            print(f"{problem.kind}: {problem.why}")
    else:
        print(f"all is well: {found.said}")
    return 1 if found.problems else 0
