"""Uniform borders are found to the pixel, and what only resembles one is left alone."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter
from sklearn.datasets import load_sample_image

from pipeline.intake.borders import find_box
from tests.pipeline.pictures import encoded, texture

Colour = tuple[int, int, int]
Widths = tuple[int, int, int, int]  # left, top, right, bottom

SEEDS = st.integers(0, 10**6)
unhurried = settings(deadline=None)  # a loaded machine is no failure
PAPER = (236, 224, 200)


def bordered(picture: Image.Image, widths: Widths, colour: Colour) -> Image.Image:
    left, top, right, bottom = widths
    canvas = Image.new("RGB", (picture.width + left + right, picture.height + top + bottom), colour)
    canvas.paste(picture, (left, top))
    return canvas


def noisy(image: Image.Image, sigma: float) -> Image.Image:
    noise = np.random.default_rng(0).normal(0, sigma, (image.height, image.width, 3))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).round().astype(np.uint8))


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    return Image.open(io.BytesIO(encoded(image, "JPEG", quality=quality))).convert("RGB")


def bevelled(picture: Image.Image, width: int) -> Image.Image:
    """Frame a picture with a moulding whose four sides catch the light differently."""
    canvas = np.asarray(bordered(picture, (width,) * 4, (0, 0, 0))).astype(float)
    rows, columns = np.mgrid[: canvas.shape[0], : canvas.shape[1]]
    depths = np.stack([columns, rows, columns[:, ::-1], rows[::-1]])
    depth, side = depths.min(axis=0), depths.argmin(axis=0)
    light = np.array([1.15, 1.25, 0.8, 0.7])[side] * (0.7 + 0.3 * np.sin(np.pi * depth / width))
    frame = np.array([150, 110, 50]) * light[..., None]
    return Image.fromarray(np.where((depth < width)[..., None], frame, canvas).clip(0, 255).astype(np.uint8))


def photograph(name: str = "china.jpg", width: int = 320, height: int = 240) -> Image.Image:
    return Image.fromarray(load_sample_image(name)).resize((width, height), Image.Resampling.LANCZOS)


def removed(image: Image.Image) -> Widths | None:
    box = find_box(image)
    return None if box is None else (box[0], box[1], image.width - box[2], image.height - box[3])


def assert_found(image: Image.Image, widths: Widths) -> None:
    """Nothing of the border is left, and little of the picture lost."""
    found = removed(image)
    assert found is not None
    slack = 2 + 0.012 * max(image.size)
    for got, width in zip(found, widths, strict=True):
        assert (got == 0) if width == 0 else (width <= got <= width + slack)


@unhurried
@given(SEEDS, st.integers(2, 60), st.sampled_from([(255, 255, 255), (0, 0, 0), PAPER, (128, 128, 128)]))
def test_a_border_is_found(seed: int, width: int, colour: Colour) -> None:
    image = bordered(texture(seed, 200, 160), (width,) * 4, colour)
    assert_found(image, (width,) * 4)
    assert min(removed(image) or (0,)) > width  # a little inside: an edge is never sharp to the pixel


@unhurried
@given(SEEDS, st.tuples(*[st.integers(8, 70)] * 4))
def test_sides_may_be_unequal(seed: int, widths: Widths) -> None:
    assert_found(bordered(texture(seed, 220, 240), widths, (244, 242, 238)), widths)


@unhurried
@given(SEEDS, st.integers(6, 30), st.integers(8, 40))
def test_nested_layers_are_peeled(seed: int, frame: int, mat: int) -> None:
    inner = bordered(texture(seed, 220, 240), (mat,) * 4, (240, 236, 226))
    assert_found(bordered(inner, (frame,) * 4, (60, 40, 30)), (mat + frame,) * 4)


@unhurried
@given(SEEDS, st.integers(4, 60), st.sampled_from([(255, 255, 255), (0, 0, 0)]), st.booleans())
def test_bars_are_found(seed: int, width: int, colour: Colour, upright: bool) -> None:
    widths = (width, 0, width, 0) if upright else (0, width, 0, width)
    assert_found(bordered(texture(seed, 240, 220), widths, colour), widths)


@unhurried
@given(SEEDS, st.integers(6, 40))
def test_three_sides_are_found(seed: int, width: int) -> None:
    assert_found(
        bordered(texture(seed, 240, 220), (width, 0, width, width), (255, 255, 255)), (width, 0, width, width)
    )


@pytest.mark.parametrize("name", ["china.jpg", "flower.jpg"])
@pytest.mark.parametrize("width", [3, 12, 40, 120])
@pytest.mark.parametrize(
    "worn",
    [
        lambda image: jpeg(image, 75),
        lambda image: noisy(image, 4),
        lambda image: jpeg(noisy(image, 3), 85),
    ],
)
def test_a_worn_border_is_found(name: str, width: int, worn: Callable[[Image.Image], Image.Image]) -> None:
    assert_found(worn(bordered(photograph(name), (width,) * 4, PAPER)), (width,) * 4)


@pytest.mark.parametrize("name", ["china.jpg", "flower.jpg"])
@pytest.mark.parametrize("width", [12, 24, 36])
def test_a_moulding_in_light_from_one_side_is_found(name: str, width: int) -> None:
    assert_found(bevelled(photograph(name), width), (width,) * 4)
    assert_found(jpeg(bevelled(photograph(name), width), 85), (width,) * 4)
    inner = bordered(photograph(name), (30,) * 4, (235, 230, 222))
    assert_found(jpeg(bevelled(inner, width), 85), (width + 30,) * 4)


def test_a_ruled_line_in_the_margin_is_part_of_the_border() -> None:
    ruled = bordered(bordered(photograph(), (2,) * 4, (30, 28, 30)), (14,) * 4, PAPER)
    assert_found(ruled, (16,) * 4)


def test_a_caption_in_the_margin_is_part_of_the_border() -> None:
    image = bordered(photograph(), (20, 20, 20, 50), (250, 248, 244))
    ImageDraw.Draw(image).text((90, image.height - 34), "Lorem ipsum dolor, 1889", fill=(40, 40, 40))
    assert_found(image, (20, 20, 20, 50))


@pytest.mark.parametrize("widths", [(30, 30, 30, 30), (24, 24, 24, 40)])
def test_a_border_in_uneven_light_is_found(widths: Widths) -> None:
    image = bordered(photograph("flower.jpg"), widths, (215, 210, 200))
    across, down = np.linspace(-1, 1, image.width)[None, :, None], np.linspace(-1, 1, image.height)[:, None, None]
    light = np.asarray(image) * (1 + 0.05 * across + 0.04 * down)
    assert_found(Image.fromarray(light.clip(0, 255).astype(np.uint8)), widths)


def test_a_border_tilted_a_little_is_found() -> None:
    image = bordered(photograph("flower.jpg"), (30,) * 4, (215, 210, 200))
    assert_found(image.rotate(0.3, Image.Resampling.BICUBIC, fillcolor=(215, 210, 200)), (30,) * 4)


@pytest.mark.parametrize("width", [12, 150, 600])
def test_a_large_image_is_searched_small_and_cut_to_the_pixel(width: int) -> None:
    picture = Image.fromarray(load_sample_image("china.jpg")).resize((2400, 1800), Image.Resampling.BICUBIC)
    image = bordered(picture, (width,) * 4, (255, 255, 255))
    found = removed(image)
    assert found is not None
    assert all(width <= got <= width + 0.008 * max(image.size) for got in found)


def test_a_sky_inside_a_border_is_no_border() -> None:
    """A sky nearly of the border's colour, which ends at a horizon: straight, and hidden by mist in places."""
    picture = np.asarray(texture(3, 320, 240)) // 2
    picture[:100] = (212, 216, 224)
    picture[100:110, :160] = (212, 216, 224)
    assert_found(bordered(Image.fromarray(picture), (20,) * 4, (200, 204, 212)), (20,) * 4)


