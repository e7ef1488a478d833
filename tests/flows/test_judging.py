"""What people see of a verdict in the terminal and in Prefect."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows import judging
from pipeline import evaluate
from pipeline import judge as style_judge
from pipeline.files import write_json
from pipeline.gate import judge
from pipeline.params import Gate, SeedNoise, load_params
from pipeline.vote.ballots import Ballot, append
from tests.pipeline.packages import write_package
from tests.pipeline.scoresheets import changed, good
from tests.pipeline.training import tiny_workspace

SETTINGS = Gate(
    mode="not_worse",
    min_gap_closed=0.2,
    min_structure=0.55,
    max_flicker=4.0,
    min_spread=0.5,
    seed_noise=SeedNoise(style=0.02, texture=0.012, structure=0.02, psnr=0.1, ssim=0.003),
    min_photographs=8,
    min_paintings=5,
)


def test_every_rule_is_told_with_its_values() -> None:
    verdict = judge(changed(good(), {"content/structure": 0.4}), None, SETTINGS).to_dict()
    verdict["rules"][0]["sentence"] += " a | b"
    lines, table = judging.as_lines(verdict), judging.as_markdown(verdict).splitlines()
    names = [rule["name"] for rule in verdict["rules"]]
    assert [line.partition(":")[0] for line in lines] == [
        f"{'failed' if name == 'structure' else 'passed'} {name}" for name in names
    ]
    assert table[0] == verdict["sentence"]
    rows = [[cell.strip() for cell in row.replace(r"\|", "/").strip("|").split("|")] for row in table[4:]]
    assert [row[1] for row in rows] == names
    assert {len(row) for row in rows} == {5}
    structure = rows[names.index("structure")]
    assert structure[:4] == ["**failed**", "structure", "0.4", "0.55"]
    assert structure[4] in lines[names.index("structure")]
    assert rows[names.index("sane")][2:4] == ["", ""]


def test_votes_that_came_since_are_in_the_report_and_otherwise_it_stays(tmp_path: Path) -> None:
    workspace = tiny_workspace(tmp_path)
    package = write_package(workspace, "dots")
    style_judge.main("dots", workspace, load_params(workspace.params_file))
    evaluate.main("dots", workspace)
    verdict = judge(good(), None, SETTINGS).to_dict() | {"champion": None}
    write_json(judging.verdict_file(workspace, "dots", package), verdict)
    said: list[str] = []
    report = judging.render(workspace, "dots", package, {"Commit": "abc"}, said.append)
    first = report.stat().st_mtime_ns
    assert "abc" in report.read_text()
    assert "Painters preferred" not in report.read_text()
    assert judging.render(workspace, "dots", package, {"Commit": "abc"}, said.append) == report
    assert report.stat().st_mtime_ns == first
    now = "2026-01-01T00:00:00+00:00"
    append(
        workspace.var / "votes" / "one.jsonl",
        Ballot(now, "1", "v", "anna", "f" * 64, left=package, right="lab_transfer", choice="left"),
    )
    judging.render(workspace, "dots", package, {}, said.append)
    page = report.read_text()
    assert "Painters preferred it to Lab transfer in 1 of 1 decided vote" in page
    assert "abc" in page


def test_a_report_that_could_not_be_rendered_is_made_up_for(tmp_path: Path) -> None:
    workspace = tiny_workspace(tmp_path)
    package = write_package(workspace, "dots")
    style_judge.main("dots", workspace, load_params(workspace.params_file))
    evaluate.main("dots", workspace)
    path = judging.verdict_file(workspace, "dots", package)
    write_json(path, judge(good(), None, SETTINGS).to_dict() | {"champion": None})
    report = judging.render(workspace, "dots", package, {"Commit": "first"}, print)
    before = report.rename(report.with_suffix(".before"))
    report.mkdir()  # no file can take its name
    with pytest.raises(judging.MeasuringError):
        judging.render(workspace, "dots", package, {"Commit": "second"}, print)
    report.rmdir()
    before.rename(report)
    assert sorted(path.parent.iterdir()) == [path]
    judging.render(workspace, "dots", package, {"Commit": "second"}, print)
    assert "second" in report.read_text()
