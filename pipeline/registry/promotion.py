"""Which version is in use: promotion, rollback and holding. The journal tells of each before and after it is done."""

from __future__ import annotations

import time
from collections.abc import Mapping

from pipeline.registry import journal, store
from pipeline.registry.change import Change, carry_out, present
from pipeline.registry.names import (
    ANCHOR,
    CHALLENGER,
    CHAMPION,
    GATE,
    HELD,
    LONGEST_TAG,
    PREVIOUS,
    ROLLED_BACK,
    RegistryError,
    Version,
    barred,
    bars,
)
from pipeline.registry.settling import changing
from pipeline.workspace import Workspace


def promote(workspace: Workspace, name: str, number: int, reason: str, by: str) -> bool:
    """Make a version the champion and the champion before it `previous`; return False when it was champion.

    The package is checked, loaded and tried on a picture first. The alias then moves in one write, so a crash leaves
    the old champion or the new one, and the next change of the registry finishes what is left.

    Args:
        workspace: whose registry.
        name: registered model, which is the recipe.
        number: version.
        reason: a sentence for the journal and the version's tags.
        by: `GATE`, or who approved; a person's approval moves the anchor too, and lifts what bars the version. The
            gate sets the anchor where there is none yet, and never moves it.

    Raises:
        RegistryError: there is no such model or version, its package is damaged or does not work, or a person bars
            it from the gate.
    """
    with changing(workspace, name) as registry:
        chosen = store.found(workspace, registry, name, number)
        aliases = store.aliases(registry, name)
        before = aliases.get(CHAMPION)
        if by == GATE and (why := barred(chosen)):
            raise RegistryError(f"{name} version {number} {why}: only a person promotes it")
        new = before != number
        change = _crowning(chosen, aliases, reason, by) if new else Change(_anchored(aliases, number, by))
        if not new and present(registry, name, change).aliases == change.aliases:
            return False
        lifted = {"lifted": marks} if new and (marks := bars(chosen.tags)) else {}
        writing = journal.begin(
            workspace,
            "promote" if new else "approve",
            name,
            **{"from": before, "to": number, "package": chosen.package, **lifted, "reason": reason, "by": by},
        )
        carry_out(workspace, registry, writing, name, change, chosen if new else None)
    return new


def rollback(workspace: Workspace, name: str, reason: str, by: str = "rollback") -> Version:
    """Swap `champion` and `previous`, and return the new champion.

    Raises:
        RegistryError: there is no such model, no previous champion, a person holds that, or it does not work.
    """
    with changing(workspace, name) as registry:
        aliases = store.aliases(registry, name)
        if PREVIOUS not in aliases or aliases[PREVIOUS] == aliases.get(CHAMPION):
            raise RegistryError(f"model {name!r} has no previous champion to roll back to")
        chosen = store.found(workspace, registry, name, aliases[PREVIOUS])
        if HELD in chosen.tags:  # what was rolled back may come back this way; what is held was never in question
            raise RegistryError(
                f"{name} version {chosen.version}, the champion before, is held ({chosen.tags[HELD]}); name the "
                f"version that shall be champion: `atelier promote {name} VERSION --reason ...`"
            )
        before = aliases.get(CHAMPION)
        wanted: dict[str, int | None] = {CHAMPION: chosen.version}
        tags = {chosen.version: _crowned(chosen, reason, by)}
        if before is not None:
            wanted[PREVIOUS] = before
            tags[before] = {ROLLED_BACK: reason[:LONGEST_TAG]}
            if aliases.get(ANCHOR) == before:  # nothing is held to what a person has just taken down
                wanted[ANCHOR] = chosen.version
        writing = journal.begin(
            workspace,
            "rollback",
            name,
            **{"from": before, "to": chosen.version, "package": chosen.package, "reason": reason, "by": by},
        )
        carry_out(workspace, registry, writing, name, Change(wanted, tags), chosen)
    return chosen


def hold(workspace: Workspace, name: str, number: int, reason: str, by: str) -> None:
    """Bar a version from promotion by the gate until a person promotes it.

    Args:
        workspace: whose registry.
        name: registered model, which is the recipe.
        number: version.
        reason: a sentence for the journal and the version's tags; a later one takes its place.
        by: who decided.

    Raises:
        RegistryError: there is no such model or version, its package is damaged, or it is the champion.
    """
    with changing(workspace, name) as registry:
        chosen = store.found(workspace, registry, name, number)
        if store.aliases(registry, name).get(CHAMPION) == number:
            raise RegistryError(
                f"{name} version {number} is the champion, and holding does not take it out of use; "
                f"go back to the one before with `atelier rollback {name} --reason ...`"
            )
        noted = {"version": number, "package": chosen.package, "reason": reason, "by": by}
        writing = journal.begin(workspace, "hold", name, **noted)
        change = Change(tags={number: {HELD: reason[:LONGEST_TAG]}})
        carry_out(workspace, registry, writing, name, change, None)


def note_verdict(workspace: Workspace, name: str, number: int, tags: Mapping[str, str]) -> None:
    """Note the gate's verdict on a version that was judged anew; if it is the one that stands, nothing is written."""
    change = Change(tags={number: dict(tags)})
    with changing(workspace, name) as registry:
        if present(registry, name, change) != change:
            writing = journal.begin(workspace, "judge", name, version=number, by=GATE, **tags)
            carry_out(workspace, registry, writing, name, change, None)


def _crowning(chosen: Version, aliases: Mapping[str, int], reason: str, by: str) -> Change:
    wanted: dict[str, int | None] = {**_anchored(aliases, chosen.version, by), CHAMPION: chosen.version}
    if aliases.get(CHAMPION) is not None:
        wanted[PREVIOUS] = aliases[CHAMPION]
    if aliases.get(CHALLENGER) == chosen.version:
        wanted[CHALLENGER] = None
    return Change(wanted, {chosen.version: _crowned(chosen, reason, by)})


def _anchored(aliases: Mapping[str, int], number: int, by: str) -> dict[str, int | None]:
    if by != GATE:
        return {ANCHOR: number}
    if ANCHOR not in aliases:  # from the first champion on, what the gate lets pass as noise must not add up
        return {ANCHOR: aliases.get(CHAMPION, number)}
    return {}


def _crowned(chosen: Version, reason: str, by: str) -> dict[str, str | None]:
    """Return the tags of a version that becomes champion: nothing bars it, and who promoted it, when and why."""
    return {
        **dict.fromkeys(bars(chosen.tags)),
        "promoted_by": by,
        "promoted_why": reason[:LONGEST_TAG],
        "promoted_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
