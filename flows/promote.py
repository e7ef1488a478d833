"""Promotion, rollback and holding by a person.

`python -m flows promote NAME [VERSION] --reason WHY [--rollback | --hold]`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

from prefect import flow
from pydantic import Field

from flows.limits import within
from flows.show import markdown
from pipeline.params import load_params
from pipeline.registry import decisions
from pipeline.workspace import Workspace, find_workspace

# What Prefect checks before a run begins, and shows in the form that starts one.
Name: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Number: TypeAlias = Annotated[int | None, Field(ge=1)]
Reason: TypeAlias = Annotated[str, Field(max_length=4000)]


@flow(name="promote", persist_result=True, result_serializer="json", validate_parameters=True)
def promote(name: Name, version: Number = None, reason: Reason = "", by: str = "prefect") -> str:
    """Make a version the champion and the anchor below which later ones must not fall; return that in words.

    Whatever the gate said of it, and whether or not it was held: this is how a person forces a promotion.

    Args:
        name: registered model, which is the recipe's name.
        version: which; the challenger without.
        reason: stands in the record of promotions.
        by: who approved.
    """
    workspace = find_workspace(Path.cwd())
    with within(_minutes(workspace)):
        said = decisions.promote(workspace, name, version, reason, by)
    markdown(f"{said}: {reason} ({by})", "champion", name)
    return said


@flow(name="rollback", persist_result=True, result_serializer="json", validate_parameters=True)
def rollback(name: Name, reason: Reason = "", by: str = "prefect") -> str:
    """Swap champion and previous champion; return that in words.

    Args:
        name: registered model, which is the recipe's name.
        reason: stands in the record of promotions.
        by: who decided.
    """
    workspace = find_workspace(Path.cwd())
    with within(_minutes(workspace)):
        said = decisions.rollback(workspace, name, reason, by)
    markdown(f"{said}: {reason} ({by})", "champion", name)
    return said


@flow(name="hold", persist_result=True, result_serializer="json", validate_parameters=True)
def hold(name: Name, version: Number = None, reason: Reason = "", by: str = "prefect") -> str:
    """Keep a version from being promoted, whatever the gate says, until a person promotes it; return that in words.

    Args:
        name: registered model, which is the recipe's name.
        version: which; the challenger without.
        reason: stands in the record of promotions.
        by: who decided.
    """
    workspace = find_workspace(Path.cwd())
    with within(_minutes(workspace)):
        said = decisions.hold(workspace, name, version, reason, by)
    markdown(f"{said}: {reason} ({by})", "held", name)
    return said


def _minutes(workspace: Workspace) -> float:
    return load_params(workspace.params_file).up.flow_minutes
