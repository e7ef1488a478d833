"""An errand from an address to collections: what goes where, and what is written down of it."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.fetch.datasets import DATASETS, Dataset
from pipeline.fetch.errands import plan
from pipeline.fetch.fetch import Fetched, Watcher, fetch
from pipeline.fetch.web import Patience, Unavailable
from pipeline.intake.quarantine import read_quarantine
from pipeline.manifest import read_manifest
from pipeline.process import exclusive
from pipeline.recipes import load_book
from pipeline.workspace import Workspace
from tests.pipeline.fetch.server import Answer, Server
from tests.pipeline.pictures import encoded, make_workspace, small_params, texture

PARAMS = small_params(executor="inline")
QUICK = Patience(read=5, first_wait=0, attempts=2)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "ws")


def pictures(*seeds: int) -> list[bytes]:
    return [encoded(texture(seed)) for seed in seeds]


def zipped(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def tarred(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, data in files.items():
            header = tarfile.TarInfo(name)
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))
    return stream.getvalue()


def published(top: str = "small2photo/") -> bytes:
    """Return a dataset as the real ones are laid out, with things in it that nobody asked for."""
    folders = {"trainA": range(4), "testA": range(4, 6), "trainB": range(10, 14), "testB": range(14, 16)}
    files = {
        f"{top}{folder}/{seed:05d}.png": encoded(texture(seed)) for folder, seeds in folders.items() for seed in seeds
    }
    others = {f"{top}readme.txt": b"hello", f"{top}elsewhere/1.png": pictures(20)[0], "__MACOSX/trainA/._1": b"x"}
    return zipped(files | others)


def dataset(server: Server, archive: bytes, **changes: Any) -> dict[str, Dataset]:
    server.reset(archive)
    values: dict[str, Any] = {
        "name": "small2photo",
        "style": "small",
        "urls": (f"{server.url}/small2photo.zip",),
        "size": len(archive),
        "sha256": hashlib.sha256(archive).hexdigest(),
        "paintings": ("trainA", "testA"),
        "photographs": ("trainB", "testB"),
        "artist": "Nobody",
        "licence": "Anyone may do anything with these.\n",
    }
    return {"small2photo": Dataset(**values | changes)}


def run(workspace: Workspace, what: str, datasets: Mapping[str, Dataset] = DATASETS, **options: Any) -> Fetched:
    watcher = options.pop("watcher", None)
    errand = plan(workspace, what, PARAMS, datasets=datasets, **options)
    return fetch(workspace, errand, PARAMS, patience=QUICK, watcher=watcher, tracked=False)


class Notes(Watcher):
    def __init__(self) -> None:
        self.said: list[str] = []
        self.looked_at: dict[str, tuple[int, int]] = {}

    def files(self, collection: str, done: int, total: int) -> None:
        self.looked_at[collection] = (done, total)

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


@pytest.mark.parametrize("top", ["small2photo/", ""])
def test_a_dataset_becomes_a_style_and_photographs(workspace: Workspace, server: Server, top: str) -> None:
    notes = Notes()
    done = run(workspace, "small2photo", dataset(server, published(top)), watcher=notes)
    assert [(result.collection, result.accepted) for result in done.results] == [("small", 6), ("photos", 6)]
    paintings = read_manifest(workspace.collection("small"))
    assert {entry.source for entry in paintings} == {"small2photo/trainA", "small2photo/testA"}
    assert {entry.name for entry in paintings} == {f"{seed:05d}.png" for seed in range(6)}
    assert {entry.source for entry in read_manifest(workspace.collection("photos"))} == {
        "small2photo/trainB",
        "small2photo/testB",
    }
    assert load_book(workspace).styles == ("small",)
    assert notes.looked_at == {"small": (6, 6), "photos": (6, 6)}
    assert not read_quarantine(workspace.quarantine("small"))
    assert list((workspace.work / "fetch").iterdir()) == []
    assert (workspace.work / "downloads" / "small2photo.zip").is_file()


def test_a_second_time_nothing_is_downloaded_and_nothing_doubled(workspace: Workspace, server: Server) -> None:
    known = dataset(server, published())
    run(workspace, "small2photo", known)
    again = run(workspace, "small2photo", known)
    assert [(result.accepted, result.duplicates) for result in again.results] == [(0, 6), (0, 6)]
    assert len(server.asked) == 1


def test_the_style_may_have_another_name_and_the_photographs_stay_out(workspace: Workspace, server: Server) -> None:
    run(workspace, "small2photo", dataset(server, published()), style="large", photos=False)
    assert len(read_manifest(workspace.collection("large"))) == 6
    assert not workspace.collection("photos").exists()
    assert not workspace.collection("small").exists()


def test_the_licence_lies_beside_the_data_with_where_it_is_from(workspace: Workspace, server: Server) -> None:
    archive = published()
    done = run(workspace, "small2photo", dataset(server, archive))
    assert done.licence == workspace.root / "data" / "licences" / "small2photo.txt"
    text = done.licence.read_text()
    assert "Anyone may do anything with these." in text
    assert f"{server.url}/small2photo.zip" in text
    assert hashlib.sha256(archive).hexdigest() in text
    assert "trainA -> small\n" in text
    assert "testB -> photos\n" in text


def test_git_would_track_the_licence(tmp_path: Path) -> None:
    import subprocess

    root = Path(__file__).parents[3]
    ignored = subprocess.run(["git", "check-ignore", "-q", "data/licences/monet2photo.txt"], cwd=root, check=False)
    assert ignored.returncode == 1


def test_the_next_server_is_asked_where_the_first_fails(workspace: Workspace, server: Server) -> None:
    urls = (f"{server.url}/gone/small2photo.zip", f"{server.url}/mirror/small2photo.zip")
    known = dataset(server, published(), urls=urls)
    server.answers = [Answer(404)]
    notes = Notes()
    done = run(workspace, "small2photo", known, watcher=notes)
    assert [asked.path for asked in server.asked] == ["/gone/small2photo.zip", "/mirror/small2photo.zip"]
    assert "404 Not Found" in notes.said[0]
    assert "trying another server" in notes.said[0]
    assert "mirror/small2photo.zip" in done.licence.read_text()


def test_where_every_server_fails_all_reasons_are_told(workspace: Workspace, server: Server) -> None:
    known = dataset(server, published(), urls=(f"{server.url}/a.zip", f"{server.url}/b.zip"))
    server.answers = [Answer(404), Answer(403)]
    with pytest.raises(Unavailable, match=r"a\.zip: the server answered 404.*b\.zip: the server answered 403"):
        run(workspace, "small2photo", known)
    assert not (workspace.root / "data").exists()


def test_an_archive_that_is_another_one_is_not_ingested(workspace: Workspace, server: Server) -> None:
    known = dataset(server, published(), sha256="0" * 64)
    with pytest.raises(Unavailable, match="not 0000"):
        run(workspace, "small2photo", known)
    assert not (workspace.root / "data").exists()


def test_a_dataset_whose_digest_nobody_published_has_it_recorded(workspace: Workspace, server: Server) -> None:
    archive = published()
    done = run(workspace, "small2photo", dataset(server, archive, sha256=None, size=None))
    assert hashlib.sha256(archive).hexdigest() in done.licence.read_text()


@pytest.mark.parametrize("archive", [b"no archive", zipped({"a/b.png": b"x"})[:-30]], ids=["none", "cut short"])
def test_a_dataset_that_cannot_be_unpacked_says_so(workspace: Workspace, server: Server, archive: bytes) -> None:
    with pytest.raises(ValueError, match=r"small2photo\.zip cannot be unpacked: .*delete it and fetch again"):
        run(workspace, "small2photo", dataset(server, archive))


def test_a_dataset_without_its_folders_says_which(workspace: Workspace, server: Server) -> None:
    archive = zipped({"small2photo/trainA/1.png": pictures(1)[0]})
    with pytest.raises(ValueError, match="holds no files for photos, which should be in trainB or testB"):
        run(workspace, "small2photo", dataset(server, archive))
    assert not workspace.collection("small").exists()


def test_files_of_one_name_are_all_taken(workspace: Workspace, server: Server) -> None:
    files = {f"trainA/{name}.png": pictures(seed)[0] for seed, name in enumerate(("same", "five", "long" * 100))}
    archive = zipped(files).replace(b"five", b"same")
    run(workspace, "small2photo", dataset(server, archive), photos=False)
    assert len(read_manifest(workspace.collection("small"))) == 3


@pytest.mark.parametrize(
    ("name", "archive"),
    [
        ("pictures.zip", zipped({f"in/{n}.png": data for n, data in enumerate(pictures(1, 2, 3))})),
        ("pictures.tar.gz", tarred({f"in/{n}.png": data for n, data in enumerate(pictures(1, 2, 3))})),
        ("get?id=5", zipped({f"in/{n}.png": data for n, data in enumerate(pictures(1, 2, 3))})),
        ("blob", tarred({f"in/{n}.png": data for n, data in enumerate(pictures(1, 2, 3))})),
    ],
)
def test_an_archive_of_any_address_goes_to_a_style(
    workspace: Workspace, server: Server, name: str, archive: bytes
) -> None:
    server.reset(archive)
    done = run(workspace, f"{server.url}/{name}", style="ink")
    assert [(result.collection, result.accepted) for result in done.results] == [("ink", 3)]
    sources = {entry.source for entry in read_manifest(workspace.collection("ink"))}
    assert all(source.startswith("127.0.0.1/") and source.endswith("/in") for source in sources)


def test_a_picture_of_any_address_goes_to_the_photographs(workspace: Workspace, server: Server) -> None:
    server.reset(pictures(5)[0])
    server.kind = "image/png"
    done = run(workspace, f"{server.url}/some/view%20of%20it.png", photos=True)
    assert done.results[0].accepted == 1
    (entry,) = read_manifest(workspace.collection("photos"))
    assert (entry.name, entry.source) == ("view-of-it.png", "127.0.0.1")


def test_what_is_no_picture_is_refused_by_ingest(workspace: Workspace, server: Server) -> None:
    server.reset(b"a letter about a painting")
    server.kind = "text/plain"
    with pytest.raises(ValueError, match="1 not_image"):
        run(workspace, f"{server.url}/letter.txt", style="ink")


def test_a_digest_for_an_address_is_held_to(workspace: Workspace, server: Server) -> None:
    server.reset(pictures(5)[0])
    url = f"{server.url}/view.png"
    with pytest.raises(Unavailable, match="not 1111"):
        run(workspace, url, photos=True, sha256="1" * 64)
    run(workspace, url, photos=True, sha256=hashlib.sha256(server.content).hexdigest())


def test_what_a_person_notes_of_an_address_stays(workspace: Workspace, server: Server) -> None:
    server.reset(pictures(5)[0])
    url = f"{server.url}/view.png"
    note = run(workspace, url, photos=True).licence
    assert "not known to this program" in note.read_text()
    for own in ("CC0, says the museum", "CC0\n\nfrom me\r\n\n-> look again\n", "K\udcfcnstler\n"):
        note.write_bytes(own.encode("utf-8", "surrogateescape"))
        for _ in range(2):
            run(workspace, url, photos=True)
            text = note.read_bytes().decode("utf-8", "surrogateescape")
            assert text == f"from {url}\n{fact(server.content)}\n-> photos\n\n{own}"


def test_a_note_tells_every_collection_and_the_file_of_now(workspace: Workspace, server: Server) -> None:
    url = f"{server.url}/view.png"
    for seed, style in ((5, "monet"), (6, "manet"), (5, "monet")):
        server.reset(pictures(seed)[0])
        shutil.rmtree(workspace.work / "downloads", ignore_errors=True)
        note = run(workspace, url, style=style).licence
        if seed == 5:
            note.write_text(note.read_text().replace("not known", "well known"))
    facts, _, text = note.read_text().partition("\n\n")
    assert facts.splitlines() == [f"from {url}", fact(pictures(5)[0]), "-> monet", "-> manet"]
    assert "well known to this program" in text
    assert text.count("SHA-256") == 0


def fact(content: bytes) -> str:
    return f"{len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}"


def test_two_addresses_that_end_alike_do_not_meet(workspace: Workspace, server: Server) -> None:
    for seed, folder in ((1, "a"), (2, "b")):
        server.reset(pictures(seed)[0])
        run(workspace, f"{server.url}/{folder}/view.png", photos=True)
    assert len(read_manifest(workspace.collection("photos"))) == 2
    assert len(list((workspace.root / "data" / "licences").iterdir())) == 2


def test_a_fetch_that_was_killed_leaves_nothing_in_the_way(workspace: Workspace, server: Server) -> None:
    stale = workspace.work / "fetch" / "small2photo" / "members"
    stale.mkdir(parents=True)
    (stale / "00000001").write_bytes(b"of an earlier run")
    run(workspace, "small2photo", dataset(server, published()))
    assert len(read_manifest(workspace.collection("small"))) == 6


def test_the_same_errand_twice_at_once_is_refused(workspace: Workspace, server: Server) -> None:
    known = dataset(server, published())
    lock = workspace.var / "locks" / "fetch-small2photo.lock"
    with exclusive(lock, "x"), pytest.raises(ValueError, match="a fetch of small2photo is already running"):
        run(workspace, "small2photo", known)
    assert not server.asked


@pytest.mark.parametrize(
    ("what", "options", "message"),
    [
        ("monet", {}, "no dataset is named 'monet'; known: monet2photo, .*cezanne2photo; or give an address"),
        ("/home/me/monet.zip", {}, "files of this machine are for `atelier ingest`"),
        ("file:///home/me/monet.zip", {}, "give an address that begins with https://"),
        ("https://example.org/a.zip", {}, "--style NAME for artworks, or --photos"),
        ("https://example.org/a.zip", {"style": "a", "photos": True}, "exclude each other"),
        ("https://example.org/a.zip", {"style": "A b"}, "style name 'A b' will not do"),
        ("https://example.org/a.zip", {"style": "a", "sha256": "12"}, "'12' is no SHA-256"),
        ("https://", {"style": "a"}, "will not do"),
        ("monet2photo", {"photos": True}, "leave --photos out, or say --no-photos"),
        ("monet2photo", {"style": "photos"}, "style name 'photos' will not do"),
        ("monet2photo", {"sha256": "1" * 64}, "--sha256 is for addresses"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_asked(
    workspace: Workspace, what: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        plan(workspace, what, PARAMS, **options)


def test_the_known_datasets_are_the_four_that_were_promised() -> None:
    assert {name: each.style for name, each in DATASETS.items()} == {
        "monet2photo": "monet",
        "vangogh2photo": "vangogh",
        "ukiyoe2photo": "ukiyoe",
        "cezanne2photo": "cezanne",
    }
    for name, each in DATASETS.items():
        assert each.name == name
        assert all(url.startswith("https://") and url.endswith(f"/{name}.zip") for url in each.urls)
        assert each.sha256 is not None
        assert len(bytes.fromhex(each.sha256)) == 32
        paintings = {"trainA": each.style, "testA": each.style}
        assert each.collections() == {**paintings, "trainB": "photos", "testB": "photos"}
        assert each.collections("other", photographs=False) == {"trainA": "other", "testA": "other"}
        for word in ("Flickr", "WikiArt", "no licence"):
            assert word in each.licence
    assert len({each.sha256 for each in DATASETS.values()}) == 4
