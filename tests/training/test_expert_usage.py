"""Shares of experts over several batches, computed by hand."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from usaggr.models.experts import choose_experts
from usaggr.models.per_task import BlockRouting
from usaggr.training.expert_usage import COLUMNS, ExpertUsage


def routed(*samples: list[list[float]], top_k: int = 1) -> BlockRouting:
    probabilities = torch.tensor(samples)
    return BlockRouting(probabilities, *choose_experts(probabilities, top_k))


def test_shares_are_means_over_a_tasks_tokens_in_all_batches() -> None:
    usage = ExpertUsage()
    usage.add(
        {3: routed([[0.8, 0.2], [0.4, 0.6]], [[0.1, 0.9], [0.2, 0.8]])},
        {"a": torch.tensor([0]), "b": torch.tensor([1])},
    )
    usage.add({3: routed([[0.7, 0.3], [0.6, 0.4]])}, {"a": torch.tensor([0]), "b": torch.tensor([], dtype=torch.int64)})
    table = usage.make_table().set_index(["task", "block", "expert"])
    assert table["share"].to_dict() == {("a", 4, 1): 0.75, ("a", 4, 2): 0.25, ("b", 4, 1): 0.0, ("b", 4, 2): 1.0}
    assert table.loc[("a", 4, 1), "probability"] == pytest.approx((0.8 + 0.4 + 0.7 + 0.6) / 4)
    assert table["tokens"].tolist() == [4, 4, 2, 2]


def test_shares_sum_to_one_and_choices_to_k() -> None:
    probabilities = torch.randn(5, 7, 6, generator=torch.Generator().manual_seed(0)).softmax(dim=-1)
    usage = ExpertUsage()
    usage.add(
        {
            0: BlockRouting(probabilities, *choose_experts(probabilities, 3)),
            1: BlockRouting(probabilities, *choose_experts(probabilities, 6)),
        },
        {"a": torch.arange(5)},
    )
    sums = usage.make_table().groupby("block")[["share", "chosen", "probability"]].sum()
    assert sums["share"].tolist() == pytest.approx([1, 1])
    assert sums["chosen"].tolist() == pytest.approx([3, 6])
    assert sums["probability"].tolist() == pytest.approx([1, 1])


def test_entropy_is_one_for_an_even_router_and_zero_for_a_sure_one() -> None:
    for values, expected in (([0.25] * 4, 1.0), ([1.0, 0, 0, 0], 0.0)):
        usage = ExpertUsage()
        usage.add({0: routed([values], top_k=4)}, {"a": torch.tensor([0])})
        assert usage.summarize()["expert_entropy"] == pytest.approx(expected)


def test_an_expert_is_dead_that_no_task_uses() -> None:
    usage = ExpertUsage()
    usage.add(
        {0: routed([[0.9, 0.1, 0.0]], [[0.2, 0.8, 0.0]]), 1: routed([[0.4, 0.3, 0.3]], [[0.4, 0.3, 0.3]], top_k=3)},
        {"a": torch.tensor([0]), "b": torch.tensor([1])},
    )
    assert usage.summarize()["dead_experts"] == 1


def test_without_routing_there_is_nothing_to_write(tmp_path: Path) -> None:
    usage = ExpertUsage()
    usage.add({}, {"a": torch.tensor([0])})
    usage.write(tmp_path / "routing.csv")
    assert usage.summarize() == {}
    assert list(tmp_path.iterdir()) == []


def test_the_file_has_the_columns_of_the_contract(tmp_path: Path) -> None:
    usage = ExpertUsage()
    usage.add({2: routed([[0.5, 0.5]], top_k=2)}, {"a": torch.tensor([0])})
    usage.write(tmp_path / "routing.csv")
    table = pd.read_csv(tmp_path / "routing.csv")
    assert tuple(table.columns) == COLUMNS
    assert table[["block", "expert"]].to_numpy().tolist() == [[3, 1], [3, 2]]
