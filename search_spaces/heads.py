"""The heads: what ends a network, each its fields and how it lowers to layers."""

from __future__ import annotations

from dataclasses import dataclass

from .block import ActivationName, Head, Rate, Whole, fixed
from .choice import Searchable
from .data import register
from .graph import BATCH_NORM, Feature, Norm, Place
from .parts import pooled_scores


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier(Head):
    """Class scores (logits) from the mean over positions.

    A 1x1 convolution to `width` where given, global average pooling, dropout, a dense layer.
    """

    classes: Searchable[Whole]
    width: Searchable[Whole | None] = None
    dropout: Searchable[Rate] = 0.0
    act: Searchable[ActivationName] = "relu"
    norm: Searchable[Norm] = BATCH_NORM

    def lower(self, place: Place) -> Feature:
        return pooled_scores(self, place, self.classes, width=self.width, dropout=self.dropout)


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Regressor(Head):
    """Real-valued outputs, built as `Classifier` is."""

    outputs: Searchable[Whole] = 1
    width: Searchable[Whole | None] = None
    dropout: Searchable[Rate] = 0.0
    act: Searchable[ActivationName] = "relu"
    norm: Searchable[Norm] = BATCH_NORM

    def lower(self, place: Place) -> Feature:
        return pooled_scores(self, place, self.outputs, width=self.width, dropout=self.dropout)


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class DenseClassifier(Head):
    """Class scores (logits) from every position: flatten, then dense layers (LeCun et al. 1998)."""

    classes: Searchable[Whole]
    hidden: Searchable[tuple[Whole, ...]] = ()
    dropout: Searchable[Rate] = 0.0
    act: Searchable[ActivationName] = "relu"

    def lower(self, place: Place) -> Feature:
        x = place.input.flatten()
        for width in fixed(self.hidden):
            x = x.dropout(fixed(self.dropout)).linear(width).act(fixed(self.act))
        return x.dropout(fixed(self.dropout)).linear(fixed(self.classes))
