"""The painter's pages over HTTP: they name what is at hand, tell what happens, and ask nobody else for anything."""

from __future__ import annotations

import fcntl
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from pipeline.files import write_json
from pipeline.manifest import Entry, write_manifest
from pipeline.serve.shelf import Model, Shelf, Wanted
from pipeline.studio import cards, state
from pipeline.studio.pages import pages
from pipeline.workspace import PHOTOS, Workspace
from tests.pipeline.packages import empty_workspace, write_package
from tests.pipeline.serve.serving import PHOTO, code, generating, referring, served, settings, shelf_of

DECISIONS = [
    {"time": "2026-11-20T03:00:00Z", "action": "promote", "name": "ink", "from": None, "to": 1, "phase": "intent"},
    {"time": "2026-11-20T03:00:01Z", "action": "promote", "name": "ink", "from": None, "to": 1, "phase": "done",
     "reason": "closer to the paintings", "by": "gate"},
    {"time": "2026-11-21T09:30:00Z", "action": "hold", "name": "ink", "version": 2, "phase": "done",
     "reason": "<b>look first</b>", "by": "ana"},
    {"time": "2026-11-22T10:00:00Z", "action": "rollback", "name": "ink", "from": 2, "to": 1, "phase": "done",
     "reason": "too dark", "by": "ana"},
    {"time": "2026-11-23T10:00:00Z", "id": "a1", "action": "promote", "name": "ink", "from": 1, "to": 3,
     "phase": "intent", "reason": "the curator’s choice", "by": "ana"},
    {"time": "2026-11-23T10:00:01Z", "id": "a1", "action": "promote", "name": "ink", "phase": "checked"},
    {"time": "2026-11-23T10:00:02Z", "id": "a1", "action": "promote", "name": "ink", "phase": "done"},
]  # fmt: skip


class Versions(Shelf):
    """Packages, of a workspace by their names, as versions of one model: champion, and its challenger."""

    def __init__(self, workspace: Workspace, *packages: str | Path) -> None:
        folders = [one if isinstance(one, Path) else workspace.package(one) for one in packages]
        wanted = [
            Wanted("ink", alias, number, lambda at=folder: (at, None))  # type: ignore[misc]
            for number, (alias, folder) in enumerate(zip(("champion", "challenger"), folders, strict=False), 1)
        ]
        super().__init__(lambda: wanted)
        self.look()
        assert not self.problems


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    place = empty_workspace(tmp_path / "studio")
    write_package(place, "one", 1)
    write_package(place, "two", 2)
    return place


@contextmanager
def _studio(workspace: Workspace, *names: str) -> Iterator[httpx.Client]:
    with served(Versions(workspace, *names), extend=pages(workspace)) as client:
        yield client


def _entry(number: int, added: str, split: str) -> Entry:
    digest = f"{number:064x}"
    return Entry(
        sha256=digest, name=f"IMG_{number}.jpg", source="inbox", width=90, height=60, bytes=1, format="jpg",
        phash=digest[:16], group=digest, split=split, flags=(), added=added,
    )  # fmt: skip


def _write_story(place: Workspace) -> None:
    place.var.mkdir(exist_ok=True)
    lines = [json.dumps(one) for one in DECISIONS]
    (place.var / "promotions.jsonl").write_text("\n".join([*lines, '{"torn']) + "\n")
    recipes = [{"recipe": "ink", "state": "refused", "why": "Refused: texture is no closer."}]
    write_json(place.var / "last_retrain.json", {"finished": "2026-11-22T04:05:06Z", "recipes": recipes})
    for name, count in ((PHOTOS, 2), ("ink", 4)):
        place.collection(name).mkdir(parents=True)
        entries = [_entry(n, f"2026-11-{10 + n}", "train" if n else "test") for n in range(count)]
        write_manifest(place.collection(name), entries)
    place.quarantine("ink").mkdir(parents=True)
    (place.quarantine("ink") / "quarantine.jsonl").write_text("{}\n{}\n")


def test_a_model_can_be_chosen_by_its_picture_and_its_challenger_is_named(workspace: Workspace) -> None:
    with _studio(workspace, "one", "two") as client:
        text = client.get("/").text
        assert text.count('name="model"') == 1
        assert 'value="ink"' in text
        assert 'data-challenger="ink version 2"' in text
        for address in set(re.findall(r'src="(/[^"]+)"', text)):
            answer = client.get(address)
            assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg"), address
        assert code(client.get("/samples/3/small.jpg")) == (404, "no_sample")
        assert code(client.get("/samples/1/huge.jpg")) == (404, "no_sample")
        assert code(client.get("/samples/..%2F..%2Fetc/small.jpg"))[0] in (404, 422)


