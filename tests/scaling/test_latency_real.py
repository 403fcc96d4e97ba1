"""Measuring real modules: they are left as they were, bad input is said plainly, results are plain data."""

from __future__ import annotations

import gc
import json
from dataclasses import asdict, replace

import pytest
import torch
from torch import nn

import scaling.graphs as graphs
import scaling.room as room
from scaling.device import device_named, devices, fingerprint
from scaling.latency import Settings, measure, measure_in_groups, measure_together, sentinel
from scaling.lending import lent
from search_spaces import Classifier, Conv, Network, Stage, key
from search_spaces.errors import BadInput, Unbuildable
from search_spaces.zoo import model

QUICK = Settings(seconds=0.005)
SHAPE = (3, 8, 8)


def small(width: int = 8, *, size: int = 16) -> Network:
    return Network(
        input=(3, size, size),
        stages=(Stage(blocks=(Conv(),), width=width, stride=2),),
        head=Classifier(classes=4),
    )


class Restless(nn.Module):
    """Does in its forward what a network should not: counts, keeps, draws, and may fail."""

    fails_after: int | None = None

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.last = nn.Linear(4, 2)
        self.register_buffer("seen", torch.zeros(()))
        self.register_buffer("nothing", None)
        self.calls = 0
        self.kept: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.seen += 1
        self.last_input = x
        if len(self.kept) < 3:
            self.kept.append(x)
        self.first.register_forward_hook(lambda *_: None)
        if self.fails_after is not None and self.calls > self.fails_after:
            raise RuntimeError("enough")
        x = self.drop(self.norm(self.first(x))) + torch.rand(()).to(x)
        return self.last(x.mean((2, 3)))


def restless(*, fails_after: int | None = None) -> Restless:
    """Make one that has been in use: gradients, a frozen layer, a hook, parts in unlike modes and layouts."""
    torch.manual_seed(0)
    module = Restless()
    module(torch.randn(2, *SHAPE)).sum().backward()
    module.calls, module.fails_after = 0, fails_after
    module.first.weight.requires_grad_(False)
    module.first.weight.data = module.first.weight.data.contiguous(memory_format=torch.channels_last)
    module.norm.eval()
    module.norm.register_forward_hook(lambda *_: None)
    return module


def state(module: nn.Module) -> list[object]:
    """Return all that can be told of a module, down to the memory that its tensors lie in."""
    seen: list[object] = []
    for name, part in module.named_modules():
        seen += [name, part.training, sorted(vars(part))]
        seen += [
            (key, list(value) if isinstance(value, dict | list) else value)
            for key, value in sorted(vars(part).items())
            if not isinstance(value, torch.Tensor)
        ]
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        seen += [name, id(tensor), tensor.data_ptr(), tensor.dtype, tensor.device, tensor.stride()]
        seen += [
            tensor.requires_grad,
            id(tensor.grad),
            tensor.detach().clone().tolist(),
            tensor.is_inference(),
        ]
    return seen


def surroundings() -> list[object]:
    return [
        torch.get_num_threads(), gc.isenabled(), torch.is_grad_enabled(), torch.is_inference_mode_enabled(),
        torch.get_rng_state().tolist(), torch.get_default_dtype(),
    ]  # fmt: skip


