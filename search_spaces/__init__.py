"""What can be built: architectures and search spaces as frozen data."""

from .automaton import count
from .block import Block, Head, fixed
from .blocks import (
    Conv,
    DepthwiseSeparable,
    DilatedConv,
    DilatedSeparable,
    FusedMBConv,
    HybridDilated,
    Identity,
    MBConv,
    Merge,
    Pool,
    ResidualBasic,
    ResidualBottleneck,
)
from .choice import Choice, Pick, Repeat, Searchable, decisions
from .conditions import NeverFalls, TotalAtMost
from .data import register
from .errors import ArchscaleError, BadInput, BadSpec, Infeasible, OutOfSpace, Unbuildable
from .graph import Feature, Graph, Norm, Place, concat, total
from .heads import Classifier, DenseClassifier, Regressor
from .making import resolve
from .moves import crossover, decode, encode, enumerate_members, mutate, neighbours, sample
from .network import Network, Stage, lower, steps
from .serialise import from_text, key, load, to_json, to_yaml

__all__ = [
    "ArchscaleError", "BadInput", "BadSpec", "Block", "Choice", "Classifier", "Conv", "DenseClassifier",
    "DepthwiseSeparable", "DilatedConv", "DilatedSeparable", "Feature", "FusedMBConv", "Graph", "Head",
    "HybridDilated", "Identity", "Infeasible", "MBConv", "Merge", "Network", "NeverFalls", "Norm",
    "OutOfSpace", "Pick", "Place", "Pool", "Regressor", "Repeat", "ResidualBasic", "ResidualBottleneck",
    "Searchable", "Stage", "TotalAtMost", "Unbuildable", "concat", "count", "crossover", "decisions",
    "decode", "encode", "enumerate_members", "fixed", "from_text", "key", "load", "lower", "mutate",
    "neighbours", "register", "resolve", "sample", "steps", "to_json", "to_yaml", "total",
]  # fmt: skip
