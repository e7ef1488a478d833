import math
from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from pipeline import losses
from pipeline.params import Adversarial

DRAW = torch.Generator().manual_seed(0)


def _images(count: int = 2, side: int = 32) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=DRAW) * 2 - 1


def test_hinge_against_its_closed_form() -> None:
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-2.0, 0.5])
    assert losses.d_hinge(real, fake).item() == pytest.approx(0.5 * ((0 + 0.5) / 2 + (0 + 1.5) / 2))
    assert losses.g_hinge(fake).item() == pytest.approx(0.75)


def test_lsgan_against_its_closed_form() -> None:
    real, fake = torch.tensor([0.6]), torch.tensor([0.4])
    assert losses.d_lsgan(real, fake).item() == pytest.approx(0.5 * (0.16 + 0.16))
    assert losses.g_lsgan(fake).item() == pytest.approx(0.36)


# D(x) = 0.6 and D(G(z)) = 0.4, as the paper's figures have it; a discriminator gives logits.
LOGITS = torch.tensor([0.6, 0.4], dtype=torch.float64).logit()


@pytest.mark.parametrize(
    ("name", "player", "expected"),
    [
        ("minimax", "discriminator", 1.0217),
        ("minimax", "generator", -0.5108),
        ("non_saturating", "discriminator", 1.0217),
        ("non_saturating", "generator", 0.9163),
    ],
)
def test_the_cross_entropy_losses_have_their_published_values(name: str, player: str, expected: float) -> None:
    real, fake = LOGITS.split(1)
    found = {
        "discriminator": losses.D_ADVERSARIAL[name](real, fake),
        "generator": losses.G_ADVERSARIAL[name](fake),
    }
    assert found[player].item() == pytest.approx(expected, abs=5e-5)


def test_the_cross_entropy_losses_are_the_logarithms_of_the_paper() -> None:
    real, fake = (torch.randn(2, 1, 5, 5, generator=DRAW).double() for _ in range(2))
    says_real, says_fake = (1 / (1 + (-score).exp()) for score in (real, fake))
    expected = -(says_real.log().mean() + (1 - says_fake).log().mean())
    torch.testing.assert_close(losses.d_minimax(real, fake), expected)
    torch.testing.assert_close(losses.g_minimax(fake), (1 - says_fake).log().mean())
    torch.testing.assert_close(losses.g_non_saturating(fake), -says_fake.log().mean())


def test_only_the_non_saturating_loss_still_pulls_when_the_discriminator_is_sure() -> None:
    pull = {}
    for name in ("minimax", "non_saturating"):
        fake = torch.tensor([-8.0], requires_grad=True)
        losses.G_ADVERSARIAL[name](fake).backward()
        assert fake.grad is not None
        pull[name] = fake.grad.item()
    assert pull["minimax"] == pytest.approx(-1 / (1 + math.exp(8)))  # -D(G(z))
    assert pull["non_saturating"] == pytest.approx(-1 / (1 + math.exp(-8)))  # -(1 - D(G(z)))


def test_every_adversarial_loss_is_whole_and_its_players_pull_against_each_other() -> None:
    names = set(get_args(Adversarial))
    assert names == set(losses.D_ADVERSARIAL) == set(losses.G_ADVERSARIAL) == set(losses.BOUNDARY)
    for name in names:
        fake = torch.full((3,), losses.BOUNDARY[name], requires_grad=True)
        (up,) = torch.autograd.grad(losses.G_ADVERSARIAL[name](fake), fake)
        (down,) = torch.autograd.grad(losses.D_ADVERSARIAL[name](torch.ones(3), fake), fake)
        assert (up < 0).all()
        assert (down > 0).all()


def test_a_cycle_is_the_mean_distance_from_where_it_began() -> None:
    image = torch.zeros(2, 3, 4, 4)
    back = image.clone()
    back[0] = 0.5
    assert losses.g_cycle(back, image).item() == pytest.approx(0.25)


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_a_discriminator_that_separates_better_never_loses_more(real: float, fake: float) -> None:
    now = losses.d_hinge(torch.tensor([real]), torch.tensor([fake]))
    better = losses.d_hinge(torch.tensor([real + 0.1]), torch.tensor([fake - 0.1]))
    assert better <= now + 1e-6


