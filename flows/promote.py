"""Promotion, rollback and holding by a person.

`python -m flows.promote NAME [VERSION] --reason WHY [--rollback | --hold]`.
"""

from __future__ import annotations

if __name__ == "__main__":  # before Prefect is imported, because it reads its settings then
    from flows.command import promote_command
    from pipeline.entry import run_stage

    run_stage(promote_command)

from pathlib import Path

from prefect import flow

from flows.show import markdown
from pipeline.registry import decisions
from pipeline.workspace import find_workspace


@flow(name="promote", persist_result=False)
def promote(name: str, version: int | None = None, reason: str = "", by: str = "prefect") -> str:
    """Make a version the champion and the anchor below which later ones must not fall; return that in words.

    Whatever the gate said of it, and whether or not it was held: this is how a person forces a promotion.

    Args:
        name: registered model, which is the recipe's name.
        version: which; the challenger without.
        reason: stands in the record of promotions.
        by: who approved.
    """
    said = decisions.promote(find_workspace(Path.cwd()), name, version, reason, by)
    markdown(f"{said}: {reason} ({by})", "champion", name)
    return said


@flow(name="rollback", persist_result=False)
def rollback(name: str, reason: str = "", by: str = "prefect") -> str:
    """Swap champion and previous champion; return that in words.

    Args:
        name: registered model, which is the recipe's name.
        reason: stands in the record of promotions.
        by: who decided.
    """
    said = decisions.rollback(find_workspace(Path.cwd()), name, reason, by)
    markdown(f"{said}: {reason} ({by})", "champion", name)
    return said


@flow(name="hold", persist_result=False)
def hold(name: str, version: int | None = None, reason: str = "", by: str = "prefect") -> str:
    """Keep a version from being promoted, whatever the gate says, until a person promotes it; return that in words.

    Args:
        name: registered model, which is the recipe's name.
        version: which; the challenger without.
        reason: stands in the record of promotions.
        by: who decided.
    """
    said = decisions.hold(find_workspace(Path.cwd()), name, version, reason, by)
    markdown(f"{said}: {reason} ({by})", "held", name)
    return said
