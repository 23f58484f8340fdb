"""The check of networks leaves out the values of initial weights, and nothing that decides a shape or a type."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from usaggr.models.checking import _WithoutValues

FUNCTIONS: dict[str, Callable[[], Tensor]] = {
    "drawn with a generator": lambda: torch.randn(2, 3, generator=torch.Generator().manual_seed(0)),
    "drawn in place": lambda: torch.empty(4).normal_(std=0.1),
    "scaled": lambda: 1e-6 * torch.ones(5),
    "scaled half": lambda: torch.ones(5, dtype=torch.float16) * 2.5,
    "clamped in place": lambda: torch.zeros(5).clamp_(min=-1, max=1),
    "another type": lambda: torch.arange(3) * 0.5,
    "broadcast": lambda: torch.ones(1, 3) * torch.ones(4, 1),
    "broadcast from the right": lambda: torch.ones(3).mul(torch.ones(2, 3)),
}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_tensors_without_values_have_the_same_shape_and_type(function: str) -> None:
    expected = FUNCTIONS[function]()
    with torch.device("meta"), _WithoutValues():
        tensor = FUNCTIONS[function]()
    assert tensor.is_meta
    assert (tensor.shape, tensor.dtype) == (expected.shape, expected.dtype)


def test_tensors_with_values_keep_them() -> None:
    with torch.device("meta"), _WithoutValues():
        assert torch.equal(torch.ones(3, device="cpu") * 2, torch.tensor([2.0, 2.0, 2.0], device="cpu"))
