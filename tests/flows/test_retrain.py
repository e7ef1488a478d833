"""The whole flow at smoke size, with real Prefect, DVC, MLflow and git: one studio's history, in order."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import registry, tracking
from pipeline.files import read_json
from pipeline.gate import Verdict
from pipeline.workspace import Workspace
from tests.conftest import git
from tests.flows.studio import command, drop

pytestmark = pytest.mark.timeout(900)
STYLES = ("ink", "oil")


@dataclass
class Studio:
    """A workspace and what its tests remember."""

    root: Path
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.root)

    @property
    def locked(self) -> str:
        return (self.root / "dvc.lock").read_text()

    def last(self) -> dict[str, Any]:
        results = read_json(self.root / "var" / "last_retrain.json")["recipes"]
        return {result["recipe"]: result for result in results}


@pytest.fixture(scope="module")
def studio(new_workspace: Callable[[], Path], tmp_path_factory: pytest.TempPathFactory) -> Studio:
    """Two styles wait in the inbox; the first retrain is the command, with a temporary server of its own."""
    root = new_workspace()
    drop(root, "photos", 0, 12)
    for style in STYLES:
        drop(root, style, 0, 8)
    (root / "notes.txt").write_text("a person's own\n")
    git(root, "add", "notes.txt")
    home = tmp_path_factory.mktemp("home")
    done = command(root, "flows", "retrain", HOME=str(home))
    return Studio(root, {"done": done, "home": home})


@pytest.fixture
def retrain(
    studio: Studio, prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., dict[str, Any]]]:
    """Return the flow, run here against the tests' server in the studio; it returns the results by recipe."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.retrain import retrain as flow

    monkeypatch.chdir(studio.root)

    def call(*recipes: str) -> dict[str, Any]:
        studio.notes["state"] = flow(list(recipes) or None, return_state=True)
        return studio.last()

    with temporary_settings({PREFECT_API_URL: prefect_server}):
        yield call


def states(results: dict[str, Any], recipe: str) -> list[str]:
    return [row["state"] for row in results[recipe]["stages"]]


def test_the_first_retrain_ingests_builds_judges_and_registers(studio: Studio) -> None:
    done = studio.notes["done"]
    assert done.returncode == 0, done.stderr
    for rule in ("style", "texture", "structure", "judge", "palette", "copies", "sane", "champion"):
        assert len(re.findall(rf"^  (?:passed|failed) {rule}: .+\.$", done.stderr, re.MULTILINE)) == len(STYLES)
    results = studio.last()
    for style in STYLES:
        # Six steps paint nothing, and the gate says so: but everything else has happened.
        assert results[style]["state"] == "refused", results[style]
        assert f"{style}: version 1 is not promoted. Refused: " in done.stdout
        assert registry.aliases_of(studio.workspace, style) == {"challenger": 1}
        assert "done" in states(results, style)
        assert Path(results[style]["report"]).is_file()
        verdict = read_json(studio.workspace.var / "verdicts" / f"{style}.json")
        assert verdict["package"] == results[style]["package"]
        assert not verdict["accepted"]
    assert not list((studio.root / "inbox" / "ink").iterdir())
    assert not (studio.notes["home"] / ".prefect").exists()
    assert (studio.workspace.var / "prefect").is_dir()


def test_the_version_says_what_it_was_made_from(studio: Studio) -> None:
    from pipeline.files import sha256_file

    package = read_json(studio.workspace.package("oil") / "manifest.json")
    version = registry.version_of(studio.workspace, "oil", 1)
    assert version.tags["package"] == package["package"]
    assert version.tags["data_digest"] == package["digests"]["data"]
    assert version.tags["dvc_lock"] == sha256_file(studio.root / "dvc.lock")
    assert (version.tags["method"], version.tags["style"], version.tags["verdict"]) == ("cut", "oil", "refused")
    metrics = {key: float(text) for key, text in version.tags.items() if key.startswith("metric/")}
    summary = read_json(studio.workspace.report("oil") / "summary.json")
    assert metrics["metric/style/patch_swd"] == pytest.approx(summary["style/patch_swd"], rel=1e-4)
    assert set(metrics) == {f"metric/{key}" for key, value in summary.items() if value is not None and "." not in key}
    commit = version.tags["git_commit"]
    assert git(studio.root, "rev-parse", "oil/v1") == commit
    assert git(studio.root, "show", f"{commit}:dvc.lock") == studio.locked.strip()
    assert "data/styles/oil.dvc" in git(studio.root, "ls-tree", "-r", "--name-only", commit)
    # What a person had staged is still staged, and in no commit.
    assert git(studio.root, "status", "--porcelain", "notes.txt") == "A  notes.txt"


