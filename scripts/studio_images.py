"""Take the pictures of the studio that README and docs show, in a real Chromium.

    python -m scripts.studio_images --workspace work/demo
    python -m scripts.studio_images --package models/monet --package models/any-hand

Writes docs/images/studio.jpg (1280 px), studio-phone.jpg (400 px), studio-styles.jpg and studio-state.jpg. What is
painted is a built-in sample, so the pictures may be shown to anybody.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from pipeline.files import write_atomic

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[1]
_PATIENCE = 600_000  # ms
_QUALITY = 86


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, default=ROOT, help="whose champions, state and code are shown")
    parser.add_argument("--package", type=Path, action="append", default=[], help="a package in place of champions")
    parser.add_argument("--sample", default="A pagoda among trees", help="the photograph that is painted")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    given = parser.parse_args()
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with studio(given.workspace, given.package) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, width, height in (("studio", 1280, 860), ("studio-phone", 400, 1100)):
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
            page.set_default_timeout(_PATIENCE)
            page.goto(address)
            page.get_by_role("button", name=given.sample).click()
            page.locator("#champion.hung").wait_for()
            page.evaluate("document.activeElement.blur(); slide(42)")
            write(page, given.out / f"{name}.jpg")
        page = browser.new_page(viewport={"width": 1280, "height": 860}, color_scheme="light")
        for path in ("styles", "state"):
            page.goto(f"{address}/{path}")
            write(page, given.out / f"studio-{path}.jpg", full=True)
        browser.close()


def write(page: Page, path: Path, full: bool = False) -> None:
    """Write what a page shows as JPEG: the window, or all of it."""
    page.evaluate("Promise.all([...document.images].map((image) => image.decode().catch(() => 0)))")
    stream = io.BytesIO()
    with Image.open(io.BytesIO(page.screenshot(full_page=full))) as shot:
        shot.convert("RGB").save(stream, "JPEG", quality=_QUALITY, optimize=True)
    write_atomic(path, stream.getvalue())
    print(f"{path}: {len(stream.getvalue()) / 1000:.0f} kB")


@contextmanager
def studio(workspace: Path, packages: list[Path]) -> Iterator[str]:
    """Run the studio; yield its address.

    Raises:
        RuntimeError: it did not start.
    """
    named = [argument for package in packages for argument in ("--package", str(package.resolve()))]
    command = [
        sys.executable,
        "-m",
        "pipeline.cli",
        "-C",
        str(workspace.resolve()),
        "studio",
        "--no-open",
        "--port",
        "0",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [*command, "--no-open", "--port", "0", *named], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.match(r"studio: (http://[^/]+)/", line):
                break
        else:
            raise RuntimeError("the studio did not start; what it said stands above")
        yield found.group(1)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)


if __name__ == "__main__":
    main()
