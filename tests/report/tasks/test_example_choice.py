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
from usaggr.report.tasks.example_choice import Contest, SampleScores, Side, choose_extremes
from usaggr.results.plan import PlanRow
from usaggr.tasks import CATALOGUE

SEEDS = (0, 1, 2)


class FixedScores(SampleScores):
    """Scores by grouping and seed, without files."""

    def __init__(self, scores: Mapping[str, Mapping[int, Mapping[str, float]]]) -> None:
        self._scores = scores

    def mean(self, side: Side, seeds: Sequence[int], task: str) -> "pd.Series[float]":
        return pd.DataFrame({seed: self._scores[side.groupings[0]][seed] for seed in seeds}).mean(axis=1).sort_index()


def side(*groupings: str, seeds: Sequence[int] = SEEDS) -> Side:
    row = PlanRow("run", "block", groupings, ("task",), 1.0, 0, "base", "f")
    return Side(groupings, {seed: CollectedRun(replace(row, seed=seed), "done", Path()) for seed in seeds})


def contest(task: str = "breast_lesion", other: bool = True, drawable: Sequence[int] = SEEDS) -> Contest:
    base, other_side = side("task_specific"), side("unified") if other else None
    sides = (base,) if other_side is None else (base, other_side)
    return Contest(CATALOGUE[task], 1.0, base, other_side, SEEDS, tuple(drawable), sides)


def same_for_all(scores: Mapping[str, float]) -> dict[int, Mapping[str, float]]:
    return dict.fromkeys(SEEDS, scores)


def test_the_largest_gain_and_the_largest_loss_are_chosen() -> None:
    scores = FixedScores(
        {
            "task_specific": same_for_all({"a": 0.5, "b": 0.9, "c": 0.4, "d": 0.6}),
            "unified": same_for_all({"a": 0.6, "b": 0.5, "c": 0.8, "d": 0.6}),
        }
    )
    gain, loss = choose_extremes(contest(), scores)
    assert (gain.kind, gain.sample_id, loss.kind, loss.sample_id) == ("gain", "c", "loss", "b")
    assert (gain.base, gain.other, loss.base, loss.other) == pytest.approx((0.4, 0.8, 0.9, 0.5))
    assert gain.difference == pytest.approx(0.4)
    assert loss.difference == pytest.approx(-0.4)
    assert (gain.better, gain.worse, gain.samples) == (2, 1, 4)
    assert gain.median == pytest.approx(0.05)
    assert (gain.rank, loss.rank) == (1, 4)


def test_a_smaller_distance_of_landmarks_is_a_gain() -> None:
    scores = FixedScores(
        {
            "task_specific": same_for_all({"a": 10.0, "b": 10.0, "c": 30.0}),
            "unified": same_for_all({"a": 4.0, "b": 15.0, "c": 30.0}),
        }
    )
    gain, loss = choose_extremes(contest("fetal_femur"), scores)
    assert (gain.sample_id, gain.difference) == ("a", 6.0)
    assert (loss.sample_id, loss.difference) == ("b", -5.0)
    assert loss.rank == 2, "the reference does worse only on c"


def test_a_single_side_has_its_best_and_its_worst_sample_chosen() -> None:
    scores = FixedScores({"task_specific": same_for_all({"a": 10.0, "b": 2.0, "c": 30.0})})
    best, worst = choose_extremes(contest("fetal_femur", other=False), scores)
    assert (best.kind, best.sample_id, best.rank) == ("best", "b", 3)
    assert (worst.kind, worst.sample_id, worst.rank) == ("worst", "c", 1)
    assert best.median == worst.median == 10.0


def test_equal_samples_make_one_picture() -> None:
    scores = FixedScores({name: same_for_all({"a": 0.5, "b": 0.7}) for name in ("task_specific", "unified")})
    (choice,) = choose_extremes(contest(), scores)
    assert (choice.sample_id, choice.difference) == ("a", 0.0)
    assert "No difference" in write_title(contest(), choice)


def test_rounding_errors_do_not_count_as_differences() -> None:
    scores = FixedScores(
        {"task_specific": same_for_all({"a": 0.3, "b": 0.7}), "unified": same_for_all({"a": 0.1 + 0.2, "b": 0.7})}
    )
    (choice,) = choose_extremes(contest(), scores)
    assert (choice.difference, choice.better, choice.worse) == (0.0, 0, 0)


