"""params.yaml -> frozen dataclasses. Every key is required, every value is checked, and a mistake is named.

There are no defaults in code: what is not in params.yaml would be invisible to DVC. Sections stand in modules by
concern (`data`, `training`, `evaluation`, `operations`, `serving`, `weights`), those of methods in `methods`, a
module each; `whole` puts them together.
"""

from __future__ import annotations

from pipeline.params.data import Archives, Augment, Ingest, Prepare, Transform
from pipeline.params.evaluation import Evaluate, Gate, Judge, SeedNoise
from pipeline.params.methods.adain import Adain, AdainEncoder, AdainWeights
from pipeline.params.methods.cut import Cut, CutWeights
from pipeline.params.methods.cyclegan import CycleGan, CycleGanWeights
from pipeline.params.methods.dcgan import Dcgan
from pipeline.params.methods.fastcut import FastCut
from pipeline.params.methods.infogan import Infogan
from pipeline.params.methods.pix2pix import Damage, Pix2Pix
from pipeline.params.methods.stylegan2 import Stylegan2
from pipeline.params.networks import Discriminator, Generator, StatisticsWeights
from pipeline.params.operations import Notify, Ops, Prune, Publish, Retrain, Up, Watch
from pipeline.params.parsing import merge, read_tree
from pipeline.params.ranges import Adversarial, Between, Tree, Weight
from pipeline.params.serving import Serve
from pipeline.params.training import Collapse, Converged, Train
from pipeline.params.weights import Weights
from pipeline.params.whole import OVERRIDABLE, Params, check_method, load_params, parse

__all__ = [
    "OVERRIDABLE",
    "Adain",
    "AdainEncoder",
    "AdainWeights",
    "Adversarial",
    "Archives",
    "Augment",
    "Between",
    "Collapse",
    "Converged",
    "Cut",
    "CutWeights",
    "CycleGan",
    "CycleGanWeights",
    "Damage",
    "Dcgan",
    "Discriminator",
    "Evaluate",
    "FastCut",
    "Gate",
    "Generator",
    "Infogan",
    "Ingest",
    "Judge",
    "Notify",
    "Ops",
    "Params",
    "Pix2Pix",
    "Prepare",
    "Prune",
    "Publish",
    "Retrain",
    "SeedNoise",
    "Serve",
    "StatisticsWeights",
    "Stylegan2",
    "Train",
    "Transform",
    "Tree",
    "Up",
    "Watch",
    "Weight",
    "Weights",
    "check_method",
    "load_params",
    "merge",
    "parse",
    "read_tree",
]
