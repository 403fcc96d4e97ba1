"""The heads: what ends a network, each its fields and how it lowers to layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from .block import ActivationName, Amount, Head, Rate, Whole, fixed
from .choice import Searchable
from .data import ByKind, register
from .errors import Unbuildable
from .graph import BATCH_NORM, Feature, Norm, Place
from .parts import pooled_scores

Rates = Annotated[Rate | tuple[Rate, ...], ByKind()]  # the same before each layer, or one a layer


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier(Head):
    """Class scores (logits) from the mean over positions.

    A 1x1 convolution to `width` where given, global average pooling, dense layers of `hidden` features where given,
    dropout, a dense layer.
    """

    classes: Searchable[Whole]
    width: Searchable[Whole | None] = None
    hidden: Searchable[tuple[Whole, ...]] = ()
    dropout: Searchable[Rate] = 0.0
    act: Searchable[ActivationName] = "relu"
    norm: Searchable[Norm] = BATCH_NORM

    def lower(self, place: Place) -> Feature:
        return pooled_scores(
            self, place, self.classes, width=self.width, hidden=self.hidden, dropout=self.dropout
        )


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class Regressor(Head):
    """Real-valued outputs, built as `Classifier` is."""

    outputs: Searchable[Whole] = 1
    width: Searchable[Whole | None] = None
    hidden: Searchable[tuple[Whole, ...]] = ()
    dropout: Searchable[Rate] = 0.0
    act: Searchable[ActivationName] = "relu"
    norm: Searchable[Norm] = BATCH_NORM

    def lower(self, place: Place) -> Feature:
        return pooled_scores(
            self, place, self.outputs, width=self.width, hidden=self.hidden, dropout=self.dropout
        )


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class DenseClassifier(Head):
    """Class scores (logits) from every position: flatten, then dense layers (LeCun et al. 1998).

    With `size`, positions are first averaged to that many, so that the dense layers do not grow with the input.
    `dropout` comes before each dense layer, or is one rate for each.
    """

    classes: Searchable[Whole]
    size: Searchable[Amount | None] = None
    hidden: Searchable[tuple[Whole, ...]] = ()
    dropout: Searchable[Rates] = 0.0
    act: Searchable[ActivationName] = "relu"

    def lower(self, place: Place) -> Feature:
        x, size, hidden = place.input, fixed(self.size), fixed(self.hidden)
        rates = self._rates(len(hidden) + 1)
        x = (x if size is None else x.adaptive_pool("average", size)).flatten()
        for width, rate in zip(hidden, rates, strict=False):
            x = x.dropout(rate).linear(width).act(fixed(self.act))
        return x.dropout(rates[-1]).linear(fixed(self.classes))

    def _rates(self, layers: int) -> tuple[float, ...]:
        rates = fixed(self.dropout)
        rates = rates if isinstance(rates, tuple) else (rates,) * layers
        if len(rates) != layers:
            raise Unbuildable(
                f"dropout: got {len(rates)} rates for {layers} dense layers; give one, or one a layer"
            )
        return rates


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ConvClassifier(Head):
    """Class scores (logits) as the mean of one map a class (Lin et al. 2014, global average pooling).

    Dropout, a 1x1 convolution, activation, global average pooling.
    """

    classes: Searchable[Whole]
    dropout: Searchable[Rate] = 0.0
    act: Searchable[ActivationName] = "relu"

    def lower(self, place: Place) -> Feature:
        x = place.input.dropout(fixed(self.dropout)).conv(fixed(self.classes), bias=True)
        return x.act(fixed(self.act)).adaptive_pool().flatten()