def test_the_drawn_seed_has_the_sign_of_the_mean() -> None:
    """Seed 0 is closest to the mean of -0.1, but it is a gain."""
    base = {seed: {"a": 0.5, "b": 0.5} for seed in SEEDS}
    other = {0: {"a": 0.51, "b": 0.6}, 1: {"a": 0.15, "b": 0.6}, 2: {"a": 0.54, "b": 0.6}}
    scores = FixedScores({"task_specific": base, "unified": other})
    _, loss = choose_extremes(contest(), scores)
    assert (loss.sample_id, loss.seed) == ("a", 1)


def test_among_equal_seeds_the_lowest_drawable_seed_is_drawn() -> None:
    scores = FixedScores({"task_specific": same_for_all({"a": 0.5}), "unified": same_for_all({"a": 0.6})})
    assert choose_extremes(contest(), scores)[0].seed == 0
    assert choose_extremes(contest(drawable=(1, 2)), scores)[0].seed == 1


def test_no_sample_makes_no_picture() -> None:
    scores = FixedScores({name: same_for_all({}) for name in ("task_specific", "unified")})
    assert choose_extremes(contest(), scores) == ()


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
        return choose_extremes(contest(task), scores)

    order = list(range(len(values)))
    choices = choose_in(order)
    random.shuffle(order)
    assert choose_in(order) == choices
    assert choices[0].difference == pytest.approx(max(differences), abs=1e-8)
    assert choices[-1].difference == pytest.approx(min(differences), abs=1e-8)
    assert choices[0].better + choices[0].worse <= len(values)
    assert np.median(differences) == pytest.approx(choices[0].median, abs=1e-8)


def test_titles_do_not_call_a_loss_a_gain() -> None:
    worse = FixedScores(
        {"task_specific": same_for_all({"a": 0.5, "b": 0.5}), "unified": same_for_all({"a": 0.4, "b": 0.1})}
    )
    titles = [write_title(contest(), choice) for choice in choose_extremes(contest(), worse)]
    assert titles == ["Smallest loss of AU compared with TS", "Largest loss of AU compared with TS"]
    better = FixedScores(
        {"task_specific": same_for_all({"a": 0.5, "b": 0.5}), "unified": same_for_all({"a": 0.6, "b": 0.9})}
    )
    titles = [write_title(contest(), choice) for choice in choose_extremes(contest(), better)]
    assert titles == ["Largest gain of AU compared with TS", "Smallest gain of AU compared with TS"]


def test_a_caption_states_the_reason_for_the_choice_and_the_rank_of_the_sample() -> None:
    scores = FixedScores(
        {
            "task_specific": same_for_all({"a": 10.0, "b": 10.0, "c": 30.0}),
            "unified": same_for_all({"a": 4.0, "b": 15.0, "c": 29.0}),
        }
    )
    pair = contest("fetal_femur")
    gain, _ = choose_extremes(pair, scores)
    assert write_caption(pair, gain) == (
        "a: MRE 10.0 px with TS and 4.0 px with AU (mean over seeds 0, 1, 2). The difference of +6.0 px (positive is "
        "better) is the highest of 3 test samples (median +1.0 px). AU is better on 2 and worse on 1 of them. TS ranks "
        "this sample 2nd worst of 3. The picture shows seed 0, which is closest to the average among the seeds of the "
        "same sign, with all training samples."
    )


def test_a_caption_of_a_single_side_states_if_the_sample_is_the_best_or_the_worst() -> None:
    scores = FixedScores({"task_specific": same_for_all({"a": 0.9, "b": 0.2, "c": 0.5})})
    pair = contest("breast_2cls", other=False)
    best, worst = choose_extremes(pair, scores)
    assert write_caption(pair, best).startswith(
        "a: probability of the true class 0.900 (mean over seeds 0, 1, 2), the best of 3 test samples (median 0.500)."
    )
    assert (write_title(pair, best), write_title(pair, worst)) == ("Best prediction of TS", "Worst prediction of TS")


def test_names_from_data_are_escaped_in_captions() -> None:
    scores = FixedScores({"task_specific": same_for_all({"<b>*x*|.png": 0.9})})
    pair = contest(other=False)
    (choice,) = choose_extremes(pair, scores)
    assert write_caption(pair, choice).startswith(r"&lt;b&gt;\*x\*\|.png:")
    assert "<b>*x*|.png" in write_description(pair, choice, [("TS", "DSC 0.9")]), "descriptions are plain text"
