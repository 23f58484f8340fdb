"""The scores alone determine which samples are drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usaggr.analysis.collect import CollectedRun
from usaggr.report.tasks.example_captions import write_caption, write_description, write_title
from usaggr.report.tasks.example_choice import Predictor, TaskComparison, choose_samples
from usaggr.report.tasks.sample_scores import SampleScoreReader
from usaggr.results.plan import PlanRow
from usaggr.tasks import CATALOGUE

SEEDS = (0, 1, 2)


class FixedScores(SampleScoreReader):
    """Scores by grouping and seed, without files."""

    def __init__(self, scores: Mapping[str, Mapping[int, Mapping[str, float]]]) -> None:
        self._fixed = scores

    def average(self, runs: Mapping[int, CollectedRun], seeds: Sequence[int], task: str) -> "pd.Series[float]":
        grouping = runs[seeds[0]].row.groupings[0]
        return pd.DataFrame({seed: self._fixed[grouping][seed] for seed in seeds}).mean(axis=1).sort_index()


def predictor(*groupings: str, seeds: Sequence[int] = SEEDS) -> Predictor:
    row = PlanRow("run", "block", groupings, ("task",), 1.0, 0, "base", "f")
    return Predictor(groupings, {seed: CollectedRun(replace(row, seed=seed), "done", Path()) for seed in seeds})


def compare(
    task: str = "breast_lesion", has_other: bool = True, drawable_seeds: Sequence[int] = SEEDS
) -> TaskComparison:
    base, other = predictor("task_specific"), predictor("unified") if has_other else None
    predictors = (base,) if other is None else (base, other)
    return TaskComparison(CATALOGUE[task], 1.0, base, other, SEEDS, tuple(drawable_seeds), predictors)


def same_for_all(scores: Mapping[str, float]) -> dict[int, Mapping[str, float]]:
    return dict.fromkeys(SEEDS, scores)


def test_the_largest_gain_and_the_largest_loss_are_chosen() -> None:
    scores = FixedScores(
        {
            "task_specific": same_for_all({"a": 0.5, "b": 0.9, "c": 0.4, "d": 0.6}),
            "unified": same_for_all({"a": 0.6, "b": 0.5, "c": 0.8, "d": 0.6}),
        }
    )
    gain, loss = choose_samples(compare(), scores)
    assert (gain.kind, gain.sample_id, loss.kind, loss.sample_id) == ("gain", "c", "loss", "b")
    assert (gain.base_score, gain.other_score, loss.base_score, loss.other_score) == pytest.approx((0.4, 0.8, 0.9, 0.5))
    assert gain.difference == pytest.approx(0.4)
    assert loss.difference == pytest.approx(-0.4)
    assert (gain.n_better, gain.n_worse, gain.n_samples) == (2, 1, 4)
    assert gain.median == pytest.approx(0.05)
    assert (gain.rank, loss.rank) == (1, 4)


def test_a_smaller_distance_of_landmarks_is_a_gain() -> None:
    scores = FixedScores(
        {
            "task_specific": same_for_all({"a": 10.0, "b": 10.0, "c": 30.0}),
            "unified": same_for_all({"a": 4.0, "b": 15.0, "c": 30.0}),
        }
    )
    gain, loss = choose_samples(compare("fetal_femur"), scores)
    assert (gain.sample_id, gain.difference) == ("a", 6.0)
    assert (loss.sample_id, loss.difference) == ("b", -5.0)
    assert loss.rank == 2, "the reference does worse only on c"


def test_a_single_predictor_has_its_best_and_its_worst_sample_chosen() -> None:
    scores = FixedScores({"task_specific": same_for_all({"a": 10.0, "b": 2.0, "c": 30.0})})
    best, worst = choose_samples(compare("fetal_femur", has_other=False), scores)
    assert (best.kind, best.sample_id, best.rank) == ("best", "b", 3)
    assert (worst.kind, worst.sample_id, worst.rank) == ("worst", "c", 1)
    assert best.median == worst.median == 10.0


def test_equal_samples_make_one_picture() -> None:
    scores = FixedScores({name: same_for_all({"a": 0.5, "b": 0.7}) for name in ("task_specific", "unified")})
    (choice,) = choose_samples(compare(), scores)
    assert (choice.sample_id, choice.difference) == ("a", 0.0)
    assert "No difference" in write_title(compare(), choice)


def test_rounding_errors_do_not_count_as_differences() -> None:
    scores = FixedScores(
        {"task_specific": same_for_all({"a": 0.3, "b": 0.7}), "unified": same_for_all({"a": 0.1 + 0.2, "b": 0.7})}
    )
    (choice,) = choose_samples(compare(), scores)
    assert (choice.difference, choice.n_better, choice.n_worse) == (0.0, 0, 0)


def test_the_drawn_seed_has_the_sign_of_the_mean() -> None:
    """Seed 0 is closest to the mean of -0.1, but it is a gain."""
    base = {seed: {"a": 0.5, "b": 0.5} for seed in SEEDS}
    other = {0: {"a": 0.51, "b": 0.6}, 1: {"a": 0.15, "b": 0.6}, 2: {"a": 0.54, "b": 0.6}}
    scores = FixedScores({"task_specific": base, "unified": other})
    _, loss = choose_samples(compare(), scores)
    assert (loss.sample_id, loss.seed) == ("a", 1)


def test_among_equal_seeds_the_lowest_drawable_seed_is_drawn() -> None:
    scores = FixedScores({"task_specific": same_for_all({"a": 0.5}), "unified": same_for_all({"a": 0.6})})
    assert choose_samples(compare(), scores)[0].seed == 0
    assert choose_samples(compare(drawable_seeds=(1, 2)), scores)[0].seed == 1


def test_no_sample_makes_no_picture() -> None:
    scores = FixedScores({name: same_for_all({}) for name in ("task_specific", "unified")})
    assert choose_samples(compare(), scores) == ()


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20),
    st.sampled_from(["breast_lesion", "fetal_femur"]),
    st.randoms(),
)
def test_the_choice_depends_only_on_scores(values: list[tuple[float, float]], task: str, random: Any) -> None:
    names = [f"s{i:02}" for i in range(len(values))]
    sign = 1 if task == "breast_lesion" else -1
    differences = [sign * (new - old) for old, new in values]

    def choose_in(order: Sequence[int]) -> tuple[Any, ...]:
        scores = FixedScores(
            {
                "task_specific": same_for_all({names[i]: values[i][0] for i in order}),
                "unified": same_for_all({names[i]: values[i][1] for i in order}),
            }
        )
        return choose_samples(compare(task), scores)

    order = list(range(len(values)))
    choices = choose_in(order)
    random.shuffle(order)
    assert choose_in(order) == choices
    assert choices[0].difference == pytest.approx(max(differences), abs=1e-8)
    assert choices[-1].difference == pytest.approx(min(differences), abs=1e-8)
    assert choices[0].n_better + choices[0].n_worse <= len(values)
    assert np.median(differences) == pytest.approx(choices[0].median, abs=1e-8)


def test_titles_do_not_call_a_loss_a_gain() -> None:
    worse = FixedScores(
        {"task_specific": same_for_all({"a": 0.5, "b": 0.5}), "unified": same_for_all({"a": 0.4, "b": 0.1})}
    )
    titles = [write_title(compare(), choice) for choice in choose_samples(compare(), worse)]
    assert titles == ["Smallest loss of AU compared with TS", "Largest loss of AU compared with TS"]
    better = FixedScores(
        {"task_specific": same_for_all({"a": 0.5, "b": 0.5}), "unified": same_for_all({"a": 0.6, "b": 0.9})}
    )
    titles = [write_title(compare(), choice) for choice in choose_samples(compare(), better)]
    assert titles == ["Largest gain of AU compared with TS", "Smallest gain of AU compared with TS"]


def test_a_caption_states_the_reason_for_the_choice_and_the_rank_of_the_sample() -> None:
    scores = FixedScores(
        {
            "task_specific": same_for_all({"a": 10.0, "b": 10.0, "c": 30.0}),
            "unified": same_for_all({"a": 4.0, "b": 15.0, "c": 29.0}),
        }
    )
    pair = compare("fetal_femur")
    gain, _ = choose_samples(pair, scores)
    assert write_caption(pair, gain) == (
        "a: MRE 10.0 px with TS and 4.0 px with AU (mean over seeds 0, 1, 2). The difference of +6.0 px (positive is "
        "better) is the highest of 3 test samples (median +1.0 px). AU is better on 2 and worse on 1 of them. TS ranks "
        "this sample 2nd worst of 3. The picture shows seed 0, which is closest to the average among the seeds of the "
        "same sign, with all training samples."
    )


def test_a_caption_of_a_single_predictor_states_if_the_sample_is_the_best_or_the_worst() -> None:
    scores = FixedScores({"task_specific": same_for_all({"a": 0.9, "b": 0.2, "c": 0.5})})
    pair = compare("breast_2cls", has_other=False)
    best, worst = choose_samples(pair, scores)
    assert write_caption(pair, best).startswith(
        "a: probability of the true class 0.900 (mean over seeds 0, 1, 2), the best of 3 test samples (median 0.500)."
    )
    assert (write_title(pair, best), write_title(pair, worst)) == ("Best prediction of TS", "Worst prediction of TS")


def test_names_from_data_are_escaped_in_captions() -> None:
    scores = FixedScores({"task_specific": same_for_all({"<b>*x*|.png": 0.9})})
    pair = compare(has_other=False)
    (choice,) = choose_samples(pair, scores)
    assert write_caption(pair, choice).startswith(r"&lt;b&gt;\*x\*\|.png:")
    assert "<b>*x*|.png" in write_description(pair, choice, [("TS", "DSC 0.9")]), "descriptions are plain text"
