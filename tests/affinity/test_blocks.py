"""Named blocks from matrices, and grouping files, which never overwrite files of the user."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.affinity.factories import affinities
from usaggr.affinity.blocks import count_clinical_groups, make_blocks, make_clustering_matrix, name_blocks, score_blocks
from usaggr.affinity.grouping_file import (
    DEFAULT,
    FIRST_LINE,
    check_limits,
    compare_groupings,
    describe_estimates,
    format_sweep_command,
    get_grouping_paths,
    write_grouping,
)
from usaggr.errors import ConfigError
from usaggr.results.affinity import average_over_seeds, read_seed, write_seed
from usaggr.sweep.planning.grouping import GroupingConfig
from usaggr.tasks import CATALOGUE

TASKS = ("breast_2cls", "breast_lesion", "fetal_femur", "fetal_head", "lung")


def planted() -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Matrix in which breast tasks help each other, fetal tasks do too, and lung is harmed by all."""
    values = np.full((5, 5), -0.5)
    values[:2, :2] = values[2:4, 2:4] = 0.4
    return values


def test_blocks_are_named_by_what_their_tasks_share(tmp_path: Path) -> None:
    estimated = affinities(tmp_path, {"lookahead": [planted(), planted() + 0.1]}, TASKS)
    blocks = make_blocks(estimated, "lookahead", 3)
    assert blocks == {
        "breast": ("breast_2cls", "breast_lesion"),
        "lung": ("lung",),
        "obstetrics": ("fetal_femur", "fetal_head"),
    }
    assert score_blocks(estimated, "lookahead", blocks) == pytest.approx((4 * 0.45 + 0) / 5)
    assert count_clinical_groups(estimated.tasks) == 3


def test_a_name_is_given_once_and_a_shared_blocks_is_no_tasks() -> None:
    ids = ("lung", "lung_2cls", "lung_disease_3cls", "fetal_head", "fetal_femur", "FUGC", "IUGC")
    tasks = {task_id: CATALOGUE[task_id] for task_id in ids}
    blocks = [["lung_2cls", "lung_disease_3cls"], ["lung"], ["FUGC", "fetal_head"], ["IUGC", "fetal_femur"]]
    named = name_blocks(blocks, tasks)
    assert set(named) == {"lung", "lung_2", "obstetrics", "obstetrics_2"}
    assert named["lung"] == ("lung",)
    assert list(name_blocks([sorted(tasks)], tasks)) == ["unified"]
    mixed = name_blocks([["FUGC", "lung"], ["IUGC"], ["fetal_head", "lung_2cls"]], tasks)
    assert set(mixed) == {"FUGC_and_1_more", "IUGC", "fetal_head_and_1_more"}


def test_the_mean_is_subtracted_from_similarities_and_not_from_affinities(tmp_path: Path) -> None:
    values = np.full((5, 5), 0.6)
    values[0, 1] = values[1, 0] = 0.9
    estimated = affinities(tmp_path, {"lookahead": [values], "features": [values]}, TASKS)
    off = ~np.eye(5, dtype=bool)
    assert make_clustering_matrix(estimated, "features")[off].mean() == pytest.approx(0)
    assert make_clustering_matrix(estimated, "lookahead")[off].min() == pytest.approx(0.6)
    assert (
        len(make_blocks(estimated, "features", 5)) == 4
    )  # only the pair that is more similar than the average shares a model


def test_a_pair_without_an_estimate_counts_as_zero_and_is_reported(tmp_path: Path) -> None:
    values = planted()
    values[0, 4] = np.nan
    estimated = affinities(tmp_path, {"lookahead": [values]}, TASKS)
    assert make_clustering_matrix(estimated, "lookahead")[0, 4] == 0
    assert "1 of 20 pairs have none and count as 0" in describe_estimates(estimated, "lookahead")
    assert "one seed, 0 to 3 estimates per pair" in describe_estimates(estimated, "lookahead")


