from collections import Counter, defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from usaggr.data.seeds import make_generator
from usaggr.data.split.ranking import Ranker, TrainingSample, count_cover
from usaggr.results.sample_counts import count_at_scale


def rank_samples(task_id: str, samples: list[TrainingSample], seed: int) -> tuple[str, ...]:
    return Ranker(task_id, samples).rank(seed)


def scale_count(scale: float | int, strata: list[int]) -> int:
    """Return how many samples a scale takes from a ranking with these classes in rank order."""
    return count_at_scale(scale, len(strata), count_cover(strata))


@st.composite
def tasks(draw: st.DrawFn) -> list[TrainingSample]:
    n = draw(st.integers(1, 80))
    components = draw(st.lists(st.integers(0, 30), min_size=n, max_size=n))
    strata = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    return [TrainingSample(f"s{i}", c, y) for i, (c, y) in enumerate(zip(components, strata, strict=True))]


@given(tasks(), st.integers(0, 3))
def test_a_ranking_holds_each_sample_once_and_keeps_components_together(
    samples: list[TrainingSample], seed: int
) -> None:
    order = rank_samples("task", samples, seed)
    assert sorted(order) == sorted(s.sample_id for s in samples)
    component = {s.sample_id: s.component for s in samples}
    visited = [component[i] for n, i in enumerate(order) if n == 0 or component[i] != component[order[n - 1]]]
    assert len(visited) == len(set(visited))


@given(tasks(), st.integers(0, 3), st.randoms(use_true_random=False))
def test_a_ranking_does_not_depend_on_the_order_of_its_samples(
    samples: list[TrainingSample], seed: int, random: object
) -> None:
    shuffled = list(samples)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert rank_samples("task", samples, seed) == rank_samples("task", shuffled, seed)


@given(tasks(), st.integers(0, 3), st.floats(0.01, 1), st.floats(0.01, 1))
def test_scales_nest_and_hold_every_class(
    samples: list[TrainingSample], seed: int, first_scale: float, second_scale: float
) -> None:
    order = rank_samples("task", samples, seed)
    stratum = {s.sample_id: s.stratum for s in samples}
    strata = [stratum[i] for i in order]
    small, large = sorted((first_scale, second_scale))
    assert scale_count(small, strata) <= scale_count(large, strata) <= len(order)
    assert {stratum[i] for i in order[: scale_count(small, strata)]} == set(strata)
    assert scale_count(1.0, strata) == len(order)


@given(st.lists(st.integers(0, 4), min_size=40, max_size=200), st.integers(0, 3))
def test_classes_are_interleaved_in_proportion(classes: list[int], seed: int) -> None:
    samples = [TrainingSample(f"s{i:03}", i, y) for i, y in enumerate(classes)]
    stratum = {s.sample_id: s.stratum for s in samples}
    order = [stratum[i] for i in rank_samples("task", samples, seed)]
    total = Counter(classes)
    for n in range(len(total), len(order) + 1):
        for y, count in Counter(order[:n]).items():
            # The cover of all classes comes first; after it, no class runs ahead by more than a sample.
            assert count <= max(1, n * total[y] / len(order) + len(total))


def test_the_number_of_samples_of_a_scale_is_exact() -> None:
    strata = [0, 1] * 50
    assert [scale_count(f, strata) for f in (0.1, 0.25, 0.255, 1.0)] == [10, 25, 26, 100]
    assert [scale_count(cap, strata) for cap in (2, 30, 500)] == [2, 30, 100]


def test_half_a_sample_is_rounded_up() -> None:
    """Rounding to the nearest even number would give one sample less here."""
    assert [scale_count(fraction, [0] * n) for fraction, n in ((0.5, 5), (0.25, 10), (0.245, 100))] == [3, 3, 25]


def test_a_scale_too_small_for_all_classes_is_enlarged_to_hold_them() -> None:
    assert scale_count(0.01, [0, 0, 1, 2] + [0] * 96) == 4


def test_only_the_last_component_of_a_scale_is_cut() -> None:
    samples = [TrainingSample(f"s{i:03}", i // 5, (i // 5) % 2) for i in range(100)]
    component = {s.sample_id: s.component for s in samples}
    order = rank_samples("task", samples, 3)
    sizes: dict[int, int] = defaultdict(int)
    for i in order[: scale_count(0.33, [0] * 100)]:
        sizes[component[i]] += 1
    assert sorted(sizes.values())[:2] != [1, 1]
    assert sum(n < 5 for n in sizes.values()) <= 1


def test_each_seed_draws_its_own_ranking() -> None:
    samples = [TrainingSample(f"s{i:03}", i, 0) for i in range(50)]
    assert rank_samples("task", samples, 0) == rank_samples("task", samples, 0)
    assert rank_samples("task", samples, 0) != rank_samples("task", samples, 1)


def rank_by_definition(task_id: str, samples: list[TrainingSample], seed: int) -> list[str]:
    """Rank sample by sample, as the ranking is defined: every choice is among all components that remain."""
    rng = make_generator("ranking", task_id, seed)
    total = Counter(s.stratum for s in samples)
    ordered = sorted(samples, key=lambda s: s.sample_id)
    components = [[s for s in ordered if s.component == c] for c in dict.fromkeys(s.component for s in ordered)]
    remaining = [components[i] for i in rng.permutation(len(components))]
    order: list[list[TrainingSample]] = []
    for stratum in sorted(total, key=lambda s: (total[s], s)):
        if not any(s.stratum == stratum for c in order for s in c):
            order.append(min((c for c in remaining if any(s.stratum == stratum for s in c)), key=len))
            remaining.remove(order[-1])

    def main(component: list[TrainingSample]) -> int:
        counts = Counter(s.stratum for s in component)
        return min(counts, key=lambda s: (-counts[s], total[s], s))

    while remaining:
        drawn = Counter(s.stratum for c in order for s in c)
        behind = min({main(c) for c in remaining}, key=lambda s: (drawn[s] / total[s], s))
        order.append(next(c for c in remaining if main(c) == behind))
        remaining.remove(order[-1])
    return [c[i].sample_id for c in order for i in rng.permutation(len(c))]


@given(tasks(), st.integers(0, 3))
def test_a_ranking_equals_its_definition(samples: list[TrainingSample], seed: int) -> None:
    assert list(rank_samples("task", samples, seed)) == rank_by_definition("task", samples, seed)


@given(tasks())
def test_a_ranking_does_not_depend_on_earlier_rankings(samples: list[TrainingSample]) -> None:
    ranker = Ranker("task", samples)
    drawn = [ranker.rank(seed) for seed in (0, 1, 0)]
    assert drawn == [rank_samples("task", samples, seed) for seed in (0, 1, 0)]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.floats(0.01, 1) | st.integers(2, 80))
def test_a_scale_takes_its_number_of_samples_or_enough_for_every_class(strata: list[int], scale: float | int) -> None:
    requested = min(scale, len(strata)) if isinstance(scale, int) else int(np.floor(scale * len(strata) + 0.5))
    fewest = next(n for n in range(1, len(strata) + 1) if set(strata[:n]) == set(strata))
    assert scale_count(scale, strata) == max(requested, fewest)
