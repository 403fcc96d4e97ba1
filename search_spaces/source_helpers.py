"""What torch lacks, as text that is put into a file where it is used; the counterparts run in `torch_parts`."""

from __future__ import annotations

from collections.abc import Iterator

GROUP_NORM = '''
class GroupNorm(nn.GroupNorm):
    """Group norm that also takes groups of one value, which torch's own refuses; they become the bias."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)
'''

SAMPLE_DROPOUT = '''
class SampleDropout(nn.Module):
    """Drops whole samples in training and scales the others up (stochastic depth, Huang et al. 2016)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        kept = x.new_empty((x.shape[0],) + (1,) * (x.dim() - 1)).bernoulli_(1 - self.rate)
        return x * kept.div_(1 - self.rate)
'''

WINDOWS = '''
Axes = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]  # (before, after) along each axis


def around(x: Tensor, pads: Pads, value: float) -> Tensor:
    """Pad each spatial axis; a negative amount crops."""
    return F.pad(x, [amount for pair in reversed(pads) for amount in pair], value=value)


def overhang(x: Tensor, kernel: Axes, stride: Axes, padding: Pads, ceil_mode: bool) -> Pads:
    """Return how far the last windows reach past the padding; negative where they stop short of it."""
    reach = []
    for n, k, s, (before, after) in zip(x.shape[2:], kernel, stride, padding):
        room = n + before + after - k
        last = room // s
        if ceil_mode:
            last = -(-room // s)
            last -= last * s >= n + before  # no window starts in the padding after
        reach.append((0, last * s - room))
    return tuple(reach)
'''

MAX_WINDOWS = '''
def padded_max_pool(
    x: Tensor, *, kernel: Axes, stride: Axes, padding: Pads, ceil_mode: bool = False
) -> Tensor:
    """Max pooling with its own padding on each side."""
    pool = (torch.max_pool1d, torch.max_pool2d, torch.max_pool3d)[x.dim() - 3]
    rest = overhang(x, kernel, stride, padding, ceil_mode)
    return pool(around(around(x, padding, -torch.inf), rest, -torch.inf), kernel, stride)
'''

AVERAGE_WINDOWS = '''
def padded_avg_pool(
    x: Tensor,
    *,
    kernel: Axes,
    stride: Axes,
    padding: Pads,
    ceil_mode: bool = False,
    count_padding: bool = False,
) -> Tensor:
    """Average pooling with its own padding on each side, over the positions that count."""
    pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[x.dim() - 3]
    rest = overhang(x, kernel, stride, padding, ceil_mode)
    counted = around(x.new_ones((1, 1, *x.shape[2:])), padding, float(count_padding))
    total = pool(around(around(x, padding, 0.0), rest, 0.0), kernel, stride)
    return total / pool(around(counted, rest, 0.0), kernel, stride)
'''

STAGE = '''
class Stage(nn.Module):
    """Blocks one after the other."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x)
'''

CELLS = '''
class CellStage(nn.Module):
    """Cells one after the other, each of which reads the two maps before it."""

    def __init__(self, *cells: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(cells)

    def forward(self, newer: Tensor, older: Tensor) -> tuple[Tensor, Tensor]:
        for cell in self.blocks:
            newer, older = cell(newer, older), newer
        return newer, older
'''

NAMES = frozenset({  # that no class of a network may have
    "Axes", "CellStage", "F", "GroupNorm", "Pads", "SampleDropout", "Stage", "Tensor", "around", "build",
    "initialise", "nn", "overhang", "padded_avg_pool", "padded_max_pool", "torch",
})  # fmt: skip


def helpers(body: str) -> Iterator[list[str]]:
    """Yield the lines of each helper that some text uses."""
    uses_max, uses_average = "padded_max_pool(" in body, "padded_avg_pool(" in body
    for text, used in (
        (GROUP_NORM, "= GroupNorm(" in body),
        (SAMPLE_DROPOUT, "SampleDropout(" in body),
        (WINDOWS, uses_max or uses_average),
        (MAX_WINDOWS, uses_max),
        (AVERAGE_WINDOWS, uses_average),
        (STAGE, " Stage(" in body),
        (CELLS, " CellStage(" in body),
    ):
        if used:
            yield text.strip("\n").split("\n")


def initialise(body: str) -> list[str]:
    """Return the lines of the function that draws the weights of the layers that some text makes; none: no lines."""
    convolutions = [f"nn.Conv{n}d" for n in (1, 2, 3) if f"nn.Conv{n}d(" in body]
    either = [*convolutions, *(["nn.Linear"] if "nn.Linear(" in body else [])]
    if not either:
        return []
    lines = [
        "def initialise(layer: nn.Module) -> None:",
        '    """Draw weights: He et al. 2015 for convolutions (fan_out), LeCun et al. 1998 for dense layers."""',
    ]
    if convolutions:
        lines += [
            f"    if isinstance(layer, {_one_of(convolutions)}):",
            "        fan_out = layer.weight[0, 0].numel() * layer.out_channels // layer.groups",
            "        nn.init.normal_(layer.weight, std=(2 / fan_out) ** 0.5)",
        ]
    if "nn.Linear" in either:
        lines += [
            f"    {'elif' if convolutions else 'if'} isinstance(layer, nn.Linear):",
            "        bound = layer.in_features**-0.5",
            "        nn.init.uniform_(layer.weight, -bound, bound)",
        ]
    return [
        *lines,
        f"    if isinstance(layer, {_one_of(either)}) and layer.bias is not None:",
        "        nn.init.zeros_(layer.bias)",
    ]


def _one_of(classes: list[str]) -> str:
    return " | ".join(classes)
