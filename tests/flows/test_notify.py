"""People are told through Prefect's own blocks: a webhook of a really started server's, posted to a real listener."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from flows import aftercare
from flows.notify import send
from flows.schedule import next_due
from pipeline.files import read_json, write_json
from pipeline.params import Notify, load_params
from pipeline.process import AlreadyRunningError
from pipeline.workspace import Workspace

HANGS = 3.0  # seconds


@dataclass
class Listener:
    """A service that takes messages: what it heard, and where it listens."""

    address: str = ""
    heard: list[Any] = field(default_factory=list)


@pytest.fixture
def listener() -> Iterator[Listener]:
    found = Listener()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/hangs":
                time.sleep(HANGS)
            else:
                found.heard.append(body)
            self.send_response(500 if self.path == "/broken" else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.address = f"http://127.0.0.1:{server.server_address[1]}"
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture
def blocks(listener: Listener, prefect_server: str) -> Iterator[Listener]:
    """The blocks `custom-webhook/good`, `broken` and `hangs` stand in Prefect."""
    from prefect.blocks.notifications import CustomWebhookNotificationBlock
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: prefect_server}):
        for name in ("good", "broken", "hangs"):
            block = CustomWebhookNotificationBlock(
                name=name, url=f"{listener.address}/{name}", json_data={"title": "{{subject}}", "text": "{{body}}"}
            )
            saved: Any = block.save(name, overwrite=True)
            assert saved
        yield listener


def test_a_message_goes_through_every_block_and_a_broken_one_stops_none(blocks: Listener) -> None:
    names = tuple(f"custom-webhook/{name}" for name in ("broken", "hangs", "nobody", "good"))
    said = send(Notify((*names, "nonsense"), 1.5), "monet version 3 is promoted", "Calmer skies.")
    assert blocks.heard[-1] == {"title": "Style Atelier: monet version 3 is promoted", "text": "Calmer skies."}
    assert [line.split("'")[1] for line in said] == [*names[:3], "nonsense"]
    assert "no end after 1.5 s" in said[1]


def test_what_is_news_is_told_once(workspace: Path, blocks: Listener) -> None:
    place = Workspace(workspace)
    text = place.params_file.read_text()
    place.params_file.write_text(text.replace("blocks: []", 'blocks: ["custom-webhook/good"]'))
    results: list[dict[str, Any]] = [
        {"recipe": "ink", "state": "promoted", "version": 2, "why": "Better."},
        {"recipe": "oil", "state": "refused", "version": 1, "why": "Worse."},
        {"recipe": "tusche", "state": "failed", "why": "No disk."},
        {"recipe": "chalk", "state": "waiting", "why": "1 new picture of 5."},
        {"recipe": "pen", "state": "unchanged", "version": 1, "why": "nothing new"},
    ]
    aftercare.tell(place, results)
    assert [each["title"].removeprefix("Style Atelier: ") for each in blocks.heard] == [
        "ink version 2 is promoted", "oil version 1 is refused", "tusche failed",
    ]  # fmt: skip
    account = read_json(place.var / "health.json")
    assert (account["ok"], account["failure"]) == (False, "failed: tusche")
    assert account["next_due"] > account["finished"]["wall"]
    write_json(place.var / "last_retrain.json", {"recipes": results})
    aftercare.tell(place, results)
    assert len(blocks.heard) == 3
    results[1] = {"recipe": "oil", "state": "refused", "version": 2, "why": "Worse."}
    aftercare.tell(place, results)
    assert blocks.heard[-1]["title"].endswith("oil version 2 is refused")


def test_a_run_that_breaks_off_is_told_and_one_that_only_waits_is_not(workspace: Path, blocks: Listener) -> None:
    place = Workspace(workspace)
    text = place.params_file.read_text()
    place.params_file.write_text(text.replace("blocks: []", 'blocks: ["custom-webhook/good"]'))
    with pytest.raises(AlreadyRunningError), aftercare.of_failure(place):
        raise AlreadyRunningError("an ingest runs")
    assert not (place.var / "health.json").exists()
    with pytest.raises(ValueError, match="no photographs"), aftercare.of_failure(place):
        raise ValueError("no photographs")
    assert blocks.heard == [
        {"title": "Style Atelier: a retrain failed", "text": "the retrain failed: no photographs"}
    ]
    assert read_json(place.var / "health.json")["failure"] == "the retrain failed: no photographs"


def test_the_next_run_is_when_prefects_scheduler_says(workspace: Path) -> None:
    settings = load_params(Workspace(workspace).params_file).retrain
    assert settings.cron == "0 3 * * *"
    midnight = 1_767_225_600.0  # 2026-01-01, UTC
    assert next_due(settings, midnight) == midnight + 3 * 3600
    assert next_due(settings, midnight + 3 * 3600) == midnight + 27 * 3600
