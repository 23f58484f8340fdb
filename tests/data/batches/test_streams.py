from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usaggr.data.batches.streams import Draw, compute_stream_length, cut_batches, make_stream, merge_streams


def streams_of(tasks: dict[str, int], seed: int, length: int = 40) -> dict[str, list[Draw]]:
    return {t: make_stream(t, [f"{t}/{i}" for i in range(n)], seed, length) for t, n in tasks.items()}


@given(st.dictionaries(st.sampled_from("abcdef"), st.tuples(st.integers(1, 30), st.integers(1, 90)), min_size=1))
def test_a_task_sees_the_same_sequence_in_every_grouping(tasks: dict[str, tuple[int, int]]) -> None:
    streams = {t: make_stream(t, [f"{t}/{i}" for i in range(n)], 0, length) for t, (n, length) in tasks.items()}
    merged = merge_streams(streams)
    for task_id, alone in streams.items():
        assert [d for d in merged if d.task_id == task_id] == alone == merge_streams({task_id: alone})


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 200), min_size=1))
def test_merged_streams_advance_in_proportion_and_end_together(lengths: dict[str, int]) -> None:
    streams = {t: make_stream(t, [f"{t}/{i}" for i in range(7)], 0, n) for t, n in lengths.items()}
    merged = merge_streams(streams)
    total = sum(lengths.values())
    seen: Counter[str] = Counter()
    for n, draw in enumerate(merged, start=1):
        seen[draw.task_id] += 1
        for task_id, length in lengths.items():
            # Each stream is at most half a draw ahead or behind, so all draws are at most half a draw per stream off.
            assert abs(seen[task_id] - length * n / total) <= 0.5 + 0.5 * len(lengths) * length / total + 1e-9
    assert seen == lengths


def test_draws_due_at_the_same_time_are_ordered_by_task() -> None:
    merged = merge_streams(streams_of({"b": 3, "a": 3, "c": 3}, 0, 4))
    assert [draw.task_id for draw in merged] == ["a", "b", "c"] * 4


def test_a_stream_is_made_of_whole_epochs_and_a_longer_one_continues_a_shorter() -> None:
    names = [f"s{i}" for i in range(10)]
    long = make_stream("task", names, 0, 35)
    for epoch in range(3):
        assert sorted(d.sample_id for d in long[10 * epoch : 10 * epoch + 10]) == names
    assert make_stream("task", names, 0, 12) == long[:12]
    assert [d.sample_id for d in long[:10]] != [d.sample_id for d in long[10:20]]


def test_each_task_and_each_seed_draws_its_own_order() -> None:
    names = [f"s{i}" for i in range(30)]
    orders = {tuple(d.sample_id for d in make_stream(t, names, seed, 30)) for t in ("a", "b") for seed in (0, 1)}
    assert len(orders) == 4


def test_augmentations_differ_between_epochs_seeds_and_tasks() -> None:
    draws = [d for t in ("a", "b") for seed in (0, 1) for d in make_stream(t, ["x", "y"], seed, 20)]
    assert len({d.augmentation for d in draws}) == len(draws)


def test_every_draw_is_in_one_batch_and_batches_have_one_size() -> None:
    draws = merge_streams(streams_of({"a": 5, "b": 9}, 0, 41))
    batches = cut_batches(draws, 8)
    assert [d for batch in batches for d in batch] == draws
    assert {len(batch) for batch in batches[:-1]} == {8}


@pytest.mark.parametrize(
    ("budget", "n_train", "expected"),
    [
        ("20 epochs", 50, 1000),
        ("0.5 epochs", 50, 60),
        ("0.5 epochs", 151, 76),
        ("500 examples", 50, 500),
        ("500examples", 9, 500),
        ("7 examples", 50, 60),
    ],
)
def test_a_budget_is_epochs_or_examples_with_a_floor(budget: str, n_train: int, expected: int) -> None:
    assert compute_stream_length(budget, 60, n_train) == expected


def test_a_task_without_training_samples_has_no_stream() -> None:
    with pytest.raises(ValueError, match="no training samples"):
        make_stream("task", [], 0, 10)
