"""What schemathesis is told about requests: which bytes are pictures, and the names that this server knows.

By the document alone it would send noise for pictures and ask for models that nobody has, and never see a painting.
`SCHEMATHESIS_HOOKS` names this module.
"""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import strategies as st

from tests.pipeline.pictures import encoded, texture

PICTURES = [
    encoded(texture(1, 60, 40)),
    encoded(texture(2, 33, 21), "JPEG"),
    encoded(texture(3, 20, 50), "WEBP"),
]
BROKEN = [PICTURES[0][:90], b"GIF89a", b""]
BODIES = st.sampled_from(PICTURES) | st.sampled_from(BROKEN) | st.binary(max_size=200)
WISHES: dict[str, list[dict[str, Any]]] = {
    "/api/stylize": [{"model": "ink"}, {"model": "ink@champion"}, {"model": "any-hand", "style": "dots"}],
    "/api/generate": [{"model": "studies"}, {"model": "studies", "code": ["k1=0", "c1=-0.5"]}],
}
OWN = ("model", "style", "weight", "code", "truncation")  # what only some models take

schemathesis.openapi.format("binary", BODIES)
for _kind in ("application/octet-stream", "image/*"):
    schemathesis.openapi.media_type(_kind, BODIES)


@schemathesis.hook
def flatmap_query(context: schemathesis.HookContext, query: dict[str, Any] | None) -> st.SearchStrategy[Any]:
    """Let every other request ask a model that there is for what it can do."""
    wishes = WISHES.get(context.operation.path if context.operation else "")
    if wishes is None:
        return st.just(query)
    others = {name: value for name, value in (query or {}).items() if name not in OWN}
    return st.just(query) | st.sampled_from([{**others, **wish} for wish in wishes])