def test_patch_nce_is_the_cross_entropy_of_finding_the_same_place() -> None:
    features = torch.nn.functional.normalize(torch.randn(2, 5, 7, generator=DRAW), dim=2)
    other = torch.nn.functional.normalize(torch.randn(2, 5, 7, generator=DRAW), dim=2)
    expected = 0.0
    for n in range(2):
        for i in range(5):
            similarity = [float(features[n, i] @ other[n, j]) / 0.07 for j in range(5)]
            top = max(similarity)
            expected += top + math.log(sum(math.exp(s - top) for s in similarity)) - similarity[i]
    assert losses.g_patch_nce(features, other, 0.07).item() == pytest.approx(expected / 10, rel=1e-4)


def test_patch_nce_sends_no_gradient_into_the_photograph() -> None:
    query, key = (torch.randn(1, 4, 3, generator=DRAW, requires_grad=True) for _ in range(2))
    losses.g_patch_nce(query, key, 0.1).backward()
    assert query.grad is not None
    assert key.grad is None


def test_structure_ignores_brightness_contrast_and_colour_but_not_where_light_is() -> None:
    photo = _images()
    assert losses.g_structure(photo * 0.3 + 0.2, photo).item() == pytest.approx(0, abs=1e-5)
    assert losses.g_structure(-photo, photo).item() == pytest.approx(4, abs=1e-4)  # 2 scales, cosine -1
    assert losses.g_structure(photo.flip(3), photo) > 0.5


@pytest.mark.parametrize("loss", ["texture", "palette", "contrast"])
def test_a_statistic_is_zero_for_the_same_pictures_whatever_their_order(loss: str) -> None:
    paintings = _images(4)
    directions = torch.randn(8, 1 if loss == "texture" else 3, *((5, 5) if loss == "texture" else (1, 1)))
    call = {
        "texture": lambda a, b: losses.g_texture(a, b, directions),
        "palette": lambda a, b: losses.g_palette(a, b, directions),
        "contrast": losses.g_contrast,
    }[loss]
    assert call(paintings, paintings.flip(0)).item() == pytest.approx(0, abs=1e-6)
    assert call(torch.zeros_like(paintings), paintings) > 0.01


def test_palette_of_two_flat_colours_is_their_distance_along_each_direction() -> None:
    a, b = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    b[:, 0] = 0.5
    directions = torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]).view(2, 3, 1, 1)
    assert losses.g_palette(a, b, directions).item() == pytest.approx(0.25)


def test_texture_is_blind_to_colour_and_brightness_as_it_claims() -> None:
    picture = _images(2)
    directions = torch.randn(8, 1, 5, 5, generator=DRAW)
    assert losses.g_texture(picture + 0.3, picture, directions).item() == pytest.approx(0, abs=1e-4)
    grey = losses.luminance(picture).expand(-1, 3, -1, -1)
    assert losses.g_texture(grey, picture, directions).item() == pytest.approx(0, abs=1e-5)


def test_contrast_sees_what_texture_normalises_away() -> None:
    rough = losses.luminance(_images(2)).expand(-1, 3, -1, -1)
    # Wasserstein-1 between a distribution and 0.3 times it is 0.7 times its mean; grey has one channel of three.
    expected = 0.7 * losses._deviation(losses.luminance(rough)).mean().item() / 3
    assert losses.g_contrast(rough * 0.3, rough, levels=1).item() == pytest.approx(expected, rel=0.01)


def test_contrast_sees_colour_fringes_that_light_does_not_show() -> None:
    grey = torch.zeros(1, 3, 32, 32)
    fringes = grey.clone()
    fringes[:, 0, :, ::2], fringes[:, 1, :, ::2] = 0.587, -0.299  # stripes of red and green of the same luma
    assert losses.luminance(fringes).abs().max() < 1e-6
    assert losses.g_contrast(fringes, grey) > 0.05


