"""CUT's published options and FastCUT: which levels, which negatives, which way the picture faces."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pipeline import losses
from pipeline.methods.base import Batch
from pipeline.methods.conditions import NOTHING, Direction
from pipeline.methods.cut import CutMethod, FastCutMethod
from pipeline.networks.generators import ResnetGenerator, level_names
from pipeline.params import check_method, load_params, parse, read_tree
from pipeline.trainer import step_randomness
from tests.pipeline.training import ROOT, smoke_params

PUBLISHED = ["image", "down1", "down2", "block1", "block5"]  # of a ResNet with nine blocks


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def batch(count: int = 2, side: int = 32) -> Batch:
    draw = torch.Generator().manual_seed(3)
    return Batch(*(torch.rand(count, 3, side, side, generator=draw) * 2 - 1 for _ in range(2)))


def stream(seed: int = 4) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cut(**changes: object) -> CutMethod:
    return CutMethod(smoke_params(cut={"warmup_steps": 0, **changes}))


def fastcut(**changes: object) -> FastCutMethod:
    return FastCutMethod(smoke_params(fastcut=changes))


def test_a_level_is_what_its_layer_gives() -> None:
    network = ResnetGenerator(channels=4, blocks=3)
    given: dict[str, Tensor] = {}
    layers = {"stem": network.encoder[0], "down1": network.encoder[1], "down2": network.encoder[2]}
    layers |= {f"block{i + 1}": block for i, block in enumerate(network.blocks)}
    for name, layer in layers.items():
        layer.register_forward_hook(lambda _module, _input, output, name=name: given.update({name: output}))
    x = torch.rand(1, 3, 16, 16)
    features = network.encode(x)
    assert features[network.level("image")] is x
    for name, output in given.items():
        assert features[network.level(name)] is output, name
    assert network.level("end") == network.level("block3") == len(features) - 1
    assert network.level("middle") == network.level("block1")  # goes into the second of three


@pytest.mark.parametrize(("downsamplings", "blocks"), [(1, 1), (2, 6), (3, 9)])
def test_the_parameters_know_the_levels_that_there_are(downsamplings: int, blocks: int) -> None:
    tree = read_tree(ROOT / "params.yaml")
    size = {"downsamplings": downsamplings, "blocks": blocks}
    tree["train"] |= {"crop": 64}
    tree["cut"] |= {"generator": tree["cut"]["generator"] | size, "nce_layers": [*level_names(**size)]}
    check_method(parse(tree), "cut")
    for wrong in (f"block{blocks + 1}", f"down{downsamplings + 1}", "block0"):
        tree["cut"]["nce_layers"] = ["image", wrong]
        with pytest.raises(ValueError, match=rf"cut\.nce_layers' names '{wrong}'.*there are: image, stem, .*end"):
            check_method(parse(tree), "cut")
    for wrong_list, says in (([], "names none"), (["end", "end"], "names one twice")):
        tree["cut"]["nce_layers"] = wrong_list
        with pytest.raises(ValueError, match=says):
            check_method(parse(tree), "cut")


def test_the_published_levels_have_the_published_widths() -> None:
    params = load_params(ROOT / "params.yaml", {"cut": {"generator": {"channels": 64, "blocks": 9}}})
    params = replace(params, cut=replace(params.cut, nce_layers=tuple(PUBLISHED)))
    method = CutMethod(params)
    assert [head[0].in_features for head in method.heads.heads] == [3, 128, 256, 256, 256]  # type: ignore[index]
    assert [*params.fastcut.nce_layers] == PUBLISHED


def test_only_the_levels_that_are_named_are_compared() -> None:
    """The mean over levels: that of two is the mean of what each gives alone, at the same places."""
    method = cut(nce_layers=["stem", "down1"], nce_patches=10_000)  # all places: their order is all that is drawn
    images = batch()
    features, output = method.encode(images.photos), method.translate(images.photos)
    both = method._patch_nce(output, method._compared(features), False, stream())
    with torch.no_grad():
        alone = []
        output_features = method.encode(output)
        for i, name in enumerate(("stem", "down1")):
            level = method.generator.level(name)
            places = [torch.arange(features[level][0, 0].numel())]
            head = method.heads.heads[i]
            query, key = (
                torch.nn.functional.normalize(head(side[level].flatten(2)[:, :, places[0]].transpose(1, 2)), dim=2)
                for side in (output_features, features)
            )
            alone.append(losses.g_patch_nce(query, key, 0.07))
    torch.testing.assert_close(both, torch.stack(alone).mean(), rtol=1e-4, atol=1e-5)


def _nce(method: CutMethod, images: Batch) -> Tensor:
    painted = method._paint(images, stream())
    return method._patch_nce(painted.output, painted.features, painted.mirrored, stream())


def test_external_negatives_are_the_patches_of_the_whole_batch() -> None:
    images = batch(2)
    internal, external = cut(), cut(nce_negatives="external")
    external.heads.load_state_dict(internal.heads.state_dict())
    one = Batch(images.photos[:1], images.paintings[:1])
    torch.testing.assert_close(_nce(internal, one), _nce(external, one))  # of one image both are the same
    assert _nce(external, images) > _nce(internal, images)  # twice as many to choose from


def test_external_negatives_against_the_definition() -> None:
    query, key = (torch.nn.functional.normalize(torch.randn(2, 5, 4, generator=stream(i)), dim=2) for i in (1, 2))
    together = losses.g_patch_nce(query.flatten(0, 1)[None], key.flatten(0, 1)[None], 0.5)
    expected = []
    for n in range(2):
        for i in range(5):
            against = torch.stack([query[n, i] @ key[m, j] for m in range(2) for j in range(5)]) / 0.5
            expected.append(against.logsumexp(0) - query[n, i] @ key[n, i] / 0.5)
    torch.testing.assert_close(together, torch.stack(expected).mean())


def test_identity_nce_compares_a_painting_with_what_becomes_of_it() -> None:
    weights = {"nce": 0.0, "nce_identity": 1.0}
    method, images = cut(weights=weights), batch()
    found = method.step(images, 0, stream())["generator"]["nce_identity"]
    swapped = Batch(images.paintings, images.photos)  # what becomes of photographs, with paintings as these
    plain = cut(weights={"nce": 1.0})
    torch.testing.assert_close(plain.step(swapped, 0, stream())["generator"]["nce"], found, rtol=1e-4, atol=1e-5)


def test_a_loss_without_a_weight_changes_no_other() -> None:
    images = batch()
    with_it = cut(weights={"nce_identity": 1.0}).step(images, 0, stream())["generator"]
    without = cut().step(images, 0, stream())["generator"]
    assert with_it.keys() - without.keys() == {"nce_identity"}
    for name, value in without.items():
        torch.testing.assert_close(with_it[name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_half_of_the_steps_of_fastcut_are_mirrored_and_none_of_cut() -> None:
    images = batch(1, 16)
    for method, low, high in ((fastcut(), 20, 44), (cut(), 0, 0)):
        with torch.no_grad():
            mirrored = sum(method._paint(images, step_randomness(1, step)).mirrored for step in range(64))
        assert low <= mirrored <= high


def test_a_mirrored_step_paints_mirrored_images_and_compares_unmirrored_features() -> None:
    method, images = fastcut(), batch()
    painted = next(p for p in (method._paint(images, stream(seed)) for seed in range(20)) if p.mirrored)
    torch.testing.assert_close(painted.output, method.translate(images.photos.flip(3)))
    assert torch.equal(painted.seen.photos, images.photos.flip(3))
    assert torch.equal(painted.seen.paintings, images.paintings.flip(3))
    for level, name in zip(painted.features, ("down1", "block1"), strict=True):
        torch.testing.assert_close(level, method.encode(images.photos)[method.generator.level(name)])
        assert not level.requires_grad


def test_a_network_to_which_left_and_right_are_alike_gives_the_same_loss_mirrored_or_not() -> None:
    """So places of the output and of the photograph belong together in both; else the loss would be near chance."""
    method, images = fastcut(nce_layers=["image", "stem"]), batch()
    with torch.no_grad():
        for module in method.generator.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.weight.copy_((module.weight + module.weight.flip(3)) / 2)
    output = method.translate(images.photos)
    features = method._compared(method.encode(images.photos))
    plain = method._patch_nce(output, features, False, stream())
    mirrored = method._patch_nce(output.flip(3), features, True, stream())
    torch.testing.assert_close(mirrored, plain, rtol=1e-4, atol=1e-5)
    assert (method._patch_nce(output.flip(3), features, False, stream()) - plain).abs() > 0.05


def test_fastcut_has_the_published_settings() -> None:
    settings = load_params(ROOT / "params.yaml").fastcut
    assert (settings.gan, settings.warmup_steps, settings.flip_equivariance) == ("lsgan", 0, True)
    assert (settings.nce_patches, settings.nce_features, settings.nce_temperature) == (256, 256, 0.07)
    assert settings.nce_negatives == "internal"
    weights = {name: value for name, value in vars(settings.weights).items() if value}
    assert weights == {"gan": 1.0, "nce": 10.0}


def test_a_method_that_goes_one_way_takes_no_direction() -> None:
    method, photos = cut(), batch().photos
    assert torch.equal(method.translate(photos, NOTHING), method.translate(photos))
    with pytest.raises(ValueError, match="CutMethod takes NoCondition as its condition, not Direction"):
        method.translate(photos, Direction(reverse=True))
