"""A page taken apart: its tags with their attributes, and whether every tag is closed."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = frozenset({"meta", "img", "input", "link", "br", "line", "rect", "path", "circle", "polyline", "stop"})


class Outline(HTMLParser):
    """Tags with their attributes, in order, and what tags are still open at the end."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]
