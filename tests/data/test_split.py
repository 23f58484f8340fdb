from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usaggr.config import SplitConfig
from usaggr.data.components import components_of
from usaggr.data.samples import Dataset, Sample
from usaggr.data.split import FOLDS, split_dataset
from usaggr.errors import DataError
from usaggr.tasks import Task, default_class_names

CONFIG = SplitConfig(seed=0, fractions=[0.7, 0.1, 0.2], conflict="error")


def sample(
    task_id: str, number: int, image: int, subject: int, label: int | None = None, official: str | None = None
) -> Sample:
    return Sample(
        task_id=task_id,
        sample_id=f"../{task_id}/{number}.png",
        image_path=Path(f"/data/{image}.png"),
        subject_id=f"subject {subject}",
        image_hash=f"hash {image}",
        label_hash=f"{label}",
        height=64,
        width=64,
        csv_file=f"{task_id}.csv",
        row=number + 2,
        label=label,
        official_fold=official,
    )


def dataset(samples: list[Sample]) -> Dataset:
    names = sorted({s.task_id for s in samples})
    tasks = {n: Task(n, "classification", 4, "organ", "group", default_class_names("classification", 4)) for n in names}
    return Dataset(Path("/data"), tasks, tuple(sorted(samples, key=lambda s: (s.task_id, s.sample_id))), ())


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    """A few tasks over shared images and subjects."""
    samples = []
    images = draw(st.integers(5, 40))
    subject_of = draw(st.lists(st.integers(0, 20), min_size=images, max_size=images))
    for task in range(draw(st.integers(1, 3))):
        used = draw(st.lists(st.integers(0, images - 1), min_size=1, max_size=40))
        samples += [sample(f"task{task}", n, i, subject_of[i], label=i % 4) for n, i in enumerate(used)]
    return dataset(samples)


@settings(max_examples=60, deadline=None)
@given(datasets(), st.integers(0, 5))
def test_what_is_tied_by_image_or_subject_is_never_in_two_folds(data: Dataset, seed: int) -> None:
    split = split_dataset(data, CONFIG.model_copy(update={"seed": seed}))
    for tie in ("image_hash", "image_path", "subject_id"):
        folds: dict[object, set[str | None]] = {}
        for s, fold in zip(data.samples, split.folds, strict=True):
            folds.setdefault(getattr(s, tie), set()).add(fold)
        assert all(len(found) == 1 for found in folds.values())


@settings(max_examples=40, deadline=None)
@given(datasets(), st.randoms(use_true_random=False))
def test_folds_do_not_depend_on_the_order_of_the_index(data: Dataset, random: object) -> None:
    shuffled = list(data.samples)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = dataset(shuffled)
    assert split_dataset(data, CONFIG) == split_dataset(again, CONFIG)


@settings(max_examples=40, deadline=None)
@given(datasets())
def test_components_are_the_connected_parts_of_the_graph_of_ties(data: Dataset) -> None:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    pairs = [
        (i, j)
        for i, a in enumerate(data.samples)
        for j, b in enumerate(data.samples)
        if a.image_hash == b.image_hash or a.subject_id == b.subject_id or a.image_path == b.image_path
    ]
    n = len(data.samples)
    rows, columns = zip(*pairs, strict=True)
    expected = connected_components(coo_matrix(([1] * len(pairs), (rows, columns)), shape=(n, n)), directed=False)[1]
    found = components_of(data.samples)
    assert len(set(zip(found, expected, strict=True))) == len(set(found)) == len(set(expected))