@unhurried
@given(SEEDS, st.integers(48, 300), st.integers(48, 300))
def test_textures_have_no_border(seed: int, width: int, height: int) -> None:
    assert find_box(texture(seed, width, height)) is None


@unhurried
@given(SEEDS, st.floats(0, 30))
def test_noise_and_gradients_have_no_border(seed: int, sigma: float) -> None:
    rng = np.random.default_rng(seed)
    ends = rng.integers(0, 256, (2, 2, 3), dtype=np.uint8)
    gradient = Image.fromarray(ends).resize((200, 150), Image.Resampling.BILINEAR)
    assert find_box(gradient) is None
    assert find_box(noisy(gradient, sigma)) is None


@unhurried
@given(SEEDS, st.booleans())
def test_silhouettes_have_no_border(seed: int, night: bool) -> None:
    """Hills or a skyline against a clear sky, mirrored in water of the same colour."""
    rng = np.random.default_rng(seed)
    heights = (
        np.repeat(rng.integers(40, 110, 32), 8) if night else 70 + 25 * np.sin(np.arange(256) / rng.uniform(8, 40))
    )
    rows = np.arange(256)[:, None]
    shape = np.abs(rows - 128) < heights[None] - 30
    sky, land = ((4, 4, 10), (200, 170, 90)) if night else ((200, 220, 240), (20, 25, 20))
    assert find_box(Image.fromarray(np.where(shape[..., None], land, sky).astype(np.uint8))) is None


@unhurried
@given(SEEDS, st.integers(1, 30))
def test_drawings_on_paper_have_no_border(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (240, 240), PAPER)
    draw = ImageDraw.Draw(image)
    for _ in range(count):  # aslant: strokes along the sides may happen to draw a frame
        x, y, across, down = rng.uniform(10, 230), rng.uniform(10, 230), rng.uniform(20, 90), rng.uniform(20, 90)
        draw.line(
            [(x, y), (x + across, y + down), (x, y + 2 * down)], fill=(30, 30, 35), width=int(rng.integers(1, 6))
        )
    assert find_box(noisy(image, 3)) is None


