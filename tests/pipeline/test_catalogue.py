"""What a person reads of methods before choosing one: all of them, in the command and on the page."""

import re
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.catalogue import METHODS, does

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "methods.md").read_text()


def test_the_command_lists_every_method_with_task_cost_needs_and_when_to_choose_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["methods"])
    assert not ended.value.code
    listed = re.sub(r"\s+", " ", capsys.readouterr().out)
    tasks = {facts.task for facts in METHODS.values()}
    for name, facts in METHODS.items():
        told = f"{name}: {facts.what} costs: {facts.cost} needs: {facts.needs} choose it: {facts.choose}"
        assert told in listed
        before = listed[: listed.index(told)]
        headings = {task: before.rfind(f"{task}: {does(task)}") for task in tasks}
        assert max(headings, key=headings.__getitem__) == facts.task  # what it stands below


@pytest.mark.parametrize("name", list(METHODS))
def test_nothing_that_a_person_should_know_is_left_blank(name: str) -> None:
    facts = METHODS[name]
    assert all(len(text) > 3 for text in (facts.what, facts.cost, facts.needs, facts.choose))


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_has_a_heading_and_a_row_on_its_page(name: str) -> None:
    assert re.search(rf"^## {re.escape(name)}$", PAGE, re.MULTILINE)
    assert re.search(rf"^\| `{re.escape(name)}` \|", PAGE, re.MULTILINE)
