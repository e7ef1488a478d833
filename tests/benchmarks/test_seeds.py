"""The arithmetic of the table of seeds, on figures that are easy to check by hand."""

from benchmarks.rows import Row, Table, markdown
from benchmarks.seeds import margins, noise
from pipeline.gate_rules import Rule


def row(name: str, patches: float, share: float) -> Row:
    rules = (
        Rule("texture", share >= 0.2, "", share, 0.2),
        Rule("sane", True, ""),
        Rule("judge", share >= 0.2, "", share, 0.2 if share >= 0.2 else 0.0),
    )
    figures = {"style/patch_swd": {"value": patches}, "style/kid": {"value": None}}
    return Row(name, figures, {"paintings": {}, "lab_transfer": {}, "photograph": {}}, rules, ())


TABLE = Table("hay", (), (row("seed 20", 0.1, 0.5), row("seed 21", 0.2, 0.3), row("seed 22", 0.3, 0.1)))


def test_a_figure_has_its_mean_and_deviation_over_the_seeds() -> None:
    assert "| patches ↓ | 0.2 | 0.1 |" in noise(TABLE)
    assert "| kid ↓ | nan | nan |" in noise(TABLE)  # not measured is said, not left out


def test_a_margin_is_the_distance_from_what_is_asked_in_deviations() -> None:
    lines = margins(TABLE).splitlines()
    assert "| texture | 0.5, 0.3, **0.1** | 0.2 | 0.5 |" in lines  # mean .3, deviation .2
    assert not any("sane" in line for line in lines)


def test_a_rule_that_quotes_another_bound_where_it_refuses_has_no_margin() -> None:
    assert "| judge | 0.5, 0.3, **0.1** |  |  |" in margins(TABLE).splitlines()


def test_a_row_ends_with_its_verdict() -> None:
    text = markdown(TABLE)
    assert "| seed 20 | 0.1 |  |  |  |  |  |  | accepted |" in text
    assert "| refused: texture, judge |" in text
