"""A run gets the samples of its own tasks for training, validation and testing."""

from typing import Any, cast

from tests.data.split.test_manifest import small
from usaggr.data.batches.run_data import select_run_data
from usaggr.results.spec import RunSpec


def test_a_run_gets_each_subset_of_its_own_tasks_and_its_training_samples_in_rank_order() -> None:
    manifest = small()
    ranked = {"a": ("../a/3.png", "../a/0.png"), "b": ("../b/0.png",)}
    shared = select_run_data(
        manifest, RunSpec("unified", ("a", "b"), 0.5, 0, "base", {}, ranked, "0" * 64), cast(Any, None)
    )
    assert {task: [s.sample_id for s in samples] for task, samples in shared.train.items()} == {
        task: list(names) for task, names in ranked.items()
    }
    assert [s.sample_id for s in shared.val] == ["../a/4.png", "../b/1.png"]
    assert [s.sample_id for s in shared.test] == [*(f"../a/{n}.png" for n in range(6, 10)), "../b/2.png"]
    alone = select_run_data(manifest, RunSpec("b", ("b",), 0.5, 0, "base", {}, ranked, "0" * 64), cast(Any, None))
    assert list(alone.tasks) == list(alone.train) == ["b"]
    assert {s.task_id for s in (*alone.val, *alone.test)} == {"b"}