def test_mean_and_spread_over_seeds_by_hand(tmp_path: Path) -> None:
    a, b = planted(), planted() + 0.2
    b[0, 1] = np.nan
    mean, sd = average_over_seeds(affinities(tmp_path, {"lookahead": [a, b]}, TASKS).select("lookahead"))
    assert mean[1, 0] == pytest.approx(0.5)
    assert sd[1, 0] == pytest.approx(np.std([0.4, 0.6], ddof=1))
    assert mean[0, 1] == pytest.approx(0.4)
    assert np.isnan(sd[0, 1])
    assert np.isnan(mean[2, 2])


def test_a_seed_is_stored_unchanged_and_identified_by_its_hash(tmp_path: Path) -> None:
    values = planted()
    values[3, 1] = np.nan
    (estimate,) = affinities(tmp_path, {"gradient": [values]}, TASKS).estimates
    write_seed(tmp_path, estimate)
    again = read_seed(tmp_path, "gradient", 0, estimate.identity)
    assert again is not None
    np.testing.assert_array_equal(again.values, estimate.values)
    np.testing.assert_array_equal(again.estimates, estimate.estimates)
    assert again.tasks == estimate.tasks
    assert read_seed(tmp_path, "gradient", 0, "of another run") is None
    assert read_seed(tmp_path, "lookahead", 0, estimate.identity) is None
    path = tmp_path / "seeds" / "gradient-k0.json"
    path.write_text(path.read_text()[:100])
    assert read_seed(tmp_path, "gradient", 0, estimate.identity) is None


def test_the_grouping_file_is_a_grouping_and_says_how_it_was_made(tmp_path: Path) -> None:
    estimated = affinities(tmp_path, {"lookahead": [planted()]}, TASKS)
    blocks = make_blocks(estimated, "lookahead", 3)
    path = tmp_path / "conf" / "grouping" / "affinity.yaml"
    write_grouping(path, estimated, "lookahead", blocks, 3)
    text = path.read_text()
    assert text.startswith(f"{FIRST_LINE}\n")
    assert "at most 3 blocks" in text
    assert "arXiv:2301.02873" in text
    config = GroupingConfig.model_validate(yaml.safe_load(text))
    assert config.blocks == {name: list(tasks) for name, tasks in blocks.items()}
    values = compare_groupings(estimated, "lookahead", blocks)
    assert values["affinity"] == values["clinical"] == pytest.approx(0.32)
    assert values["task_specific"] == 0
    assert values["unified"] < 0


def test_only_files_of_the_command_are_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert get_grouping_paths(("gradient", "lookahead")) == {
        "gradient": DEFAULT,
        "lookahead": DEFAULT.with_name("affinity_lookahead.yaml"),
    }
    DEFAULT.parent.mkdir(parents=True)
    DEFAULT.write_text(f"{FIRST_LINE}\nblocks: {{}}\n")
    get_grouping_paths(("lookahead",))
    DEFAULT.write_text("# Made by `usaggr affinity`, in the words of an earlier version.\nblocks: {}\n")
    get_grouping_paths(("lookahead",))
    DEFAULT.write_text("blocks:\n  mine: [lung]\n")
    with pytest.raises(ConfigError, match=r"affinity\.yaml: was not written by usaggr affinity.*--out FILE\.yaml"):
        get_grouping_paths(("lookahead",))
    assert get_grouping_paths(("lookahead",), Path("conf/grouping/other.yaml"))["lookahead"].name == "other.yaml"
    with pytest.raises(ConfigError, match=r"must end in \.yaml"):
        get_grouping_paths(("lookahead",), Path("conf/grouping"))


def test_the_sweep_command_keeps_all_arguments_except_groupings() -> None:
    line = format_sweep_command(["demo", "seeds=[0,1]", "groupings=[unified]"], ["affinity"])
    assert line == "usaggr sweep demo 'seeds=[0,1]' 'groupings=[task_specific,affinity,unified]'"


def test_limits_that_no_grouping_can_keep_are_refused() -> None:
    check_limits(1, 0.1)
    with pytest.raises(ConfigError, match="--blocks: must be a whole number from 1; got 0"):
        check_limits(0, None)
    with pytest.raises(ConfigError, match="--max-cost: must be a number of million parameters above 0; got -1"):
        check_limits(None, -1.0)