def test_mlflow_has_the_training_each_line_once(studio: Studio) -> None:
    for style in STYLES:
        log = tracking.training_log(studio.workspace, style)
        assert log is not None
        steps = [event.step for event in log.events()[0] if event.event == "metrics"]
        store = tracking.client(studio.workspace)
        run = store.get_run(tracking.run_of(studio.workspace, style, log.key))
        losses = [name for name in run.data.metrics if not name.startswith("evaluation/")]
        assert losses
        fed = {name: [metric.step for metric in store.get_metric_history(run.info.run_id, name)] for name in losses}
        assert sorted(set().union(*fed.values())) == steps
        assert all(len(set(each)) == len(each) for each in fed.values()), "a line came twice"
        assert any(name.startswith("evaluation/") for name in run.data.metrics)
        assert run.data.params["train.steps"] == "6"
        assert [item.path for item in store.list_artifacts(run.info.run_id, "report")]


def test_prefect_shows_stages_progress_and_verdict(studio: Studio) -> None:
    with sqlite3.connect(studio.workspace.var / "prefect" / "prefect.db") as database:
        artifacts = dict(database.execute("select key, data from artifact order by created").fetchall())
        tasks = {row[0] for row in database.execute("select name from task_run where state_type = 'COMPLETED'")}
    table = json.loads(
        json.loads(artifacts["stages-ink"]) if artifacts["stages-ink"][0] == '"' else artifacts["stages-ink"]
    )
    assert [row["stage"] for row in table] == [
        "prepare_photos", "prepare@ink", "judge@ink", "train@ink", "package@ink", "evaluate@ink",
    ]  # fmt: skip
    assert {"verdict-ink", "report-ink", "training-ink", "retrain"} <= set(artifacts)
    assert {"quality-photos", "quality-ink", "quality-oil"} <= set(artifacts)
    assert {"plan", "pictures-ink", "mlflow-ink", "mlflow-oil"} <= set(artifacts)
    assert "never built" in artifacts["plan"]
    assert "/#/experiments/" in artifacts["mlflow-ink"]
    assert "training-set score" in artifacts["quality-ink"]
    assert {"build ink", "judge ink", "register ink", "build oil"} <= tasks


def test_the_second_retrain_does_nothing(studio: Studio, retrain: Callable[..., dict[str, Any]]) -> None:
    before = (studio.locked, git(studio.root, "rev-parse", "HEAD"))
    report = Path(studio.last()["ink"]["report"])
    written = report.stat().st_mtime_ns
    results = retrain()
    assert (studio.locked, git(studio.root, "rev-parse", "HEAD")) == before
    for style in STYLES:
        assert states(results, style) == ["unchanged"] * 6
        assert (results[style]["state"], results[style]["version"]) == ("refused", 1)
        assert registry.aliases_of(studio.workspace, style) == {"challenger": 1}
    assert report.stat().st_mtime_ns == written, "the same model was judged twice on the same grounds"


def test_a_person_promotes(studio: Studio, prefect_server: str) -> None:
    done = command(studio.root, "flows", "promote", "ink", "--reason", "a test", PREFECT_API_URL=prefect_server)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ink version 1 is now the champion\n"
    assert registry.aliases_of(studio.workspace, "ink") == {"champion": 1, "anchor": 1}
    wrong = command(studio.root, "flows", "promote", "ink", "9", "--reason", "a test", PREFECT_API_URL=prefect_server)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "no version 9" in wrong.stderr


def test_an_unchanged_champion_is_not_judged_again(studio: Studio, retrain: Callable[..., dict[str, Any]]) -> None:
    assert retrain("ink")["ink"]["state"] == "unchanged"


