"""What a person types means the images that they mean, and never some others."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.manifest import write_manifest
from pipeline.removal.matches import find, near_duplicates
from pipeline.removal.remove import remove
from pipeline.workspace import Workspace
from tests.pipeline.removal.studio import PARAMS, entry, found, match, sha, store, studio


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return studio(tmp_path)


def test_a_hash_means_the_image_in_every_collection_or_in_one(workspace: Workspace) -> None:
    both = [("monet", "shared"), ("manet", "shared")]
    assert sorted(found(workspace, sha("shared"))) == sorted(both)
    assert sorted(found(workspace, sha("shared")[:6].upper())) == sorted(both)
    assert found(workspace, sha("shared")[:9], "manet") == [("manet", "shared")]
    with pytest.raises(ValueError, match="no image of any collection"):
        find(workspace, sha("shared")[:5])


def test_the_beginning_of_several_hashes_lists_them(tmp_path: Path) -> None:
    names = [f"n{number}" for number in range(5000)]
    pairs: dict[str, str] = {}
    one, two = next(
        (pairs[sha(n)[:6]], n) for n in names if sha(n)[:6] in pairs or pairs.setdefault(sha(n)[:6], n) == ""
    )
    workspace = Workspace(tmp_path)
    store(workspace, "monet", [entry(one), entry(two)])
    with pytest.raises(
        ValueError, match=rf"several images: {sha(one)[:16]} \(in/{one}\), {sha(two)[:16]} .*give more"
    ):
        find(workspace, sha(one)[:6])


def test_a_name_that_reads_like_a_hash_is_told_apart(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    store(workspace, "monet", [entry("lily"), entry(sha("lily")[:8]), entry("facade")])
    with pytest.raises(ValueError, match="several images"):
        find(workspace, sha("lily")[:8])
    assert found(workspace, f"in/{sha('lily')[:8]}") == [("monet", sha("lily")[:8])]
    assert found(workspace, "facade") == [("monet", "facade")]


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("lily", ["lily"]),
        ("lily*", ["lily", "lily again"]),
        ("in", ["lily", "lily again", "pond", "bridge"]),
        ("in/", ["lily", "lily again", "pond", "bridge"]),
        ("in/sub", ["lily"]),
        ("in/sub/lily", ["lily"]),
        ("in/*", ["lily", "lily again", "pond", "bridge"]),
        ("bob", ["shared", "rose"]),
        ("b[ob]b/x", ["rose"]),
        ("r?se", ["rose"]),
        ("dave", ["rose"]),  # its bytes were met there too
        ("rosa.jpg", ["rose"]),
        ("dave/rosa.jpg", ["rose"]),
    ],
)
def test_names_sources_and_patterns(workspace: Workspace, what: str, names: list[str]) -> None:
    assert [name for _, name in found(workspace, what, "monet")] == names


def test_an_image_that_lies_there_only_as_a_copy_says_so(workspace: Workspace) -> None:
    assert match(workspace, "dave").met_as == (("rosa.jpg", "dave"),)
    assert match(workspace, "bob/x").met_as == match(workspace, "rose").met_as == match(workspace, sha("rose")).met_as
    assert match(workspace, "rose").met_as == ()


def test_a_name_means_no_other_name_of_the_same_bytes_elsewhere(workspace: Workspace) -> None:
    assert found(workspace, "carol") == [("manet", "shared")]


def test_what_is_not_there_is_told_with_what_is(workspace: Workspace) -> None:
    with pytest.raises(
        ValueError, match=r"'lil' of|no image of monet .* 'lil'; sources: in \(3\), in/sub \(1\), bob"
    ):
        find(workspace, "lil", "monet")
    with pytest.raises(ValueError, match="no collection 'degas'; known: photos, manet, monet"):
        find(workspace, "lily", "degas")
    with pytest.raises(ValueError, match="say which"):
        find(workspace, "/")


def test_images_that_are_not_checked_out_are_not_taken_for_absent(workspace: Workspace) -> None:
    (workspace.collection("monet").parent / "monet.dvc").touch()
    assert len(found(workspace, "lily")) == 1
    (workspace.collection("monet") / "manifest.jsonl").unlink()
    with pytest.raises(ValueError, match="dvc checkout"):
        find(workspace, "m1")
    assert found(workspace, "m1", "manet") == [("manet", "m1")]


def test_a_removed_image_still_answers(workspace: Workspace) -> None:
    remove(workspace, find(workspace, "bob"), "not ours", PARAMS, tracked=False)
    for what in (sha("rose"), "bob/x", "rose", "dave"):
        removed = match(workspace, what)
        assert removed.entry is None
        assert removed.stone is not None
        assert removed.stone.reason == "not ours"


def test_near_duplicates_that_were_not_meant_are_known(workspace: Workspace) -> None:
    assert [other.name for other in near_duplicates(workspace, find(workspace, "lily"))] == ["lily again"]
    assert [other.name for other in near_duplicates(workspace, find(workspace, "lily again"))] == ["lily"]
    assert near_duplicates(workspace, find(workspace, "lily*")) == []
    assert near_duplicates(workspace, find(workspace, "shared")) == []


def test_an_accent_is_one_however_it_is_stored(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    apart = unicodedata.normalize("NFD", "Nymphéas.jpg")
    store(workspace, "monet", [entry(apart, unicodedata.normalize("NFD", "été"))])
    assert apart != "Nymphéas.jpg"
    for what in ("Nymphéas.jpg", "été", "été/Nymphéas.jpg", "Nymph?as*", apart):
        assert len(find(workspace, what)) == 1


names = st.text(st.characters(exclude_categories=(), exclude_characters="/\0"), min_size=1, max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(wanted=names, other=names, source=names)
def test_an_images_own_name_finds_it_whatever_it_holds(
    workspace: Workspace, wanted: str, other: str, source: str
) -> None:
    entries = [entry(wanted, source), *([entry(other, source)] if other != wanted else [])]
    write_manifest(workspace.collection("monet"), entries)
    assert wanted in [each.name for each in find(workspace, f"{source}/{wanted}", "monet")]
    assert {each.name for each in find(workspace, source, "monet")} == {wanted, other}
    assert all(each.shown.encode() for each in find(workspace, source, "monet"))
