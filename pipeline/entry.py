"""How every stage and command ends: a result, or one clear sentence."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NoReturn

USER_ERROR = 2


def run_stage(command: Callable[[], object]) -> NoReturn:
    """Run `command` and exit: 0 when it returns, 2 with one sentence when the user can fix what is wrong.

    With ATELIER_DEBUG set, the traceback is shown as well.
    """
    try:
        command()
    except (ValueError, OSError) as error:  # a full disk or a missing permission is the user's to mend, too
        if os.environ.get("ATELIER_DEBUG"):
            raise
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(USER_ERROR)
    sys.exit(0)