def test_a_new_artwork_touches_its_own_style_alone_and_a_refusal_leaves_the_champion(
    studio: Studio, retrain: Callable[..., dict[str, Any]]
) -> None:
    oil = registry.version_of(studio.workspace, "oil", 1).package
    champion = registry.champion(studio.workspace, "ink")
    drop(studio.root, "ink", 8, 1)
    results = retrain()
    assert states(results, "oil") == ["unchanged"] * 6
    assert results["oil"]["package"] == oil
    # Its judge is frozen: a new artwork does not make it anew.
    assert states(results, "ink") == ["unchanged", "done", "unchanged", "done", "done", "done"]
    assert (results["ink"]["state"], results["ink"]["version"]) == ("refused", 2)
    assert registry.champion(studio.workspace, "ink") == champion
    assert registry.aliases_of(studio.workspace, "ink") == {"champion": 1, "anchor": 1, "challenger": 2}
    verdict = read_json(studio.workspace.var / "verdicts" / "ink.json")
    assert verdict["champion"] == champion.package if champion else False
    assert git(studio.root, "rev-parse", "ink/v2") == git(studio.root, "rev-parse", "HEAD")


@pytest.fixture
def lenient_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the gate accept what it finds, in flows that run here."""
    from pipeline import gate

    real = gate.judge

    def lenient(*arguments: Any, **named: Any) -> Verdict:
        return replace(real(*arguments, **named), accepted=True, sentence="Accepted: a test said so.")

    monkeypatch.setattr(gate, "judge", lenient)


@pytest.mark.usefixtures("lenient_gate")
def test_an_accepted_model_becomes_the_champion(studio: Studio, retrain: Callable[..., dict[str, Any]]) -> None:
    text = (studio.root / "params.yaml").read_text()  # other rules, so that the standing verdict falls
    (studio.root / "params.yaml").write_text(text.replace("min_structure: 0.0", "min_structure: 0.01"))
    result = retrain("ink")["ink"]
    assert states({"ink": result}, "ink") == ["unchanged"] * 6
    assert (result["state"], result["version"]) == ("promoted", 2)
    assert registry.aliases_of(studio.workspace, "ink") == {"champion": 2, "previous": 1, "anchor": 1}
    tags = registry.version_of(studio.workspace, "ink", 2).tags
    assert (tags["verdict"], tags["promoted_by"], tags["promoted_why"]) == (
        "accepted", "gate", "Accepted: a test said so.",
    )  # fmt: skip


def test_rollback_is_one_command(studio: Studio, prefect_server: str) -> None:
    arguments = ("ink", "--rollback", "--reason", "it was better before")
    done = command(studio.root, "flows", "promote", *arguments, PREFECT_API_URL=prefect_server)
    assert done.stdout == "ink version 1 is the champion again\n", done.stderr
    assert registry.aliases_of(studio.workspace, "ink") == {"champion": 1, "previous": 2, "anchor": 1}


def test_what_a_person_rolled_back_is_not_promoted_again(
    studio: Studio, retrain: Callable[..., dict[str, Any]]
) -> None:
    result = retrain("ink")["ink"]  # the gate's verdict on it stands: accepted
    assert (result["state"], result["version"]) == ("held", 2)
    assert "it was rolled back (it was better before): only a person promotes it" in result["why"]
    assert registry.aliases_of(studio.workspace, "ink")["champion"] == 1


@pytest.mark.usefixtures("lenient_gate")
def test_what_a_person_holds_is_not_promoted_until_a_person_does(
    studio: Studio, retrain: Callable[..., dict[str, Any]], prefect_server: str
) -> None:
    def decide(*arguments: str) -> tuple[int, str, str]:
        done = command(studio.root, "flows", "promote", "oil", *arguments, PREFECT_API_URL=prefect_server)
        return done.returncode, done.stdout, done.stderr

    said = "oil version 1 is held: only a person promotes it\n"
    assert decide("--hold", "--reason", "the curator looks first")[:2] == (0, said)
    result = retrain("oil")["oil"]  # under the rules as they are now, and the gate accepts it
    assert (result["state"], result["version"]) == ("held", 1)
    assert "it is held (the curator looks first): only a person promotes it" in result["why"]
    assert registry.aliases_of(studio.workspace, "oil") == {"challenger": 1}
    assert decide("--reason", "she looked")[:2] == (0, "oil version 1 is now the champion\n")
    code, _, why = decide("1", "--hold", "--reason", "too late")
    assert (code, why.count("\n")) == (2, 1)
    assert "oil version 1 is the champion" in why


def test_a_recipe_that_fails_is_named_and_stops_no_other(studio: Studio, prefect_server: str) -> None:
    text = (studio.root / "recipes.yaml").read_text()
    broken = "\n  broken: {method: cut, style: oil, warm_start: none, overrides: {train: {require_device: cuda}}}"
    (studio.root / "recipes.yaml").write_text(text.replace("\nrecipes:", "\nrecipes:" + broken))
    done = command(studio.root, "flows", "retrain", PREFECT_API_URL=prefect_server, CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 1, done.stderr
    assert "broken: failed: train@broken failed: " in done.stdout
    assert "Traceback" not in done.stderr
    results = studio.last()
    assert {name: result["state"] for name, result in results.items()} == {
        "broken": "failed", "ink": "held", "oil": "unchanged",
    }  # fmt: skip
    assert registry.aliases_of(studio.workspace, "broken") == {}


def test_a_recipe_begins_with_a_version_of_another(studio: Studio, retrain: Callable[..., dict[str, Any]]) -> None:
    from safetensors.numpy import load_file

    # The workspace's own runs/ink is version 2's by now: version 1's networks are had from its tag.
    done = command(studio.root, "pipeline.cli", "warm-start", "oil", "--from", "ink@1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("oil now begins with warm/ink-v1\nnext: atelier plan, atelier retrain oil")
    folder = studio.workspace.warm_start("ink-v1")
    version = registry.version_of(studio.workspace, "ink", 1)
    with np.load(folder / "networks.npz") as networks:
        assert any(name.startswith("discriminator.") for name in networks.files)
        for name, weight in load_file(version.directory / "generator.safetensors").items():
            assert np.array_equal(networks[f"generator.{name}"], weight)
    before = sorted(path.stat().st_mtime_ns for path in folder.iterdir())
    again = command(studio.root, "pipeline.cli", "warm-start", "oil", "--from", "ink@1")
    assert again.stdout.startswith("oil begins already with warm/ink-v1")
    assert sorted(path.stat().st_mtime_ns for path in folder.iterdir()) == before

    results = retrain("oil")
    assert states(results, "oil") == ["unchanged", "unchanged", "unchanged", "done", "done", "done"]
    learnt = read_json(studio.workspace.package("oil") / "trained_on.json")
    assert learnt["ink"] == read_json(version.directory / "trained_on.json")["ink"]
    assert git(studio.root, "ls-files", "warm/ink-v1.dvc")
    assert not git(studio.root, "ls-files", "warm/ink-v1")

    wrong = command(studio.root, "pipeline.cli", "warm-start", "oil", "--from", "ink@9")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    missing = command(studio.root, "pipeline.cli", "warm-start", "oil", "--from", "inc")
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)
    assert "no folder of warm/; there are ink-v1, none" in missing.stderr


@pytest.mark.slow
def test_a_recipe_waits_for_enough_new_artworks_unless_it_is_asked_for(
    studio: Studio, retrain: Callable[..., dict[str, Any]]
) -> None:
    text = (studio.root / "params.yaml").read_text()
    (studio.root / "params.yaml").write_text(text.replace("min_new_artworks: 1 ", "min_new_artworks: 3 "))
    drop(studio.root, "oil", 8, 1)
    built = registry.verify(studio.workspace.package("oil"))
    result = retrain()["oil"]
    assert (result["state"], "1 new picture of 3" in result["why"]) == ("waiting", True)
    assert registry.verify(studio.workspace.package("oil")) == built
    planned = command(studio.root, "pipeline.cli", "plan", "--json")
    assert {each["recipe"]: each["due"]["state"] for each in json.loads(planned.stdout)}["oil"] == "waits"
    assert states(retrain("oil"), "oil")[3] == "done"
    drop(studio.root, "oil", 9, 3)
    assert states(retrain(), "oil")[3] == "done"
