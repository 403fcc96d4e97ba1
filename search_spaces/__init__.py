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
from .branch_blocks import Branches, Chain, Drop, Part, ShuffleUnit
from .cell_blocks import ActAxial, ActConv, ActSeparable, NormAct, PooledResidual, Skip, Zero
from .cells import Cell, Edge
from .choice import Choice, Pick, Repeat, Searchable, decisions
from .conditions import NeverFalls, TotalAtMost
from .data import register
from .errors import ArchscaleError, BadInput, BadSpec, Infeasible, OutOfSpace, Unbuildable
from .graph import Feature, Graph, Norm, Place, concat, total
from .heads import Classifier, ConvClassifier, DenseClassifier, Regressor
from .making import resolve
from .moves import crossover, decode, encode, enumerate_members, mutate, neighbours, sample
from .network import Network, Shared, Stage, Use, lower, steps
from .serialise import from_text, key, load, to_json, to_yaml
from .source import to_source

__all__ = [
    "ActAxial", "ActConv", "ActSeparable", "ArchscaleError", "BadInput", "BadSpec", "Block", "Branches",
    "Cell", "Chain", "Choice", "Classifier", "Conv", "ConvClassifier", "DenseClassifier",
    "DepthwiseSeparable", "DilatedConv", "DilatedSeparable", "Drop", "Edge", "Feature", "FusedMBConv",
    "Graph", "Head", "HybridDilated", "Identity", "Infeasible", "MBConv", "Merge", "Network",
    "NeverFalls", "Norm", "NormAct", "OutOfSpace", "Part", "Pick", "Place", "Pool", "PooledResidual",
    "Regressor", "Repeat", "ResidualBasic", "ResidualBottleneck", "Searchable", "Shared", "ShuffleUnit",
    "Skip", "Stage", "TotalAtMost", "Unbuildable", "Use", "Zero", "concat", "count", "crossover",
    "decisions", "decode", "encode", "enumerate_members", "fixed", "from_text", "key", "load", "lower",
    "mutate", "neighbours", "register", "resolve", "sample", "steps", "to_json", "to_source", "to_yaml", "total",
]  # fmt: skip
