"""How one architecture is trained, as data; a field that holds a `Choice` is searched with the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from search_spaces.block import Rate, Whole
from search_spaces.choice import Choice, Searchable, options
from search_spaces.data import Data
from search_spaces.errors import BadInput, BadSpec
from search_spaces.network import Network

from .data.augment import Augmentation

Positive = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
LEAST_EACH = 2  # examples of a batch that each of several devices must have: batch norm takes no single one


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe(Data):
    """Optimiser, schedule, regularisation and augmentation; how long (epochs) is the proposal's budget.

    `lr` is the peak learning rate. The schedule runs over the budget: `cosine` falls from the peak to 0 after
    a linear `warmup` (a share of the steps); `one_cycle` rises to the peak over 30 % of them and falls to 0
    (Smith 2018).
    With `adamw` set a rate near 0.003 and a decay near 0.02: the defaults are meant for `sgd`.
    """

    optimiser: Searchable[Literal["sgd", "adamw"]] = "sgd"
    lr: Searchable[Positive] = 0.1
    momentum: Searchable[Rate] = 0.9  # of sgd (Nesterov); adamw keeps 0.9 and 0.999
    weight_decay: Searchable[Weight] = 1e-3  # not on norms and biases
    batch: Searchable[Whole] = 64
    schedule: Searchable[Literal["cosine", "one_cycle", "constant"]] = "one_cycle"
    warmup: Searchable[Rate] = 0.05
    label_smoothing: Searchable[Rate] = 0.1  # of a classification
    clip: Searchable[Weight] = 5.0  # largest norm of all gradients together; 0: not clipped
    augment: tuple[Searchable[Augmentation], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate(Data):
    """What a study searches over: an architecture and the recipe it is trained by."""

    network: Network
    recipe: Recipe = Recipe()

    def __post_init__(self) -> None:
        """Refuse an augmentation that inputs of so many axes cannot take."""
        for index, searched in enumerate(self.recipe.augment):
            for augmentation in options(searched):
                try:
                    augmentation.check_axes(len(self.network.input) - 1)
                except BadInput as error:
                    raise BadSpec(f"recipe.augment[{index}]: {error}") from None


Space = Candidate | Choice[Candidate]  # what a study searches over: one space, or a list