def test_a_model_of_images_out_of_noise_is_shown_and_not_offered_to_paint(
    workspace: Workspace, tmp_path: Path
) -> None:
    shelf = shelf_of(generating(tmp_path / "a"), referring(tmp_path / "b"), workspace.package("one"))
    with served(shelf, extend=pages(workspace)) as client:
        assert set(re.findall(r'name="model"[^>]*value="([^"]+)"', client.get("/").text)) == {"any-hand", "one"}
        assert 'href="/styles/studies"' in client.get("/styles").text
        assert "Paint with it" not in client.get("/styles/studies").text
        assert "Paint with it" in client.get("/styles/one").text
        assert 'href="/draw?model=studies"' in client.get("/styles/studies").text
        for path in ("/", "/styles", "/styles/one", "/state", "/draw"):
            assert 'href="/draw"' in client.get(path).text, path
        text = client.get("/draw").text
        assert re.findall(r'name="model"[^>]*value="([^"]+)"', text) == ["studies"]
        assert re.findall(r'data-code="([^"]+)"', text) == ["k1", "c1"]
        assert 'class="truncation"' not in text  # this network has none
        assert "k1, c1" in client.get("/styles/studies").text
        assert "dots, lines" in client.get("/styles/any-hand").text


def test_without_a_model_of_images_out_of_noise_nothing_leads_to_their_page(workspace: Workspace) -> None:
    with _studio(workspace, "one") as client:
        for path in ("/", "/styles", "/styles/ink", "/state"):
            assert "/draw" not in re.sub(r"(?s)<script.*?</script>", "", client.get(path).text), path
        text = client.get("/draw").text
        assert "Nothing draws here yet" in text  # for whoever comes by a bookmark
        assert "atelier recipe add" in text


def test_where_only_images_out_of_noise_are_made_the_first_page_leads_to_them(
    workspace: Workspace, tmp_path: Path
) -> None:
    with served(shelf_of(generating(tmp_path)), extend=pages(workspace)) as client:
        text = client.get("/").text
        assert "No style is at hand yet" in text
        assert '<a href="/draw">draw</a>' in text


def test_the_styles_have_cards(workspace: Workspace) -> None:
    with _studio(workspace, "one", "two") as client:
        model: Model = Versions(workspace, "one").find("ink")
        assert 'href="/styles/ink"' in client.get("/styles").text
        text = client.get("/styles/ink").text
        assert "No scored model card" in text
        assert model.digest in text
        assert "contrastive unpaired translation" in text
        assert "ink version 2" in text
        folder = workspace.report("ink")
        folder.mkdir(parents=True)
        (folder / "model_card.md").write_text("# ink\n\n## What was measured\n\n- Structure: 0.9 <script>.\n")
        write_json(folder / "metrics.json", {"package": "another"})
        assert "No scored model card" in client.get("/styles/ink").text
        write_json(folder / "metrics.json", {"package": model.digest})
        assert "<li>Structure: 0.9 &lt;script&gt;.</li>" in client.get("/styles/ink").text
        assert code(client.get("/styles/oil")) == (404, "unknown_model")


def test_a_report_is_shown_and_can_reach_nothing(workspace: Workspace) -> None:
    with _studio(workspace, "one") as client:
        assert code(client.get("/styles/ink/report")) == (404, "no_report")
        model = Versions(workspace, "one").find("ink")
        (workspace.var / "reports").mkdir(parents=True)
        (workspace.var / "reports" / f"ink-{model.digest[:12]}.html").write_text("<p>accepted</p>")
        assert 'href="/styles/ink/report"' in client.get("/styles/ink").text
        answer = client.get("/styles/ink/report")
        assert "accepted" in answer.text
        policy = answer.headers["content-security-policy"]
        assert "sandbox" in policy
        assert "same-origin" not in policy
        assert "connect-src" not in policy  # so default-src 'none' holds