def test_calm_is_low_when_roughness_lies_where_the_photograph_has_it() -> None:
    photo = torch.zeros(1, 3, 64, 64)
    photo[..., 32:] = torch.rand(1, 3, 64, 32, generator=DRAW) - 0.5
    same, swapped = photo * 0.5, photo.flip(3)
    assert losses.g_calm(same, photo) < 0.1
    assert losses.g_calm(swapped, photo) > 1.5


def test_chroma_asks_where_colours_lie_and_not_which_or_how_strong_they_are() -> None:
    photos = F.interpolate(_images(2, 4), 32)  # flat patches of 8 px
    faded = photos * 0.3 + torch.tensor([0.2, 0.0, -0.1]).view(1, 3, 1, 1)  # another palette: weaker, and warmer
    assert losses.g_chroma(faded, photos).item() == pytest.approx(0, abs=1e-5)
    assert losses.g_chroma(-photos, photos).item() == pytest.approx(4, abs=1e-4)  # 2 scales, correlation -1
    assert losses.g_chroma(photos.flip(3), photos) > 0.5
    one_warm_one_cold = torch.stack([torch.full((3, 32, 32), level) for level in (-0.5, 0.5)])
    one_warm_one_cold[:, 2] = 0
    assert losses.g_chroma(one_warm_one_cold, one_warm_one_cold.flip(0)).item() == pytest.approx(4, abs=1e-4)


def test_chroma_leaves_grey_photographs_alone() -> None:
    grey = losses.luminance(_images()).expand(-1, 3, -1, -1) + 0.003 * _images()
    output = _images().requires_grad_()
    assert losses.g_chroma(output, grey).item() == pytest.approx(2, abs=0.05)


def test_total_variation_of_a_ramp_is_its_slope() -> None:
    ramp = torch.linspace(0, 1, 11).expand(1, 3, 11, 11)
    assert losses.g_smoothness(ramp).item() == pytest.approx(0.1, rel=1e-4)


def test_luminance_is_rec_601() -> None:
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
    assert losses.luminance(red).item() == pytest.approx(0.299)


def test_every_loss_is_computed_in_full_precision_whatever_the_networks_compute_in() -> None:
    output, painting, photo = (_images(2, 32).bfloat16() for _ in range(3))
    scores = torch.randn(2, 1, 6, 6, generator=DRAW).bfloat16(), torch.randn(2, 1, 6, 6, generator=DRAW).bfloat16()
    query, key = (torch.randn(2, 9, 8, generator=DRAW).bfloat16() for _ in range(2))
    texture, palette = torch.randn(4, 1, 5, 5, generator=DRAW), torch.randn(4, 3, 1, 1, generator=DRAW)
    arguments: dict[str, tuple[object, ...]] = {
        "d_minimax": scores,
        "g_minimax": scores[:1],
        "g_non_saturating": scores[:1],
        "d_hinge": scores,
        "g_hinge": scores[:1],
        "d_lsgan": scores,
        "g_lsgan": scores[:1],
        "g_patch_nce": (query, key, 0.07),
        "g_identity": (output, painting),
        "g_cycle": (output, photo),
        "g_restored": (output, painting, (photo[:, :1] > 0).bfloat16()),
        "g_structure": (output, photo),
        "g_texture": (output, painting, texture),
        "g_palette": (output, painting, palette),
        "g_contrast": (output, painting),
        "g_calm": (output, photo),
        "g_chroma": (output, photo),
        "g_smoothness": (output,),
        "q_categorical": (torch.randn(6, 4).bfloat16(), torch.eye(6, 4)),
        "q_gaussian": (torch.randn(6, 2).bfloat16(), torch.zeros(6, 2).bfloat16(), torch.randn(6, 2)),
        "g_path_length": (torch.rand(4).bfloat16(), torch.tensor(0.5)),
        "g_content": (output, photo),
        "g_style": (output, painting),
        "e_kinship": (query[:, 0], key[:, 0], 0.1),
    }
    named = {name: loss for name, loss in vars(losses).items() if name.startswith(("d_", "g_", "q_", "e_"))}
    assert named.keys() == arguments.keys() | {"d_r1"}
    for name, given_ones in arguments.items():
        exact = named[name](*(x.float() if isinstance(x, torch.Tensor) else x for x in given_ones))
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(named[name](*given_ones), exact), name
    images = _images(2, 8).requires_grad_()  # of which R1 takes the slope: they are what scores were made of
    squares = images.square().sum((1, 2, 3))
    exact = losses.d_r1(squares, images)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(losses.d_r1(squares.bfloat16(), images), exact)


