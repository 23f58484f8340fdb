"""Errors of a run that a worker recognizes as exhausted memory."""

import pytest
import torch

from usaggr.sweep.executors.local.worker import is_out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: you tried to"),
        MemoryError(),
    ],
)
def test_errors_of_exhausted_memory_are_recognized(error: BaseException) -> None:
    assert is_out_of_memory(error)
    with pytest.raises(ValueError, match="batch 3") as caught:
        raise ValueError("batch 3") from error
    assert is_out_of_memory(caught.value)


def test_torch_s_message_for_an_allocation_that_is_too_large_is_recognized() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize("error", [ValueError("out of memory"), RuntimeError("shapes do not fit"), KeyError("memory")])
def test_other_errors_are_not_recognized_as_exhausted_memory(error: BaseException) -> None:
    assert not is_out_of_memory(error)
