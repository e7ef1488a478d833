"""Packages that paint after references: what is in them, what the stylizer takes and refuses, how they are scored."""

import base64
import io
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image, ImageOps

from pipeline import cli, evaluate, group, held_out, judge, package, train
from pipeline.export import PARITY
from pipeline.files import read_json, sha256_file
from pipeline.images import to_image, to_tensor
from pipeline.inference import Stylizer, references_file
from pipeline.inference import read_references as read_references_of
from pipeline.painting import tiles
from pipeline.params import load_params
from pipeline.recipes import add_recipe, load_book
from pipeline.referring import alone, learnt_through, named
from pipeline.scoring import View
from pipeline.stylize import picture_limits, read_references, stylize
from pipeline.workspace import Workspace
from tests.pipeline.test_exporting import run_program
from tests.pipeline.training import prepare_by_hand, tiny_workspace


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with a trained and packaged recipe `many` of the styles dots and lines."""
    torch.set_num_threads(1)
    made = tiny_workspace(tmp_path_factory.mktemp("referring"), "adain")
    prepare_by_hand(made.prepared("lines"), "paintings", load_params(made.params_file), seed=7)
    made.recipes_file.write_text(made.recipes_file.read_text().replace("- dots", "- dots\n- lines"))
    add_recipe(made, "many", "adain", ["dots", "lines"])
    for style in ("dots", "lines"):
        group.main("many-styles", style, made)
    train.main("many", made)
    package.main("many", made)
    return made


@pytest.fixture(scope="module")
def stylizer(studio: Workspace) -> Stylizer:
    return Stylizer.load(studio.package("many"))


def photo(width: int = 40, height: int = 33, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def same(one: Image.Image, other: Image.Image) -> bool:
    return np.array_equal(np.asarray(one), np.asarray(other))


def test_a_package_is_whole_it_holds_encoder_and_references_of_every_style(studio: Workspace) -> None:
    folder = studio.package("many")
    config = read_json(folder / "config.json")
    assert config["reference"] is True
    assert config["styles"] == ["dots", "lines"]
    assert config["network"]["encoder"] == "own"
    loaded = Stylizer.load(folder)
    assert {name for name in loaded.network.state_dict() if name.startswith("encoder.stages")}
    for style in ("dots", "lines"):
        assert (folder / references_file(style)).is_file()
        assert [image.size for image in loaded.references[style]] == [(32, 32)] * 6
    assert set(read_json(folder / "trained_on.json")) == {"photos", "dots", "lines"}


def test_it_paints_any_size_after_references_of_any_size(stylizer: Stylizer) -> None:
    for size in ((40, 33), (17, 90)):
        assert stylizer(photo(*size), reference=photo(70, 25, 1)).size == size
    one, other = (stylizer(photo(), reference=photo(seed=seed)) for seed in (1, 2))
    assert not same(one, other)


def test_equal_weights_are_those_without_and_a_weight_of_all_is_that_reference_alone(stylizer: Stylizer) -> None:
    pair = [photo(seed=1), photo(30, 50, seed=2)]
    assert same(stylizer(photo(), reference=pair), stylizer(photo(), reference=pair, weights=[2, 2]))
    assert same(stylizer(photo(), reference=pair, weights=[0, 3]), stylizer(photo(), reference=pair[1]))


def test_strength_0_is_the_photograph_and_between_lies_a_mixture_of_features(stylizer: Stylizer) -> None:
    assert same(stylizer(photo(), reference=photo(seed=1), strength=0), photo())
    code = stylizer.code([photo(seed=1)])
    given = to_tensor(photo(32, 32))[None]
    network = stylizer.network
    expected = network(given, stylizer._seen(photo(seed=1)), torch.ones(1), torch.tensor([0.4]))
    torch.testing.assert_close(stylizer.paint_tensor(given, code=code, strength=0.4), expected)


def test_a_style_is_a_mixture_of_its_own_references(stylizer: Stylizer) -> None:
    own = stylizer.references["lines"]
    assert same(stylizer(photo(), style="lines"), stylizer(photo(), reference=own))


def test_the_graph_takes_photographs_and_references_of_any_size(studio: Workspace, stylizer: Stylizer) -> None:
    session = onnxruntime.InferenceSession(studio.package("many") / "generator.onnx")
    given = (
        torch.rand(2, 3, 40, 24) * 2 - 1, torch.rand(3, 3, 21, 34) * 2 - 1,
        torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.7]),
    )  # fmt: skip
    names = ("photo", "reference", "weights", "strength")
    (made,) = session.run(None, {name: value.numpy() for name, value in zip(names, given, strict=True)})
    assert np.abs(made - stylizer.network(*given).numpy()).max() < PARITY


def test_the_cards_program_paints_after_the_first_reference(
    studio: Workspace, stylizer: Stylizer, tmp_path: Path
) -> None:
    first = read_references_of(studio.package("many"), "dots")[0]
    run_program(sys.executable, studio.package("many"), tmp_path, reference=first)
    with Image.open(tmp_path / "photo.png") as picture, Image.open(tmp_path / "painting.png") as painting:
        near, far = (
            np.abs(np.asarray(painting, float) - np.asarray(stylizer(picture, reference=one), float)).mean()
            for one in (first, ImageOps.invert(first))
        )
    assert near < 0.5 * far


def test_a_large_picture_is_painted_by_tiles_as_it_is_whole(stylizer: Stylizer) -> None:
    picture = photo(640, 520)
    code = stylizer.code([photo(seed=3)])
    assert code is not None
    network = stylizer.network.after(code)
    given = to_tensor(picture)[None]
    torch.testing.assert_close(network(given), stylizer.network.paint(given, code))
    whole = np.asarray(to_image(network(given)[0]), int)
    tiled = np.asarray(tiles.paint(network, picture, stylizer.config["multiple"], torch.device("cpu"), 256), int)
    assert np.abs(whole - tiled).max() <= 1


def test_what_does_not_belong_together_is_told_in_a_sentence(stylizer: Stylizer) -> None:
    one, two = photo(seed=1), photo(seed=2)
    with pytest.raises(ValueError, match=r"many \(method adain\) paints after reference.*none.*dots, lines"):
        stylizer(photo())
    with pytest.raises(ValueError, match="there are 1 weights for 2 references"):
        stylizer(photo(), reference=[one, two], weights=[1.0])
    with pytest.raises(ValueError, match="the weights are 0, 0; they must be 0 or more, and not all 0"):
        stylizer(photo(), reference=[one, two], weights=[0, 0])
    with pytest.raises(ValueError, match=r"weights are 2, -1"):
        stylizer(photo(), reference=[one, two], weights=[2, -1])
    for given in ({}, {"style": "dots"}):
        with pytest.raises(ValueError, match="--weight says how much a --reference counts, and none was given"):
            stylizer(photo(), weights=[1.0], **given)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="has not learnt the style 'rain'; it knows dots, lines"):
        stylizer(photo(), style="rain")
    with pytest.raises(ValueError, match="--style and --reference exclude each other"):
        stylizer(photo(), style="dots", reference=one)
    with pytest.raises(ValueError, match="has not learnt the way back"):
        stylizer(photo(), reference=one, reverse=True)


def test_a_reference_for_a_model_that_takes_none_is_refused(tmp_path: Path) -> None:
    workspace = tiny_workspace(tmp_path, train={"steps": 3})
    train.main("dots", workspace)
    plain = Stylizer.load(package.main("dots", workspace))
    for asked in ({"reference": photo()}, {"style": "dots"}, {"style": ""}, {"weights": [1.0]}):
        with pytest.raises(ValueError, match=r"dots \(method cut\) takes no reference"):
            plain(photo(), **asked)  # type: ignore[arg-type]
    assert same(alone(plain)(photo()), plain(photo()))


def test_files_are_painted_after_reference_files(stylizer: Stylizer, tmp_path: Path) -> None:
    photo().save(tmp_path / "in.png")
    photo(seed=1).save(tmp_path / "reference.png")
    (tmp_path / "text.png").write_text("no picture")
    limits = picture_limits(None)
    references = read_references([tmp_path / "reference.png"], limits)
    (done,) = stylize(stylizer, tmp_path / "in.png", tmp_path / "out.png", limits, references=references)
    assert not done.problem
    with Image.open(tmp_path / "out.png") as painted:
        assert same(painted, stylizer(photo(), reference=photo(seed=1)))
    with pytest.raises(ValueError, match=r"none\.png: no such file"):
        read_references([tmp_path / "none.png"], limits)
    with pytest.raises(ValueError, match="a reference cannot be read"):
        read_references([tmp_path / "text.png"], limits)


def test_the_command_takes_references_weights_and_a_style(
    studio: Workspace,
    stylizer: Stylizer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, seed in (("in", 0), ("a", 1), ("b", 2)):
        photo(seed=seed).save(f"{name}.png")

    def run(*options: str) -> int:
        with pytest.raises(SystemExit) as ended:
            cli.main(["stylize", "in.png", "out.png", "--model", str(studio.package("many")), *options])
        return int(ended.value.code or 0)

    mixed = ["--reference", "a.png", "--reference", "b.png", "--weight", "1", "--weight", "3"]
    assert run(*mixed, "--strength", "0.5") == 0
    wanted = stylizer(photo(), reference=[photo(seed=1), photo(seed=2)], weights=[1, 3], strength=0.5)
    with Image.open("out.png") as painted:
        assert same(painted, wanted)
    assert run("--style", "lines") == 0
    capsys.readouterr()
    for options, said in (
        ([], "paints after reference pictures, and none was given"),
        (mixed[:-2], "there are 1 weights for 2 references"),
        (["--style", "rain"], "has not learnt the style 'rain'"),
        (["--style", ""], "has not learnt the style ''; it knows dots, lines"),
        (["--weight", "1"], "--weight says how much a --reference counts, and none was given"),
        (["--reference", "none.png"], "none.png: no such file"),
    ):
        assert run(*options) == 2
        error = capsys.readouterr().err.splitlines()
        assert len([line for line in error if line.startswith("error: ")]) == 1
        assert said in error[-1]


def test_a_photograph_is_always_asked_after_the_same_reference(stylizer: Stylizer) -> None:
    views = [View(f"photograph {number}", np.asarray(photo(32, 32, seed=number))) for number in range(6)]
    paint, own = alone(stylizer, views), stylizer.references["dots"]
    chosen = set()
    for view in views:
        image = Image.fromarray(view.pixels)
        after = paint(image)
        assert same(after, named(stylizer)(view.name, image))
        chosen |= {place for place, one in enumerate(own) if same(after, stylizer(image, reference=one))}
    assert len(chosen) > 1
    assert same(paint(photo(seed=99)), stylizer(photo(seed=99), reference=own[0]))
    assert not same(alone(stylizer, views, "lines")(image), after)


def test_what_it_was_trained_through_does_not_look(studio: Workspace, tmp_path: Path) -> None:
    assert learnt_through({"network": {"encoder": "own"}}) == learnt_through({"network": {}}) == frozenset()
    assert learnt_through({"network": {"encoder": "vgg16 397923af"}}) == {"vgg16"}
    params = load_params(studio.params_file, {"evaluate": {"features": "vgg16"}})
    with pytest.raises(ValueError, match="a model was trained through that network, and what measures never trains"):
        held_out.observers_at_hand(params, None, {"vgg16"})
    (tmp_path / "weights").write_bytes(b"no network, and nobody reads it")
    weights = replace(
        load_params(studio.params_file).weights,
        vgg16=str(tmp_path / "weights"), vgg16_sha256=sha256_file(tmp_path / "weights"),
    )  # fmt: skip
    free = replace(load_params(studio.params_file), weights=weights)
    found = held_out.observers_at_hand(free, None, {"vgg16"})
    assert (found.features, found.perceptual) == (None, None)


@pytest.mark.slow
def test_the_served_model_takes_a_reference_or_a_style(studio: Workspace, stylizer: Stylizer) -> None:
    import pandas as pd

    from pipeline.registry.logged import _signature
    from pipeline.serving_model import AtelierModel

    served = AtelierModel()
    served.load_context(SimpleNamespace(artifacts={"package": str(studio.package("many"))}))
    frame = pd.DataFrame({"image": [encoded(photo())]})

    def paint(**params: object) -> Image.Image:
        (made,) = served.predict(None, frame, params)["image"]  # type: ignore[arg-type]
        return Image.open(io.BytesIO(base64.b64decode(made)))

    assert same(paint(reference=encoded(photo(seed=1))), stylizer(photo(), reference=photo(seed=1)))
    assert same(paint(style="lines"), stylizer(photo(), style="lines"))
    with pytest.raises(ValueError, match="paints after reference pictures, and none was given"):
        paint(reference="", style="")
    params = _signature(read_json(studio.package("many") / "config.json")).params
    assert {"reference", "style"} <= {spec.name for spec in params}


@pytest.mark.slow
def test_scoring_says_how_often_outputs_follow_their_references(studio: Workspace) -> None:
    judge.main("dots", studio, load_params(studio.params_file))
    report = evaluate.main("many", studio)
    metrics = read_json(report / "metrics.json")
    figure = metrics["metrics"]["reference/closer"]
    assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1
    assert metrics["controls"]["photograph"]["reference/closer"]["value"] == 0.5  # chance, of two styles
    assert set(metrics["nearest_style"]) == {"dots", "lines"}
    assert all(sum(shares.values()) == pytest.approx(1) for shares in metrics["nearest_style"].values())
    card = (report / "model_card.md").read_text()
    assert "trained an encoder of its own" in card
    assert "brings training crops" in card
    assert "Follows its reference" in (report / "report.html").read_text()
    again = read_json(evaluate.main("many", studio) / "metrics.json")
    assert again == metrics
    assert load_book(studio).recipe("many").style == "dots"
