"""A trained network, read from the folder that its final training left, and what it says of raw examples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from search_spaces.block import fixed
from search_spaces.errors import BadInput, StorageError
from search_spaces.modules import build
from search_spaces.network import Network, lower
from search_spaces.serialise import key
from search_spaces.serialise import load as load_spec
from search_spaces.text import read_text

from .config import Execution
from .data.dataset import Array, examples
from .data.device import check_alike, taken
from .data.inputs import Inputs, from_json
from .evaluation.precision import Precision, precision
from .evaluation.scoring import LARGER
from .kept import INPUT, SPEC, WEIGHTS
from .recipe import Recipe
from .workbench import device_named

BATCH = LARGER * fixed(Recipe().batch)  # as an evaluation takes them by the usual recipe


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Model:
    """A trained network and what it takes; `load` reads one."""

    network: Network
    inputs: Inputs
    module: nn.Module  # on its device
    rule: Precision  # how that computes

    @torch.inference_mode()
    def predict(self, x: Array, *, batch: int = BATCH) -> NDArray[np.float32]:
        """Return the probability of each class, (N, classes), or the values of a regression, (N, targets).

        `x` is (N, C, *spatial) of the shape, type and scale that examples of the dataset have: uint8, or numbers that
        become float32. They are normalised and resized as in the training, `batch` at a time; on the CPU outputs are,
        for equal batches and threads, those that the test part was scored by, bit for bit. Values of a regression are
        in the units of its targets. Raises `BadInput` for other shapes and types.
        """
        if batch < 1:
            raise BadInput(f"batch: got {batch}, expected at least 1")
        raw = _as_the_data_had_them(x, self.inputs)
        size = tuple(fixed(n) for n in self.network.input[1:])
        self.module.eval()
        found = []
        for start in range(0, len(raw), batch):
            part = taken(raw[start : start + batch], self.inputs, size=size, device=self.rule.device)
            output = self.rule.outputs(self.module, part)
            found.append(output.softmax(1) if self.inputs.task == "classification" else output)
        answers: NDArray[np.float32] = torch.cat(found).cpu().numpy()
        return answers


def load(folder: Path | str, *, device: str = "cpu") -> Model:
    """Read what a final training left, such as `results/RUN/best`; `device` is cpu, cuda, cuda:1 or auto.

    A network with blocks of your own needs their module imported before. Raises `BadInput` where a file is missing or
    is of another network, `StorageError` where the weights are damaged.
    """
    folder, place = Path(folder), device_named(Execution(device=device).device, where="device")
    _check_whole(folder)
    network = load_spec(folder / SPEC)
    weights = _weights(folder / WEIGHTS, of=key(network))
    inputs = from_json(read_text(folder / INPUT), source=str(folder / INPUT))
    _check_fit(folder, network, inputs)
    module, rule = build(network), precision(place)
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:  # names or shapes
        said = " ".join(str(error).split())[:200]
        raise BadInput(
            f"{folder / WEIGHTS}: got weights that do not fit {SPEC} ({said}); put the file back"
        ) from error
    return Model(network=network, inputs=inputs, module=rule.place(module).eval(), rule=rule)


def _check_whole(folder: Path) -> None:
    missing = [name for name in (WEIGHTS, SPEC, INPUT) if not (folder / name).is_file()]
    if missing == [INPUT]:
        raise BadInput(
            f"{folder}: got no {INPUT}, expected it beside {WEIGHTS}: an earlier version kept these, without how "
            "inputs are normalised, and predictions would be wrong; docs/data.md has the lines that write it from the "
            "run's data"
        )
    if missing:
        raise BadInput(
            f"{folder}: got no {missing[0]}, expected the folder of a final training, such as results/RUN/best; a run "
            "has one once it has ended"
        )


def _weights(path: Path, *, of: str) -> dict[str, Tensor]:
    """Return the weights by name, on the CPU; `BadInput` where the file says that they are of another network."""
    try:
        with safe_open(path, framework="pt") as file:
            found = (file.metadata() or {}).get("key")
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (SafetensorError, OSError) as error:
        raise StorageError(
            f"{path}: cannot be read ({error}), expected weights as a final training keeps them; put the file back"
        ) from error
    if found != of:
        raise BadInput(
            f"{path}: got weights of the network {found or 'of no key'}, expected those of {of}, which {SPEC} beside "
            "it says; put together what was kept together"
        )
    return weights


def _check_fit(folder: Path, network: Network, inputs: Inputs) -> None:
    """Refuse inputs and outputs that the network does not have."""
    check_alike(tuple(fixed(n) for n in network.input), inputs.shape)
    graph = lower(network)
    outputs = graph.shape(graph.output)
    if outputs != (inputs.outputs,):
        raise BadInput(
            f"{folder / INPUT}: got {inputs.outputs} outputs, expected {outputs[0]} as {SPEC} beside it has; put "
            "together what was kept together"
        )


def _as_the_data_had_them(x: Array, inputs: Inputs) -> Array:
    """Return raw examples as uint8 or float32; `BadInput` where the dataset's were others."""
    raw = examples(x, "x")
    if raw.shape[1:] != inputs.shape:
        raise BadInput(
            f"x: got examples of shape {raw.shape[1:]}, expected {inputs.shape}, (channels, *spatial), as those had "
            "that the network was trained on; bring them to it as the dataset was"
        )
    if raw.dtype != inputs.dtype:
        raise BadInput(
            f"x: got {np.asarray(x).dtype}, expected {inputs.dtype} as the network was trained on; give examples as "
            "they are, on the scale of the dataset: the model normalises them itself"
        )
    return raw
