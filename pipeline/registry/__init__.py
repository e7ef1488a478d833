"""Registered models: one version a package, and the aliases `champion`, `challenger`, `previous` and `anchor`.

The registered model's name is the recipe's. Only flows and commands change it. Every change stands in
`var/promotions.jsonl`, before and after it is made: see `pipeline.registry.journal`.
"""

from pipeline.registry.checksums import verify
from pipeline.registry.deletion import delete
from pipeline.registry.lineage import Lineage, trained_on
from pipeline.registry.logged import requirements
from pipeline.registry.names import (
    ANCHOR,
    CHALLENGER,
    CHAMPION,
    GATE,
    HELD,
    PREVIOUS,
    ROLLED_BACK,
    TRAINED_ON,
    RegistryError,
    RegistryLostError,
    Version,
    barred,
)
from pipeline.registry.promotion import hold, note_verdict, promote, rollback
from pipeline.registry.read import aliased, aliases_of, champion, models, version_of
from pipeline.registry.rebuilding import rebuild
from pipeline.registry.registration import Registered, register
from pipeline.registry.settling import settle
from pipeline.registry.store import has_registry, lost
from pipeline.registry.story import history

__all__ = [
    "ANCHOR",
    "CHALLENGER",
    "CHAMPION",
    "GATE",
    "HELD",
    "PREVIOUS",
    "ROLLED_BACK",
    "TRAINED_ON",
    "Lineage",
    "Registered",
    "RegistryError",
    "RegistryLostError",
    "Version",
    "aliased",
    "aliases_of",
    "barred",
    "champion",
    "delete",
    "has_registry",
    "history",
    "hold",
    "lost",
    "models",
    "note_verdict",
    "promote",
    "rebuild",
    "register",
    "requirements",
    "rollback",
    "settle",
    "trained_on",
    "verify",
    "version_of",
]