@pytest.mark.parametrize("power", [0.7, 1, 2, 4, 8])
@pytest.mark.parametrize("round_", [True, False])
def test_vignettes_have_no_border(power: float, round_: bool) -> None:
    picture = np.asarray(photograph()).astype(float)
    rows, columns = np.mgrid[-1:1:240j, -1:1:320j]
    away = np.hypot(rows, columns) if round_ else np.maximum(np.abs(rows), np.abs(columns))
    dark = picture * (1 - np.clip(away, 0, 1) ** power)[..., None]
    assert find_box(Image.fromarray(dark.astype(np.uint8))) is None


def test_a_ragged_end_is_no_edge() -> None:
    """On each side some lines of a drawing begin further out, most in one line, and some further in."""
    starts = np.random.default_rng(0).choice([20, 30, 70], 256, p=[0.22, 0.46, 0.32])
    depth = np.minimum(np.arange(256), np.arange(256)[::-1])
    drawn = (depth[:, None] >= starts[None]) & (depth[None] >= starts[:, None])
    assert find_box(Image.fromarray(np.where(drawn[..., None], (40, 40, 45), PAPER).astype(np.uint8))) is None


@pytest.mark.parametrize("ground", [(255, 255, 255), (0, 0, 0)])
def test_a_picture_that_fades_into_its_ground_has_no_border(ground: Colour) -> None:
    """Where it would begin is anybody's guess."""
    picture = np.asarray(photograph()).astype(float)
    rows, columns = np.mgrid[:240, :320]
    depth = np.minimum(np.minimum(rows, columns), np.minimum(rows[::-1], columns[:, ::-1]))
    share = np.clip((depth - 16) / 24, 0, 1)[..., None]
    assert find_box(Image.fromarray((picture * share + np.array(ground) * (1 - share)).astype(np.uint8))) is None


def test_objects_on_a_flat_ground_have_no_border() -> None:
    image = Image.new("RGB", (256, 256), (210, 205, 200))
    draw = ImageDraw.Draw(image)
    draw.ellipse((60, 70, 200, 210), fill=(150, 40, 30))
    assert find_box(image) is None
    draw.polygon([(40, 60), (200, 30), (220, 190), (60, 220)], fill=(30, 60, 90))
    assert find_box(image) is None


@pytest.mark.parametrize("name", ["china.jpg", "flower.jpg"])
def test_photographs_have_no_border(name: str) -> None:
    picture = photograph(name, 640, 427)
    for changed in (
        picture,
        picture.point(lambda level: level // 4),
        picture.point(lambda level: min(255, 2 * level)),
        picture.quantize(6).convert("RGB"),
        picture.filter(ImageFilter.GaussianBlur(8)),
        jpeg(picture, 15),
    ):
        assert find_box(changed) is None


def test_bands_of_a_picture_are_no_bars() -> None:
    """Sky and sea of different colours, a beach between them; and a strip of ground below alone."""
    image = np.asarray(texture(5, 240, 240)).copy()
    image[:60], image[200:] = (190, 210, 240), (40, 70, 110)
    assert find_box(Image.fromarray(image)) is None
    image[:60] = np.asarray(texture(6, 240, 60))
    assert find_box(Image.fromarray(image)) is None


def test_bars_must_be_plain() -> None:
    """Two sides alone are too little where half of an edge is not to be seen, or where a bar changes its colour."""
    picture = np.asarray(texture(9, 240, 220)).copy()
    image = np.asarray(bordered(Image.fromarray(picture), (0, 40, 0, 40), (255, 255, 255))).copy()
    assert find_box(Image.fromarray(image)) is not None
    half = image.copy()
    half[40:60, :130] = half[240:260, :130] = 255
    assert find_box(Image.fromarray(half)) is None
    fading = image.copy()
    fading[:40] = np.linspace(180, 255, 40)[:, None, None]
    assert find_box(Image.fromarray(fading)) is None


def test_a_border_whose_end_is_unknown_on_a_side_is_left() -> None:
    """A white sky runs into the white margin above: cropping the other three sides would leave the margin."""
    picture = np.asarray(texture(7, 240, 240)).copy()
    hills = 25 + 12 * np.sin(np.arange(240) / 25)
    picture[np.arange(240)[:, None] < hills] = 255
    assert find_box(bordered(Image.fromarray(picture), (20,) * 4, (255, 255, 255))) is None


@unhurried
@given(SEEDS, st.integers(1, 400), st.integers(1, 400), st.integers(1, 9))
def test_what_is_left_lies_inside_and_is_large_enough(seed: int, width: int, height: int, layer: int) -> None:
    rows, columns = np.mgrid[:height, :width]
    depth = np.minimum(np.minimum(rows, columns), np.minimum(rows[::-1], columns[:, ::-1]))
    colours = np.random.default_rng(seed).integers(0, 256, (400, 3), dtype=np.uint8)
    box = find_box(Image.fromarray(colours[depth // layer]))
    if box:
        left, top, right, bottom = box
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        assert min(right - left, bottom - top) >= 0.2 * min(width, height)
        assert (right - left) * (bottom - top) >= 0.25 * width * height
