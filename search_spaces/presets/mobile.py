"""Inverted residuals with searched kernel, expansion, squeeze-excite, width, depth and resolution."""

from __future__ import annotations

from ..blocks import Conv, MBConv
from ..choice import Choice, Repeat, Searchable
from ..heads import Classifier
from ..layers import Shape
from ..network import Network, Stage

STAGES = (
    # widths         depths     stride   around MobileNetV2's 24, 32, 64, 96, 160
    ((24, 32), (1, 2, 3), 2),
    ((32, 40, 48), (2, 3, 4), 2),
    ((64, 80, 96), (2, 3, 4), 2),
    ((96, 112, 128), (2, 3, 4), 1),
    ((160, 192, 224), (2, 3, 4), 2),
)
HALVINGS = 5  # of the stem and the stages above, for images of 128 or more
SMALLEST_MAP = 4
SMALLEST_SEARCHED_RESOLUTION = 96


def mobile(shape: Shape, classes: int) -> Network:
    """Return the space of MBConv networks in the manner of MnasNet and Once-for-all, for one input shape.

    Each of five stages chooses kernel (3, 5, 7), expansion (3, 4, 6), squeeze-excite (0, 0.25), width and
    depth, the same for all its layers as in MnasNet (Tan et al. 2019); the input resolution is a choice too,
    as in Once-for-all (Cai et al. 2020), for square images of 96 and more. Smaller inputs lose the earliest
    strides, so that the last map keeps 4 positions an axis.

    Size: 595,077,871,104 members (about 2^39) for (3, 224, 224), a quarter of it for (3, 32, 32), where the
    resolution is fixed.
    """
    halvings = min(HALVINGS, max(1, min(shape[1:]) // SMALLEST_MAP).bit_length() - 1)
    spared = HALVINGS - halvings  # how many of the strides, from the stem on, are left out
    strides = [2, *(stride for *_, stride in STAGES)]
    for place in [i for i, stride in enumerate(strides) if stride == 2][:spared]:
        strides[place] = 1
    stem = (Conv(act="relu6"), MBConv(expand=1.0, se=0.0, act="relu6"))
    return Network(
        input=(shape[0], *_resolutions(shape[1:])),
        stem=Stage(blocks=stem, width=16, stride=strides[0]),
        stages=tuple(
            Stage(blocks=Repeat(_block(), Choice(*depths)), width=Choice(*widths), stride=stride)
            for (widths, depths, _), stride in zip(STAGES, strides[1:], strict=True)
        ),
        head=Classifier(classes=classes, width=Choice(960, 1280), dropout=0.2, act="relu6"),
    )


def _block() -> MBConv:
    return MBConv(kernel=Choice(3, 5, 7), expand=Choice(3.0, 4.0, 6.0), se=Choice(0.0, 0.25), act="relu6")


def _resolutions(spatial: tuple[int, ...]) -> tuple[Searchable[int], ...]:
    """Return the given size, or for larger square images four sizes up to it, tied over the axes."""
    size = spatial[0]
    if spatial != (size, size) or size < SMALLEST_SEARCHED_RESOLUTION:
        return spatial
    step = 32 if size >= 192 else 16
    return (Choice(size - 3 * step, size - 2 * step, size - step, size, name="resolution"),) * 2