def test_guessing_a_code_costs_its_entropy_and_knowing_it_nothing() -> None:
    codes = torch.eye(10).repeat(3, 1)
    assert losses.q_categorical(torch.zeros(30, 10), codes).item() == pytest.approx(math.log(10))
    assert losses.q_categorical(100 * codes, codes).item() == pytest.approx(0, abs=1e-6)
    # Certain and wrong one time in ten: 0.9 log(1 / 0.9) + 0.1 log(1 / (0.1 / 9)) for an honest Q.
    honest = torch.full((10, 10), 0.1 / 9).fill_diagonal_(0.9).log()
    expected = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1 / 9))
    said = torch.eye(10)[[0] * 9 + [1]]
    assert losses.q_categorical(honest[[0] * 10], said).item() == pytest.approx(expected, rel=1e-5)


def test_the_bound_on_information_is_below_it_and_reaches_it_for_the_true_posterior() -> None:
    """A code of 4 through a channel that keeps it 7 times in 10: I = log 4 - H(posterior)."""
    channel = torch.full((4, 4), 0.1).fill_diagonal_(0.7)  # p(x | c) = p(c | x): all is symmetric
    codes = torch.eye(4).repeat_interleave(4, 0)
    weights = channel.flatten() / 4
    seen = torch.arange(4).repeat(4)

    def bound(told: torch.Tensor) -> float:
        each = [losses.q_categorical(told[x][None], code[None]).item() for x, code in zip(seen, codes, strict=True)]
        return math.log(4) - sum(w * loss for w, loss in zip(weights.tolist(), each, strict=True))

    information = math.log(4) + 0.7 * math.log(0.7) + 3 * 0.1 * math.log(0.1)
    assert bound(channel.log()) == pytest.approx(information, rel=1e-5)
    for sharper in (0.5, 2.0, 5.0):
        assert bound(sharper * channel.log()) < information - 1e-3


def test_the_gaussian_loss_is_the_negative_log_density() -> None:
    mean, deviation, code = (torch.rand(7, 3, generator=DRAW) + 0.1 for _ in range(3))
    expected = -torch.distributions.Normal(mean, deviation).log_prob(code).mean()
    torch.testing.assert_close(losses.q_gaussian(mean, deviation.log(), code), expected)
    # Of a code from -1 to 1 that nothing is known of, the best guess is 0 give or take 1 / sqrt(3).
    codes = (torch.arange(100_000).float()[:, None] + 0.5) / 50_000 - 1
    best = losses.q_gaussian(torch.zeros_like(codes), torch.full_like(codes, -0.5 * math.log(3)), codes)
    assert best.item() == pytest.approx(0.5 * math.log(2 * math.pi * math.e / 3), rel=1e-4)
    assert math.log(2) - best.item() < 0  # the bound on information that is not there is below it


@pytest.mark.parametrize("loss", ["texture", "palette", "contrast"])
def test_fewer_samples_tell_the_same_within_their_noise(loss: str) -> None:
    one, other = _images(4, 64), _images(4, 64) * 0.5
    directions = torch.nn.functional.normalize(torch.randn(16, 1, 5, 5, generator=DRAW).flatten(1), dim=1)
    colours = torch.nn.functional.normalize(torch.randn(16, 3, generator=DRAW), dim=1).view(16, 3, 1, 1)
    given: dict[str, tuple[torch.Tensor, ...]] = {"texture": (directions.view(16, 1, 5, 5),), "palette": (colours,)}
    compute = getattr(losses, f"g_{loss}")
    every, few = (compute(one, other, *given.get(loss, ()), most=most).item() for most in (None, 500))
    assert few == pytest.approx(every, rel=0.3)
    assert compute(one, one, *given.get(loss, ()), most=500).item() == pytest.approx(0, abs=1e-6)