CHANGES = [
    {},
    {"dtype": "bfloat16"},
    {"memory_format": "channels_last", "batch": 3},
    {"dtype": "float64", "threads": 1},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_measured_module_and_all_around_it_are_left_as_they_were(change):
    module = restless()
    before = state(module), surroundings()
    measure(module, settings=replace(QUICK, **change), shape=SHAPE)
    assert (state(module), surroundings()) == before
    module.train()
    module(torch.randn(2, *SHAPE)).sum().backward()  # nothing of inference mode stays behind


@pytest.mark.parametrize("fails_after", [0, 5])
def test_a_module_that_fails_while_it_is_measured_is_left_as_it_was(fails_after):
    module = restless(fails_after=fails_after)
    before = state(module), surroundings()
    with pytest.raises(BadInput, match=r"model: Restless cannot take .* enough"):
        measure(module, settings=replace(QUICK, dtype="bfloat16"), shape=SHAPE)
    assert (state(module), surroundings()) == before


def test_a_lent_module_is_in_evaluation_mode_in_the_type_and_layout_asked_for():
    module = restless()
    with lent(module, torch.device("cpu"), dtype=torch.bfloat16, memory_format="channels_last") as running:
        assert not any(part.training for part in running.modules())
        assert {p.dtype for p in running.parameters()} == {torch.bfloat16}
        assert running.norm.num_batches_tracked.dtype == torch.int64
        assert running.first.weight.is_contiguous(memory_format=torch.channels_last)


def test_tied_weights_stay_tied():
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    module[1].weight = module[0].weight
    module[1].bias.data = module[0].bias.data
    with lent(module, torch.device("cpu"), dtype=torch.float64, memory_format="contiguous") as running:
        assert running[0].weight.data_ptr() == running[1].weight.data_ptr()
    assert module[0].weight is module[1].weight
    assert module[0].bias.data_ptr() == module[1].bias.data_ptr()


def test_a_result_is_plain_data_with_its_settings_and_device():
    one = measure(small(), name="small", settings=QUICK)
    said = json.loads(json.dumps(asdict(one), allow_nan=False))
    assert said["model"] == "small"
    assert said["settings"] == asdict(QUICK)
    assert said["device"] == said["fingerprint"]["key"] == fingerprint(torch.device("cpu")).key
    low, high = said["interval_ms"]
    assert 0 < said["minimum_ms"] <= said["median_ms"]
    assert 0 < low <= said["median_ms"] <= high
    assert said["stable"] == (said["reason"] is None)
    assert said["warm_up"] > 0
    assert said["ratio"]["to"] == "sentinel"


def test_networks_and_modules_are_measured_in_one_session_in_the_order_given():
    session = measure_together(
        {"b": small(), "a": nn.Conv2d(3, 4, 1), "c": small(16)}, settings=QUICK, shape=SHAPE
    )
    assert [one.model for one in session.models] == ["b", "a", "c"]
    assert [ratio.to for ratio in session.ratios] == ["b"] * 3
    assert session.ratios[0].median == 1.0
    assert session.sentinel.model == "sentinel"


def test_many_networks_come_in_groups():
    seen = list(measure_in_groups(((str(i), small(8 * i)) for i in (1, 2, 3)), settings=QUICK, group=2))
    assert [one.model for one in seen] == ["1", "2", "3"]


def test_the_sentinel_never_changes():
    assert key(sentinel()) == "62e062f012139aff"  # latency tables hold ratios to it


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"batch": 0}, "batch: got 0"),
        ({"threads": 0}, "threads: got 0"),
        ({"threads": 100_000}, "threads: got 100000, expected 1 to"),
        ({"dtype": "float23"}, "did you mean 'float32'"),
        ({"memory_format": "channel_last"}, "did you mean 'channels_last'"),
        ({"compile": "max-autotun"}, "did you mean 'max-autotune'"),
        ({"seconds": float("nan")}, "seconds: got nan"),
        ({"device": "gpu"}, "expected cpu, cuda"),
        ({"device": "cuda:99"}, "expected one that is here: cpu"),
        ({"device": "cpu:7"}, "expected one that is here: cpu"),
    ],
)
def test_settings_this_machine_does_not_have_are_refused(change, says):
    with pytest.raises(BadInput, match=says):
        measure(small(), settings=replace(QUICK, **change))


def test_what_does_not_fit_into_memory_is_said_from_the_formula_before_anything_is_built(monkeypatch):
    monkeypatch.setattr(room, "available_bytes", lambda: 2**30)
    monkeypatch.setattr("scaling.latency.build", lambda _: pytest.fail("built"))
    with pytest.raises(BadInput, match=r"big: got .* GiB of feature maps .* a batch of \d+ would fit"):
        measure(model("resnet18"), name="big", settings=replace(QUICK, batch=10_000))
    with pytest.raises(BadInput, match=r"GiB of weights .* take a smaller network"):
        measure_together({"vgg": model("vgg16"), "resnet": model("resnet18")}, settings=QUICK)


