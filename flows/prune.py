"""Housekeeping by the clock: what nothing names any more goes, as `atelier prune` shows it."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows.limits import in_turn, within
from flows.show import markdown, say
from pipeline.params import load_params
from pipeline.safekeeping import prune as pruning
from pipeline.safekeeping.command import readable
from pipeline.workspace import find_workspace


@flow(name="prune", persist_result=True, result_serializer="json", validate_parameters=True)
def prune(apply: bool = True) -> dict[str, int | bool]:
    """Let go what nothing names any more and whose time is over; never what an alias or a git tag names.

    Args:
        apply: without it, what would go is only shown.
    """
    workspace = find_workspace(Path.cwd())
    params = load_params(workspace.params_file)
    with within(params.up.flow_minutes), in_turn(workspace):
        found = pruning.plan(workspace, params.prune)
        if apply:
            pruning.carry_out(workspace, found.items)
    told = f"{len(found.items)} things, {readable(found.size)}, {'let go' if apply else 'may go'}"
    lines = [f"- {item.kind} {item.what}: {readable(item.size)}" for item in found.items]
    markdown("\n".join([told, "", *lines, *(f"- {remark}" for remark in found.remarks)]), "prune")
    say(f"prune: {told}")
    return {"items": len(found.items), "bytes": found.size, "applied": apply}
