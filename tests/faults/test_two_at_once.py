"""Fault 1: two retrains of one workspace at once."""

from __future__ import annotations

import sys

import pytest

from tests.faults.studios import built, maker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def test_of_two_retrains_one_is_refused_and_the_other_comes_through(
    prefect_server: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    studio = built(maker(tmp_path_factory), prefect_server)
    both = [studio.start(sys.executable, "-m", "flows", "retrain") for _ in range(2)]
    said = [process.communicate(timeout=600)[0] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 2], said
    refused = said[codes.index(2)].splitlines()
    winner = both[codes.index(0)].pid
    assert refused[-1].startswith("error: ")
    assert f"is already running (process {winner})" in refused[-1]
    studio.assert_champion_loads()
    studio.assert_converged()