def test_the_state_tells_what_landed_and_what_was_decided_and_why(workspace: Workspace) -> None:
    _write_story(workspace)
    with _studio(workspace, "one") as client:
        assert client.post("/api/stylize", content=PHOTO).status_code == 200
        text = " ".join(client.get("/state").text.split())
    assert "The last retrain ended 2026-11-22 04:05 UTC; none is running. 1 picture was painted" in text
    assert (
        "ink version 1 became the champion: closer to the paintings<small>2026-11-20 03:00 UTC, by the gate" in text
    )
    assert "ink version 2 is held: only a person promotes it: &lt;b&gt;look first&lt;/b&gt;" in text
    assert "ink version 3 became the champion: the curator’s choice<small>2026-11-23 10:00 UTC, by ana" in text
    told = [
        text.index(words)
        for words in ("version 3 became", "went back to version 1: too dark", "is held", "version 1 became")
    ]
    assert told == sorted(told)  # the newest first, and an intent is no decision
    assert text.count("became the champion") == 2
    newest = "newest: IMG_3.jpg, IMG_2.jpg, IMG_1.jpg; <time>2026-11-13</time>"
    assert f"ink<small>{newest}</small></td><td>3</td><td>1</td><td>2" in text
    assert "photographs<small>" in text
    assert "ink: refused<small>Refused: texture is no closer." in text


def test_an_empty_workspace_says_how_to_begin(workspace: Workspace) -> None:
    with served(Shelf(lambda: []), extend=pages(workspace)) as client:
        assert "atelier ingest" in client.get("/").text
        assert "No style is at hand yet" in client.get("/styles").text
        text = client.get("/state").text
        for words in ("No picture has landed", "No model has been promoted", "Nobody has promoted", "There was none"):
            assert words in text


def test_problems_of_models_are_told(workspace: Workspace) -> None:
    shelf = Versions(workspace, "one")
    shelf.problems = ("ink version 2 cannot be loaded, ink version 1 paints on: it is <damaged>",)
    shelf.look = lambda: None  # type: ignore[method-assign]
    with served(shelf, extend=pages(workspace)) as client:
        assert "Ink version 2 cannot be loaded" in client.get("/state").text
        assert "atelier_model_problems 1.0" in client.get("/metrics").text


def test_a_retrain_that_runs_is_noticed_and_not_disturbed(workspace: Workspace) -> None:
    workspace.var.mkdir(exist_ok=True)
    assert not state.running(workspace)
    with (workspace.var / "retrain.lock").open("w") as lock:
        assert not state.running(workspace)
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert state.running(workspace)
    assert not state.running(workspace)


def test_a_training_shows_how_far_it_is(workspace: Workspace) -> None:
    log = workspace.work / "checkpoints" / "ink" / "log.jsonl"
    log.parent.mkdir(parents=True)
    lines = [{"event": "loss", "step": n, "steps": 50, "time": 1000.0 + n, "values": {}} for n in range(1, 400)]
    log.write_text("".join(json.dumps({**one, "step": min(one["step"], 40)}) + "\n" for one in lines) + '{"torn')
    write_json(workspace.work / "logs" / "ink.json", {"log": log.relative_to(workspace.root).as_posix(), "key": "k"})
    write_json(workspace.work / "logs" / "oil.json", {"log": "gone.jsonl", "key": "k"})
    [found] = state.trainings(workspace, now=1500.0)
    assert (found.recipe, found.step, found.steps) == ("ink", 40, 50)
    assert state.trainings(workspace, now=5000.0) == []  # it has not written for long


def test_other_servers_are_linked_where_they_answer(workspace: Workspace) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        there = f"http://127.0.0.1:{listener.getsockname()[1]}"
        wanted = replace(settings(), prefect=there, mlflow="http://127.0.0.1:1")
        found = {one.title: one for one in state.links(wanted, workspace)}
    assert found["Prefect"].answers
    assert not found["MLflow"].answers
    assert found["MLflow"].start == "atelier up"
    assert not state.links(replace(wanted, prefect="nonsense"), workspace)[0].answers


def test_facts_leave_out_what_is_not_known(workspace: Workspace) -> None:
    model = Versions(workspace, "one").find("ink")
    told = cards.facts(model)
    assert told["Version"] == "1"
    assert told["Here since"] == time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(model.since))
    assert "Steps" not in told
    assert "Way back" not in told


def test_no_page_needs_anything_from_elsewhere_or_may_run_foreign_script(workspace: Workspace) -> None:
    with _studio(workspace, "one") as client:
        for path in ("/", "/styles", "/styles/ink", "/state", "/draw"):
            answer = client.get(path)
            linked = re.findall(r'(?:src|href)="(https?:[^"]+)"', answer.text)
            assert not linked, path
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert " style=" not in answer.text  # the policy would forbid it
            assert not re.findall(r"\son\w+=", answer.text)
