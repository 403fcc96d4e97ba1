"""What all tests share: hypothesis profiles, and torchvision as a witness."""

import os
from collections.abc import Iterator
from types import ModuleType

import pytest
from hypothesis import settings

for _name in (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
):  # tests run side by side, and start processes of their own
    os.environ.setdefault(_name, "1")

settings.register_profile("here", deadline=None, max_examples=25)
settings.register_profile("ci", deadline=None, max_examples=25, derandomize=True, print_blob=True)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "here"))


@pytest.fixture(scope="session")
def torchvision() -> Iterator[ModuleType]:
    """Return torchvision, importable beside a CPU build of torch, or skip where it is not installed.

    Its wheels expect compiled operators of a GPU build; declaring their signatures is enough to import it.
    """
    import torch

    library = torch.library.Library("torchvision", "DEF")
    if not hasattr(torch.ops.torchvision, "nms"):
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    yield pytest.importorskip("torchvision")
    del library  # the operators live as long as this handle
