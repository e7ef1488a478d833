"""What people see of a verdict in the terminal and in Prefect."""

from __future__ import annotations

from flows import judging
from pipeline.gate import judge
from pipeline.params import Gate, SeedNoise
from tests.pipeline.scoresheets import changed, good

SETTINGS = Gate(
    mode="not_worse",
    min_gap_closed=0.2,
    min_structure=0.55,
    seed_noise=SeedNoise(style=0.02, texture=0.012, structure=0.02),
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
