"""Which network looks."""

from collections.abc import Iterator

import pytest

from pipeline.observers.choose import choose
from pipeline.weights import Found
from tests.pipeline.observers.networks import BlankInception, no_network, save, vgg16_state
from tests.pipeline.scenes import FakeFeatures

JUDGE = FakeFeatures()


@pytest.fixture(scope="module", autouse=True)
def _alone() -> Iterator[None]:
    with no_network():
        yield


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Found:
    folder = tmp_path_factory.mktemp("weights")
    vgg16 = {name: value for name, value in vgg16_state().items() if name.startswith("features.")}
    return Found(save(folder, "vgg16.pth", vgg16), save(folder, "inception.pth", BlankInception().state_dict()))


def _chosen(wanted: str, weights: Found, judge: FakeFeatures | None = JUDGE) -> str:
    found = choose(wanted, weights, judge)
    assert found is not None
    return found.name.split()[0]


def test_auto_takes_inception_then_vgg16_then_the_judge(weights: Found) -> None:
    assert _chosen("auto", weights) == "inception"
    assert _chosen("auto", Found(vgg16=weights.vgg16)) == "vgg16"
    assert _chosen("auto", Found()) == "statistics"
    assert choose("auto", Found(), None) is None


def test_what_is_wanted_is_taken(weights: Found) -> None:
    assert [_chosen(wanted, weights) for wanted in ("inception", "vgg16")] == ["inception", "vgg16"]
    assert choose("judge", weights, JUDGE) is JUDGE


@pytest.mark.parametrize(
    ("wanted", "told"),
    [("inception", "weights.inception"), ("vgg16", "vgg16-397923af.pth"), ("judge", "dvc repro judge@")],
)
def test_what_is_not_at_hand_is_told_with_how_to_get_it(wanted: str, told: str) -> None:
    judge = None if wanted == "judge" else JUDGE
    with pytest.raises(ValueError, match=f"evaluate.features is '{wanted}'.*{told}.*auto"):
        choose(wanted, Found(), judge)
