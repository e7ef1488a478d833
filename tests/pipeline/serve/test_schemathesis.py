"""schemathesis over the OpenAPI document of a real `atelier serve`: no 5xx, and nothing that the document denies."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.pipeline.packages import empty_workspace
from tests.pipeline.pictures import ROOT
from tests.pipeline.serve.serving import PHOTO, generating, package, referring, serving, until_ready

# By the document any bytes may be a picture and any text a model's name: that such a request is refused is no fault.
# Every other check is made, among them: no 5xx, statuses, types and bodies as declared, nonsense not accepted.
LEFT_OUT = "positive_data_acceptance"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_answer_is_as_the_document_has_it_and_none_is_a_5xx(tmp_path: Path) -> None:
    pytest.importorskip("schemathesis")
    place = empty_workspace(tmp_path / "studio")
    (place.root / "pipeline").symlink_to(ROOT / "pipeline")
    place.params_file.write_bytes((ROOT / "params.yaml").read_bytes())
    place.recipes_file.write_text("styles: []\nrecipes: {}\n")
    folders = package(tmp_path / "a"), referring(tmp_path / "b"), generating(tmp_path / "c")
    named = [argument for folder in folders for argument in ("--package", str(folder))]
    with serving(place, "serve", *named) as (process, address, _):
        until_ready(address)
        assert httpx.post(f"{address}/api/stylize?model=ink", content=PHOTO, timeout=120).status_code == 200
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{address}/openapi.json", "--seed", "8"]
        options = ["-n", "40", "--exclude-checks", LEFT_OUT, "--continue-on-failure", "--request-timeout", "120"]
        told = {"PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.pipeline.serve.wishes"}
        done = subprocess.run(
            [*command, *options],
            cwd=tmp_path,  # where it keeps what it found
            env={**os.environ, **told},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
        assert "Tested: 9" in done.stdout, done.stdout[-2000:]
        assert process.poll() is None
        seen = _answers(httpx.get(f"{address}/metrics", timeout=60).text)
    assert not [status for _, status in seen if status.startswith("5")]
    for path in ("/api/stylize", "/api/view", "/api/generate"):
        assert seen[path, "200"] > 3, path  # it saw paintings, not refusals alone
        assert seen[path, "422"] > 3, path


def _answers(figures: str) -> dict[tuple[str, str], int]:
    """Return how often each path answered with each status to POST."""
    found = re.findall(r'^atelier_requests_total\{method="POST",path="([^"]+)",status="(\d+)"\} (\S+)', figures, re.M)
    return {(path, status): int(float(count)) for path, status, count in found}
