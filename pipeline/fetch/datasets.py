"""The datasets that `atelier fetch` knows by name: where they are, what they must hash to, whose the images are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pipeline.workspace import PHOTOS

# The authors' present server first, then the one that they named until 2023 and that TensorFlow Datasets names still.
_SERVERS = (
    "https://efrosgans.eecs.berkeley.edu/cyclegan/datasets",
    "https://people.eecs.berkeley.edu/~taesung_park/CycleGAN/datasets",
)
_PAINTINGS = ("trainA", "testA")
_PHOTOGRAPHS = ("trainB", "testB")

_COMMON = """\
Collected by Jun-Yan Zhu, Taesung Park, Phillip Isola and Alexei A. Efros for "Unpaired Image-to-Image Translation
using Cycle-Consistent Adversarial Networks" (ICCV 2017, https://arxiv.org/abs/1703.10593): cite it when you use them.
They state no licence for the images. This note says what is known, and is no legal advice.
"""
_PHOTOGRAPHS_NOTE = """\
Photographs: by many people, from Flickr (tags "landscape" and "landscapephotography"). Each is under the licence that
its author chose, all rights reserved where none was chosen, and the dataset names neither author nor licence. Do not
publish them or pass them on; where that is not enough, leave them out (--no-photos) and ingest your own.
"""
_REPRODUCTION = """\
The files are reproductions from WikiArt; in some countries whoever photographed a painting has rights of their own.
"""


@dataclass(frozen=True)
class Dataset:
    """A published archive of artworks and photographs.

    urls are tried in their order; size (bytes) and sha256 are of the archive, None where nobody has published them;
    folders of the archive's images go to the style, or to the photographs.
    """

    name: str
    style: str
    urls: tuple[str, ...]
    size: int | None
    sha256: str | None
    paintings: tuple[str, ...]
    photographs: tuple[str, ...]
    artist: str
    licence: str

    def collections(self, style: str = "", photographs: bool = True) -> dict[str, str]:
        """Return folder of the archive -> collection, with the style under another name if one is given."""
        wanted = dict.fromkeys(self.paintings, style or self.style)
        return wanted | (dict.fromkeys(self.photographs, PHOTOS) if photographs else {})


def _cyclegan(name: str, style: str, artist: str, size: int, sha256: str, rights: str) -> Dataset:
    return Dataset(
        name=name,
        style=style,
        urls=tuple(f"{server}/{name}.zip" for server in _SERVERS),
        size=size,
        sha256=sha256,
        paintings=_PAINTINGS,
        photographs=_PHOTOGRAPHS,
        artist=artist,
        licence=f"{_COMMON}\nPaintings: {rights}{_REPRODUCTION}\n{_PHOTOGRAPHS_NOTE}",
    )


def _died(artist: str, year: int) -> str:
    return f"""\
by {artist}, who died in {year}: in the public domain wherever copyright ends 70 years after the
artist's death or earlier, which is in most countries.
"""


# Sizes and digests are those that TensorFlow Datasets publishes (tensorflow_datasets/url_checksums/cycle_gan.txt) for
# the files of the second server. The first has published none: its files are refused unless they are the same.
_ALL = (
    _cyclegan(
        "monet2photo",
        "monet",
        "Claude Monet",
        305_231_073,
        "88f91b00fc228f97c9411fbf1880ec1d119c98f1722e4cfcfaa2fb35fac05b04",
        _died("Claude Monet", 1926),
    ),
    _cyclegan(
        "vangogh2photo",
        "vangogh",
        "Vincent van Gogh",
        306_590_349,
        "362c3473e70be0944bda08d49d660eafdc2854df55d697835b8186d1d79caaff",
        _died("Vincent van Gogh", 1890),
    ),
    _cyclegan(
        "ukiyoe2photo",
        "ukiyoe",
        "ukiyo-e woodblock prints",
        292_946_532,
        "02a2a2fb5ecf425ca1bf86aca7304377da64a2a1d3b86df54eb65e4068bf3b08",
        """\
Japanese woodblock prints by many artists. Those of the Edo period (until 1868) are in the public domain;
the dataset names no artist of any one print, so a later one that is still protected cannot be ruled out.
""",
    ),
    _cyclegan(
        "cezanne2photo",
        "cezanne",
        "Paul Cézanne",
        279_885_071,
        "3a6c10ca21f9485862f1cbd707744b9dc258954a04631271d23a3605eeb63cff",
        _died("Paul Cézanne", 1906),
    ),
)
DATASETS: Mapping[str, Dataset] = MappingProxyType({dataset.name: dataset for dataset in _ALL})
