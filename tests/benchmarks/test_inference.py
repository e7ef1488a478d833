"""The page of what painting costs: a cut leaves what was measured, and one part anew leaves the others alone."""

from pathlib import Path

from benchmarks.inference import Page


def test_every_row_is_on_the_page_as_soon_as_it_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "inference.md"
    page = Page(path, "yesterday")
    page.begin("pictures")
    page.add("pictures", "| 1 x 1 | 1 | 2 s | 3 s | 4 GB |")
    assert path.read_text().count("\n| 1 x 1 |") == 1
    assert path.read_text().count("Not measured.") == 2


def test_a_part_that_is_measured_anew_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "inference.md"
    first = Page(path, "yesterday")
    for part, row in (("networks", "| a |"), ("proxies", "| b |"), ("pictures", "| c |")):
        first.begin(part)
        first.add(part, row)
    second = Page(path, "today")
    second.begin("proxies")
    second.add("proxies", "| d |")
    text = path.read_text()
    assert [line for line in text.splitlines() if line in ("| a |", "| b |", "| c |", "| d |")] == [
        "| a |",
        "| d |",
        "| c |",
    ]
    assert text.count("yesterday") == 2
    assert text.count("today") == 1
    assert "Not measured" not in text
    third = Page(path, "tomorrow")
    third.begin("networks")
    third.add("networks", "| a |")
    assert path.read_text() == text.replace("yesterday", "tomorrow", 1)


def test_a_part_that_is_gone_on_with_keeps_its_rows_and_says_when_either_was(tmp_path: Path) -> None:
    path = tmp_path / "inference.md"
    first = Page(path, "yesterday")
    first.begin("networks")
    first.add("networks", "| a |")
    second = Page(path, "today")
    second.begin("networks", anew=False)
    second.add("networks", "| b |")
    assert "yesterday Continued: today" in path.read_text()
    assert "| a |\n| b |\n" in path.read_text()
