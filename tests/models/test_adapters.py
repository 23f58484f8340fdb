"""Adapters against the formulas of their papers."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from usaggr.models.adapters import FilmMlp, LoraLinear
from usaggr.models.per_task import TaskContext, assign_tasks

TOKENS = torch.randn(3, 5, 6, generator=torch.Generator().manual_seed(0))
BATCH_INDICES = {"a": torch.tensor([0, 2]), "b": torch.tensor([1])}


@pytest.fixture
def context() -> Iterator[TaskContext]:
    active = TaskContext()
    with active.activate(*assign_tasks(BATCH_INDICES, 3)):
        yield active


def test_film_scales_and_shifts_each_channel_by_task(context: TaskContext) -> None:
    mlp = FilmMlp(nn.Linear(6, 6), 6, ["a", "b"], context)
    scale, shift = (torch.randn(2, 6) for _ in range(2))
    with torch.no_grad():
        for i, task in enumerate("ab"):
            mlp.scale.of[f"task_{task}"].copy_(scale[i])
            mlp.shift.of[f"task_{task}"].copy_(shift[i])
    plain = mlp.mlp(TOKENS)
    for sample, i in ((0, 0), (1, 1), (2, 0)):
        assert torch.allclose(mlp(TOKENS)[sample], (1 + scale[i]) * plain[sample] + shift[i], atol=1e-6)


def test_lora_adds_a_low_rank_product_by_task_that_starts_at_zero(context: TaskContext) -> None:
    linear = nn.Linear(6, 4)
    lora = LoraLinear(linear, 2, ["a", "b"], context, lambda task_id: torch.Generator().manual_seed(ord(task_id)))
    assert torch.equal(lora(TOKENS), linear(TOKENS))
    down, up = lora.down.of["task_b"], lora.up.of["task_b"]
    assert 0.2 < down.abs().max() <= 6**-0.5
    assert not torch.equal(down, lora.down.of["task_a"])
    with torch.no_grad():
        up.copy_(torch.randn(2, 4))
    assert torch.allclose(lora(TOKENS)[1], linear(TOKENS)[1] + TOKENS[1] @ (down @ up), atol=1e-6)
    assert torch.equal(lora(TOKENS)[0], linear(TOKENS)[0])