def test_the_batch_that_is_said_to_fit_does(monkeypatch):
    free = 200 * 2**20
    monkeypatch.setattr(room, "available_bytes", lambda: free)
    given = {"a": small(size=64)}
    cpu = torch.device("cpu")
    with pytest.raises(BadInput, match="would fit") as refused:
        room.check_room(given, None, batch=100_000, dtype=torch.float32, device=cpu)
    fits = int(str(refused.value).rpartition("a batch of ")[2].split()[0])
    room.check_room(given, None, batch=fits, dtype=torch.float32, device=cpu)
    with pytest.raises(BadInput):
        room.check_room(given, None, batch=fits + 1, dtype=torch.float32, device=cpu)


def test_an_input_too_small_names_the_layer():
    with pytest.raises(Unbuildable, match=r"lenet5.*(stages|head)"):
        measure(replace(model("lenet5"), input=(1, 6, 6)), name="lenet5", settings=QUICK)
    own = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.MaxPool2d(4), nn.Conv2d(4, 4, 3)))
    with pytest.raises(BadInput, match=r"own: 1\.\d \(\w+\) cannot take an input of \(1, 3, 8, 8\)"):
        measure(own, name="own", settings=QUICK, shape=SHAPE)


def test_a_module_without_an_input_is_refused():
    with pytest.raises(BadInput, match="--input"):
        measure(nn.Conv2d(3, 4, 1), settings=QUICK)


def test_no_models_and_a_name_already_taken_are_refused():
    with pytest.raises(BadInput, match="models: got none"):
        measure_together({})
    with pytest.raises(BadInput, match="sentinel"):
        measure_together({"sentinel": small()})


def test_a_devices_key_is_short_stable_and_fit_for_a_file_name():
    assert fingerprint(torch.device("cpu")).key == fingerprint(torch.device("cpu")).key
    assert fingerprint(torch.device("cpu")).key.replace("-", "").isalnum()
    assert "cpu" in devices()
    assert device_named("cpu") == torch.device("cpu")


class Cuda:
    """As much of torch.cuda as capturing needs; the third run to be captured may refuse."""

    def __init__(self, *, refuses: bool) -> None:
        self.refuses, self.captures = refuses, 0
        self.log: list[str] = []

    def Stream(self) -> Cuda:  # noqa: N802
        return self

    current_stream = Stream

    def wait_stream(self, other: object) -> None:
        self.log.append("wait")

    def stream(self, other: object) -> Cuda:
        return self

    def graph(self, graph: object) -> Cuda:
        self.captures += 1
        if self.refuses and self.captures == 3:
            raise RuntimeError("operation not permitted when stream is capturing")
        return self

    def CUDAGraph(self) -> Cuda:  # noqa: N802
        return self

    def replay(self) -> None:
        self.log.append("replay")

    def synchronize(self) -> None:
        self.log.append("synchronize")

    def __enter__(self) -> Cuda:
        return self

    def __exit__(self, *_: object) -> None:
        self.log.append("left")


@pytest.mark.parametrize("refuses", [False, True])
def test_runs_are_captured_all_or_none(monkeypatch, refuses):
    cuda, ran = Cuda(refuses=refuses), []
    monkeypatch.setattr(graphs, "cuda", cuda)
    runs = [lambda i=i: ran.append(i) for i in range(3)]
    replays = graphs.captured(runs)
    if refuses:
        assert replays is None
        assert cuda.log[-1] == "synchronize"
    else:
        assert ran == [i for i in range(3) for _ in range(graphs.WARM_RUNS + 1)]
        assert len(replays) == 3


@pytest.mark.gpu
def test_a_gpu_measures_by_graphs():
    one = measure(small(size=64), settings=replace(QUICK, device="cuda", batch=8, seconds=1.0))
    assert one.timer == "cuda graph, events"
    assert one.fingerprint.kind == "cuda"
    assert one.median_ms > 0