def test_folds_are_even_for_each_task_and_class() -> None:
    samples = [sample("a", n, n, n // 3, label=(n // 3) % 4) for n in range(600)]
    samples += [sample("b", n, n, n // 3, label=0 if n < 250 else 1) for n in range(300)]
    data = dataset(samples)
    split = split_dataset(data, CONFIG)
    counts: Counter[tuple[str, int, str | None]] = Counter(
        (s.task_id, s.stratum, fold) for s, fold in zip(data.samples, split.folds, strict=True)
    )
    total: Counter[tuple[str, int]] = Counter((s.task_id, s.stratum) for s in data.samples)
    for (task_id, stratum), n in total.items():
        for fold, fraction in zip(FOLDS, CONFIG.fractions, strict=True):
            # A subject of three frames is the grain: nothing is nearer than half of it, plus what the other task asks.
            assert abs(counts[task_id, stratum, fold] - fraction * n) <= 4.5


def test_a_few_large_subjects_still_reach_every_fold() -> None:
    data = dataset([sample("muscle", n, n, n % 7, label=0) for n in range(152)])
    assert set(split_dataset(data, CONFIG).folds) == set(FOLDS)


def test_another_seed_draws_another_split() -> None:
    data = dataset([sample("a", n, n, n, label=n % 4) for n in range(200)])
    assert split_dataset(data, CONFIG) != split_dataset(data, CONFIG.model_copy(update={"seed": 1}))


def test_an_official_split_wins() -> None:
    names = ["train", "val", "test"]
    data = dataset([sample("a", n, n, n, official=names[n % 3]) for n in range(30)])
    split = split_dataset(data, CONFIG)
    assert [s.official_fold for s in data.samples] == list(split.folds)


def test_an_official_split_without_validation_gives_some_of_its_training_side() -> None:
    data = dataset([sample("a", n, n, n, official="test" if n < 40 else "train") for n in range(120)])
    split = split_dataset(data, CONFIG)
    assert all((s.official_fold == "test") == (f == "test") for s, f in zip(data.samples, split.folds, strict=True))
    assert Counter(split.folds) == {"test": 40, "train": 70, "val": 10}


def test_rows_without_an_official_fold_follow_their_subject() -> None:
    samples = [sample("a", n, n, n // 2, official="test" if n % 2 and n < 20 else None) for n in range(60)]
    data = dataset(samples)
    split = split_dataset(data, CONFIG)
    fold_of = {s.sample_id: f for s, f in zip(data.samples, split.folds, strict=True)}
    assert all(fold_of[f"../a/{n}.png"] == "test" for n in range(20))


def test_an_official_split_that_cuts_a_subject_is_an_error_that_lists_it() -> None:
    samples = [sample("a", n, n, n, official="train") for n in range(20)]
    samples += [sample("b", 7, 7, 7, official="test")]
    with pytest.raises(DataError, match=r"cuts 1 component.*\n.*b\.csv, line 9.*a\.csv, line 9"):
        split_dataset(dataset(samples), CONFIG)


def test_drop_train_takes_out_the_training_side_and_counts_it() -> None:
    samples = [sample("a", n, n, n, official="train") for n in range(20)]
    samples += [sample("b", n, n, n, official="test") for n in (7, 8)]
    data = dataset(samples)
    split = split_dataset(data, CONFIG.model_copy(update={"conflict": "drop_train"}))
    assert split.dropped == 2
    fold_of = dict(zip([(s.task_id, s.sample_id) for s in data.samples], split.folds, strict=True))
    assert fold_of["a", "../a/7.png"] is None
    assert fold_of["b", "../b/7.png"] == "test"


def test_a_split_stays_what_it_was() -> None:
    """Another one would move test samples into training, and refuse every folder of results."""
    samples = [
        sample(f"task{t}", i, 100 * t + i, 50 * t + i // (1 + i % 3), label=i % 4) for t in (0, 1) for i in range(30)
    ]
    data = dataset([*samples, *(sample("task2", i, 100 + i, 50 + i // (1 + i % 3), label=i % 2) for i in range(12))])
    names = "".join((fold or "-")[1] for fold in split_dataset(data, CONFIG).folds)
    assert names == "rrrraerrrrarreereeararrrrrerrrrrarrerrrarrrerraarreerrreerrrrrarrrreerrr"
