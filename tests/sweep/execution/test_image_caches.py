"""Each size of images is cached once, for any number of runs that read it."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.sweep import fakes
from usaggr.progress import NoProgress
from usaggr.sweep.execution import image_caches


class FakeCache(str):
    directory = Path("cache")
    complete = True

    def is_complete(self) -> bool:
        return self.complete


def test_there_is_one_cache_per_size_and_each_run_gets_that_of_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = (fakes.study(tmp_path, f"data.image_size={size}") for size in (32, 64))
    built: list[tuple[int, int]] = []

    def build(dataset: object, data: object, progress: object = None) -> object:
        size = data.input_size  # type: ignore[attr-defined]
        built.append(size)
        return FakeCache(f"cache of {size[0]}")

    monkeypatch.setattr(image_caches, "build_or_open", build)
    monkeypatch.setattr(FakeCache, "complete", True)
    runs = [fakes.planned(study, seed) for seed, study in enumerate((small, large, small))]
    plan = fakes.plan(small, *runs)
    sample = plan.manifest.by_subset[fakes.TASK.id, "train"][0].sample_id
    runs = [replace(r, spec=replace(r.spec, train_samples={fakes.TASK.id: (sample,)})) for r in runs]
    data_of = image_caches.open_caches(plan, runs, NoProgress())
    assert built == [(32, 32), (64, 64)]
    assert [str(data_of(run).cache) for run in runs] == ["cache of 32", "cache of 64", "cache of 32"]
    monkeypatch.setattr(FakeCache, "complete", False)
    assert str(data_of(runs[1]).cache) == "cache of 64"
    assert built == [(32, 32), (64, 64), (64, 64)]  # removed meanwhile, and built again
    assert [s.sample_id for s in data_of(runs[0]).train[fakes.TASK.id]] == [sample]
