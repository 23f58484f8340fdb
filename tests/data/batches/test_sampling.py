"""The examples of a shared model are divided among its tasks: cases by hand, and invariants."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usaggr.config.compose import compose_study
from usaggr.config.study import TrainingConfig
from usaggr.data.batches.streams import compute_stream_length, compute_stream_lengths, divide_in_proportion, make_stream

SHIPPED = compose_study("demo").training
COUNTS = {"a": 100, "b": 400, "c": 900}


def training(sampling: str, budget: str = "600 examples", floor: int = 1) -> TrainingConfig:
    changes = {"sampling": sampling, "budget": budget, "min_examples": floor}
    return TrainingConfig.model_validate({**SHIPPED.model_dump(), **changes})


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ("equal", {"a": 600, "b": 600, "c": 600}),
        ("uniform", {"a": 600, "b": 600, "c": 600}),
        ("sqrt", {"a": 300, "b": 600, "c": 900}),  # 10 : 20 : 30
        ("proportional", {"a": 129, "b": 514, "c": 1157}),  # 1 : 4 : 9 of 1800, by largest remainder
    ],
)
def test_a_budget_of_examples_is_dealt_out_by_hand(sampling: str, expected: dict[str, int]) -> None:
    assert compute_stream_lengths(training(sampling), COUNTS) == expected


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ("equal", {"a": 200, "b": 800, "c": 1800}),
        ("proportional", {"a": 200, "b": 800, "c": 1800}),
        ("sqrt", {"a": 467, "b": 933, "c": 1400}),  # of 2800
        ("uniform", {"a": 934, "b": 933, "c": 933}),
    ],
)
def test_a_budget_of_epochs_is_proportional_by_itself(sampling: str, expected: dict[str, int]) -> None:
    assert compute_stream_lengths(training(sampling, "2 epochs"), COUNTS) == expected


def test_the_floor_affects_only_the_total() -> None:
    lengths = compute_stream_lengths(training("proportional", "1 epochs", floor=500), {"tiny": 1, "large": 999})
    assert lengths == {"tiny": 1, "large": 1498}  # 500 + 999, of which a thousandth would be 1.5


@pytest.mark.parametrize("sampling", ["proportional", "sqrt", "uniform"])
def test_a_model_of_one_task_sees_the_same_examples_for_every_sampling(sampling: str) -> None:
    assert compute_stream_lengths(training(sampling), {"a": 77}) == {"a": compute_stream_length("600 examples", 1, 77)}


@given(
    st.sampled_from(["proportional", "sqrt", "uniform"]),
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 5000), min_size=1),
    st.sampled_from(["7 examples", "0.5 epochs"]),
)
def test_the_block_sees_as_many_examples_as_its_tasks_would_alone(
    sampling: str, counts: dict[str, int], budget: str
) -> None:
    lengths = compute_stream_lengths(TRAINING[sampling, budget], counts)
    alone = compute_stream_lengths(TRAINING["equal", budget], counts)
    assert sum(lengths.values()) == sum(alone.values())
    assert set(lengths) == set(counts)
    assert min(lengths.values()) >= 1
    ordered = sorted(counts, key=lambda task: counts[task])
    assert all(lengths[a] <= lengths[b] + 1 for a, b in itertools.pairwise(ordered))


TRAINING = {
    (sampling, budget): training(sampling, budget)
    for sampling in ("equal", "proportional", "sqrt", "uniform")
    for budget in ("7 examples", "0.5 epochs")
}


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0.01, 100), min_size=1),
    st.integers(8, 10_000),
)
def test_numbers_sum_to_the_total_and_are_within_one_of_their_quota_where_none_was_raised_to_one(
    shares: dict[str, float], total: int
) -> None:
    counts = divide_in_proportion(total, shares)
    assert sum(counts.values()) == total
    quota = {name: total * share / sum(shares.values()) for name, share in shares.items()}
    if min(quota.values()) >= 1:
        assert all(abs(counts[name] - quota[name]) < 1 for name in shares)


def test_of_equal_remainders_the_first_by_name_is_raised() -> None:
    assert divide_in_proportion(3, {"b": 1, "a": 1}) == {"a": 2, "b": 1}
    assert divide_in_proportion(10, dict.fromkeys("dcba", 1)) == {"a": 3, "b": 3, "c": 2, "d": 2}


def test_a_total_smaller_than_the_number_of_names_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot divide 2 into 3 integers"):
        divide_in_proportion(2, {"a": 1, "b": 1, "c": 1})


def test_a_longer_stream_begins_with_the_shorter_one() -> None:
    lengths = compute_stream_lengths(training("sqrt"), COUNTS)
    for task, length in lengths.items():
        samples = [f"{task}{i}" for i in range(COUNTS[task])]
        shorter, longer = sorted((length, 600))
        assert make_stream(task, samples, 3, longer)[:shorter] == make_stream(task, samples, 3, shorter)
