"""Random groupings have the block sizes of another grouping, differ, and are all equally likely."""

from collections import Counter
from math import factorial, prod
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from tests.data.factories import noise, tiny_data, write_image, write_rows
from usaggr.config.compose import compose_study
from usaggr.data.samples import Sample
from usaggr.errors import ConfigError
from usaggr.sweep.planning.controls import draw_groupings
from usaggr.sweep.planning.grouping import Grouping, GroupingConfig
from usaggr.sweep.planning.study_groupings import find_image_sources
from usaggr.sweep.planning.study_plan import make_plan, write_plan


def like(*sizes: int) -> Grouping:
    """Return a grouping with blocks of these sizes."""
    blocks, first = {}, 0
    for number, size in enumerate(sizes):
        blocks[f"b{number}"] = tuple(f"t{i:02}" for i in range(first, first + size))
        first += size
    return Grouping("real", blocks)


def config(draws: int, seed: int = 0) -> GroupingConfig:
    return GroupingConfig(like="real", draws=draws, seed=seed)


def partition_of(grouping: Grouping) -> frozenset[frozenset[str]]:
    return frozenset(map(frozenset, grouping.blocks.values()))


def possible(*sizes: int) -> int:
    """Return the number of partitions of a set into subsets of these sizes."""
    return factorial(sum(sizes)) // prod(map(factorial, sizes)) // prod(map(factorial, Counter(sizes).values()))


@given(st.lists(st.integers(1, 5), min_size=2, max_size=6), st.integers(1, 8), st.integers(0, 99))
def test_draws_are_other_partitions_of_the_same_sizes(sizes: list[int], draws: int, seed: int) -> None:
    real = like(*sizes)
    alternatives = possible(*sizes) - 1
    if alternatives == 0:
        with pytest.raises(ConfigError, match="grouping g: no other grouping has blocks of the sizes of real"):
            list(draw_groupings("g", config(draws, seed), real))
        return
    drawn = list(draw_groupings("g", config(draws, seed), real))
    assert [grouping.name for grouping in drawn] == [f"g_{i}" for i in range(1, len(drawn) + 1)]
    assert len({partition_of(real), *map(partition_of, drawn)}) == len(drawn) + 1
    assert len(drawn) <= draws
    for grouping in drawn:
        assert sorted(map(len, grouping.blocks.values())) == sorted(sizes)
        assert {t for block in grouping.blocks.values() for t in block} == {t for b in real.blocks.values() for t in b}
        assert (grouping.control, grouping.like) == ("g", "real")
    assert drawn == list(draw_groupings("g", config(draws + 1, seed), real))[: len(drawn)]


def test_all_partitions_are_drawn_if_there_are_fewer_than_requested() -> None:
    drawn = list(draw_groupings("g", config(10), like(2, 2)))
    assert len(drawn) == possible(2, 2) - 1 == 2


def test_each_partition_is_as_likely_as_any_other() -> None:
    real = like(2, 2, 1)  # 15 partitions
    first = Counter(partition_of(next(draw_groupings("g", config(1, seed), real))) for seed in range(2800))
    assert len(first) == possible(2, 2, 1) - 1
    assert chisquare(list(first.values())).pvalue > 1e-3


def sample(task: str, image: str) -> Sample:
    return Sample(task, f"{task}{image}", Path(image), image, image, "", 8, 8, "index.csv", 2)


def test_an_image_source_joins_tasks_that_share_images_directly_or_through_others() -> None:
    samples = [
        sample("c", "1"),
        sample("a", "2"),
        sample("b", "1"),
        sample("b", "2"),
        sample("d", "3"),
        sample("e", "4"),
    ]
    together = dict.fromkeys("abc", "images_of_a")
    assert find_image_sources(samples) == {**together, "d": "d", "e": "e"}
    assert find_image_sources(samples[::-1]) == {**together, "d": "d", "e": "e"}


def data_with_shared_images(folder: Path) -> Path:
    """Write the tiny data and a task cls2 on the images of cls."""
    tiny_data(folder, n=12)
    index_rows = [
        {"image_path": f"../cls/s{i // 2}_{i}.png", "task_name": "classification", "task_id": "cls2",
         "num_classes": "2", "mask": str(i % 2)}
        for i in range(12)
    ]  # fmt: skip
    write_rows(folder, "cls2.csv", index_rows)
    write_image(folder / "unused.png", noise(0))
    return folder


def test_a_study_plans_its_controls(tmp_path: Path) -> None:
    words = [
        "data=fmuia", f"data.root={data_with_shared_images(tmp_path / 'data')}", f"data.cache_dir={tmp_path / 'cache'}",
        "data.image_size=32", f"outputs={tmp_path / 'outputs'}", "scales=[1.0]", "seeds=[0]",
        "groupings=[task_specific,image_source,task_type,random]",
    ]  # fmt: skip
    folder = tmp_path / "conf" / "grouping"
    folder.mkdir(parents=True)
    (folder / "random.yaml").write_text("like: task_type\ndraws: 3\n")
    plan = make_plan(compose_study("demo", words, tmp_path / "conf"))
    assert list(plan.groupings) == ["task_specific", "image_source", "task_type", "random_1", "random_2", "random_3"]
    assert plan.groupings["image_source"].blocks["images_of_cls"] == ("cls", "cls2")
    assert sum(len(run.spec.tasks) == 1 for run in plan.runs) == 5  # singletons are the task-specific runs
    assert sum("random_1" in run.groupings for run in plan.runs) == 4
    write_plan(plan)
    text = (plan.directory / "groupings.yaml").read_text()
    assert "control: random" in text
    assert "like: task_type" in text


def test_a_control_cannot_be_the_reference_nor_imitate_a_control(tmp_path: Path) -> None:
    folder = tmp_path / "conf" / "grouping"
    folder.mkdir(parents=True)
    (folder / "again.yaml").write_text("like: random\n")
    words = [
        "data=fmuia", f"data.root={tiny_data(tmp_path / 'data', n=12)}", f"data.cache_dir={tmp_path / 'cache'}",
        "data.image_size=32", f"outputs={tmp_path / 'outputs'}",
        "data.clinical_groups={seg: a, cls: a, det: b, reg: b}",
    ]  # fmt: skip
    for groupings, reference, message in [
        ("[random,clinical,task_specific]", "random", "reference: random is drawn at random; allowed: random_1"),
        ("[task_specific,clinical,random,again]", "task_specific", "grouping again: like: random is itself random"),
        ("[task_specific,random]", "task_specific", "like: of the study's groupings: unknown 'clinical'"),
    ]:
        study = compose_study("demo", [*words, f"groupings={groupings}", f"reference={reference}"], tmp_path / "conf")
        with pytest.raises(ConfigError, match=message):
            make_plan(study)
