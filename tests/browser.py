"""A real Chromium for tests of pages: it reaches nothing but the page, and notes whatever the page complains of."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
LOADED = (
    "Promise.all([...document.images].map((image) => image.complete || "
    "new Promise((done) => { image.onload = image.onerror = done; })))"
)
"""Script that ends when every image of a page is there, or will not be."""
_Test = TypeVar("_Test", bound=Callable[..., object])


def needs_browser(test: _Test) -> _Test:
    """Mark a test as slow, and skip it where there is no Chromium."""
    pytest.importorskip("playwright")
    return pytest.mark.slow(pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")(test))


@dataclass
class Visit:
    """An open page, and what went wrong on it: errors and warnings of its console, and what it asked others for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def broken_images(self) -> list[str]:
        """Return the alt texts of images that did not load."""
        # Not wait_for_function, which from its second look on is script that a page's content policy forbids.
        self.page.evaluate(LOADED)
        found: list[str] = self.page.evaluate(
            "[...document.images].filter(image => !image.naturalWidth).map(image => image.alt)"
        )
        return found

    def is_too_wide(self) -> bool:
        """Return whether the page scrolls sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > innerWidth"))


@contextmanager
def visit(
    address: str, width: int = 1280, dark: bool = False, script: bool = True, height: int = 900
) -> Iterator[Visit]:
    """Yield a page in a window of `width` px.

    Args:
        address: of a page in a file, which may ask for nothing, or on a server, which it may ask.
        width: px.
        dark: whether the person likes it dark.
        script: whether scripts run.
        height: px.
    """
    from playwright.sync_api import sync_playwright

    own = address if address.startswith("file:") else "/".join(address.split("/")[:3])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        scheme = "dark" if dark else "light"
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, java_script_enabled=script
        )
        page = context.new_page()
        seen = Visit(page)

        def admit(route: Route) -> None:
            if route.request.url.startswith((own, "data:", "blob:")):
                route.continue_()
            else:
                seen.asked.append(route.request.url)
                route.abort()

        context.route("**/*", admit)
        page.on(
            "console", lambda said: seen.complaints.append(said.text) if said.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        page.goto(address)
        yield seen
        browser.close()
