"""What published experience says of a collection of a size, in the terms of this project's parameters."""

from __future__ import annotations

from dataclasses import dataclass

FEW, MANY = 10, 50  # different artworks; below, from, above

CYCLEGAN = (
    "Zhu, Park, Isola and Efros, “Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks”, "
    "ICCV 2017, arXiv 1703.10593: 401 (Van Gogh), 584 (Cézanne), 1,074 (Monet) and 1,433 (ukiyo-e) artworks, with "
    "6,853 landscape photographs."
)
CUT = (
    "Park, Efros, Zhang and Zhu, “Contrastive Learning for Unpaired Image-to-Image Translation”, ECCV 2020, "
    "arXiv 2007.15651: CUT, and SinCUT, which learns from one painting."
)
DIFFAUGMENT = (
    "Zhao, Liu, Lin, Zhu and Han, “Differentiable Augmentation for Data-Efficient GAN Training”, NeurIPS 2020, "
    "arXiv 2006.10738: 100 images, without pretraining."
)
ADA = (
    "Karras, Aittala, Hellsten, Laine, Lehtinen and Aila, “Training Generative Adversarial Networks with Limited "
    "Data”, NeurIPS 2020, arXiv 2006.06676: how a discriminator overfits, and which augmentations leak."
)


@dataclass(frozen=True)
class Advice:
    """A title, what to expect and do, and where that is known from."""

    title: str
    sentences: tuple[str, ...]
    sources: tuple[str, ...]


def advise(distinct: int, is_photos: bool) -> Advice:
    """Return the advice for so many different artworks, or photographs."""
    if is_photos:
        return _PHOTOS
    if distinct < FEW:
        return _BELOW_FEW
    return _BETWEEN if distinct <= MANY else _ABOVE


_BELOW_FEW = Advice(
    f"Below {FEW} artworks",
    (
        "The discriminator will soon know so few pictures by heart. What it teaches from then on is what they show, "
        "a face or a sun, rather than how they are painted.",
        "Size can stand in for number: a method of CUT's family was trained on a single painting, because its "
        "patches were the collection. Look for the largest scans there are, keep prepare.crop well below their short "
        "side, and raise prepare.crops_per_image to 32 or more.",
        "Train for fewer steps, look at the samples on the way, and read “Distance from the training set” in the "
        "model's report: near 0 it pastes what it saw. With so few held out, the gate's verdict rests on little.",
    ),
    (CUT, ADA),
)
_BETWEEN = Advice(
    f"From {FEW} to {MANY} artworks",
    (
        "Enough for a palette and a touch, too few for everything the artist could do. Published GANs that learn "
        "from about a hundred images do so by augmenting what the discriminator sees.",
        "Here that is crops at several scales and flips. Do not add changes of colour: what is done to the artworks "
        "alone is learnt as their style. Rather raise prepare.crops_per_image to 16.",
        "Keep the collection to one period and one medium, so that few pictures agree on much. Prefer fewer steps, "
        "and watch “Distance from the training set” and “Diversity” in the model's report.",
    ),
    (DIFFAUGMENT, ADA, CUT),
)
_ABOVE = Advice(
    f"Above {MANY} artworks",
    (
        "The settings in params.yaml are made for this. The published styles of CycleGAN, on which CUT builds, were "
        "learnt from 401 to 1,433 artworks; up to there, every doubling is worth the trouble.",
        "Coherence is worth as much as number: those authors kept Van Gogh's late works alone, and Monet's "
        "landscapes alone. If this collection holds several manners, make several styles of it.",
        "Match the photographs to the artworks' subjects. What differs between the two collections is learnt as "
        "style, whether it is paint or not: with portraits on one side and landscapes on the other, that is skin.",
    ),
    (CYCLEGAN, CUT),
)
_PHOTOS = Advice(
    "Photographs",
    (
        "They say what the model can be asked to paint. The published styles of CycleGAN were trained with 6,853 "
        "photographs of landscapes; a few hundred of your own kind of subject serve as well.",
        "Match them to the artworks' subjects. What differs between the two collections is learnt as style, whether "
        "it is paint or not.",
        "They may vary more than artworks in light, lens and framing: transforms in prepare.augment.photos can add "
        "that where the collection lacks it.",
    ),
    (CYCLEGAN, CUT),
)
