"""Fault 11: a challenger behind a broken metric is refused, and says so; the champion stays."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline import registry
from pipeline.files import read_json
from tests.conftest import git
from tests.faults.studios import Studio, built, maker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
CODE = "pipeline/metrics/style.py"
HEALTHY = "            result[name] = distance * self._units[name]\n        return result\n"
BROKEN = {
    "no number": ("result[{0}] = result[{0}] * np.nan", "style/texture_swd is missing or no number"),
    "constant": ("result[{0}] = np.zeros_like(result[{0}])", "style/texture_swd is constant: 0"),
    "missing": ("del result[{0}]", "style/texture_swd is missing or no number"),
}


def sane(studio: Studio) -> dict[str, Any]:
    """Return what the last verdict says of the figures themselves."""
    rules: list[dict[str, Any]] = read_json(studio.workspace.var / "verdicts" / "ink.json")["rules"]
    return next(rule for rule in rules if rule["name"] == "sane")


def test_it_is_refused_and_the_champion_stays(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    studio = built(maker(tmp_path_factory), prefect_server)
    code = studio.root / CODE
    before = code.read_text()
    assert HEALTHY in before
    for how, (statement, says) in BROKEN.items():
        assert says not in sane(studio)["sentence"], how
        line = f"        {statement.format(repr('style/texture_swd'))}\n"
        code.write_text(before.replace(HEALTHY, HEALTHY.replace("        return", f"{line}        return")))
        done = studio.retrain("ink")  # named: a schedule leaves alone what only code made stale
        assert done.returncode == 0, done.stdout + done.stderr
        assert "ink: version 2 is not promoted. Refused: " in done.stdout, how
        verdict = sane(studio)
        assert not verdict["passed"], how
        assert says in verdict["sentence"], how
        assert studio.aliases() == {"champion": 1, "anchor": 1, "challenger": 2}
        assert registry.version_of(studio.workspace, "ink", 2).tags["verdict"] == "refused"
        studio.assert_champion_loads()
    git(studio.root, "checkout", "-q", "HEAD", "--", CODE)
    assert code.read_text() == before
    assert studio.retrain("ink").returncode == 0
    mended = sane(studio)["sentence"]
    assert not any(says in mended for _, says in BROKEN.values()), mended
    studio.assert_converged()
