"""Tests of the report's language: no rendered page has a word that readers did not understand."""

from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import pytest

from benchmarks.readability.vague_words import find_banned_words
from tests.report import staged_sweeps, variant_sweeps
from tests.report.affinities import write_affinities
from tests.report.controls.test_tables import sweep_of as controls_sweep
from tests.report.reading import material_of, planted, simple
from tests.report.routings import Shares, by_kind
from tests.report.sweeps import FakeSweep
from usaggr.report.build import build_report
from usaggr.report.topics import TOPICS
from usaggr.results.spec import RunSpec
from usaggr.tasks import CATALOGUE

PLANTED = {"breast_lesion": 0.1, "fetal_head": -0.1, "thyroid_nodule_det": 0.0, "fetal_femur": 0.1}


def with_missing_runs(folder: Path) -> FakeSweep:
    """Write a sweep with a failed run and runs that have not started."""
    sweep = FakeSweep(folder, scales=(0.25, 1.0)).finish(simple, skip=lambda run: run.block == "unified")
    failed = next(run for run, _ in sweep.runs() if run.block == "unified")
    sweep.write_failure(failed, "the training loss is not finite")
    return sweep


def with_routing(folder: Path) -> FakeSweep:
    """Write a sweep of models with experts, routed by clinical group."""

    def router(run: RunSpec) -> Shares:
        return by_kind([CATALOGUE[task].clinical_group for task in run.tasks], noise=0.1, seed=run.seed)

    return FakeSweep(folder, spread=0.02, router=router).finish(simple)


def with_affinity(folder: Path) -> FakeSweep:
    """Write a sweep with measured affinities between its tasks."""
    sweep = planted(folder, PLANTED, groupings=("task_specific", "clinical", "unified"))
    write_affinities(
        sweep.directory,
        sweep.tasks,
        {"gradient": lambda source, target, seed: 0.01 * len(source) - 0.01 * len(target) + 0.001 * seed},
    )
    return sweep


def with_unfinished_variants(folder: Path) -> FakeSweep:
    """Write an ablation in which a variant has no finished run of several tasks."""
    return variant_sweeps.finish(
        folder,
        {("dense", "unified"): -0.1, ("wide", "unified"): 0.1},
        variants=variant_sweeps.ablation("base", "dense", "wide"),
        skip=lambda run: run.variant == "wide" and len(run.tasks) > 1,
    )


REPORTS: dict[str, Callable[[Path], FakeSweep]] = {
    "plain": lambda folder: planted(
        folder, PLANTED, scales=(0.25, 1.0), groupings=("task_specific", "clinical", "unified")
    ),
    "one seed": lambda folder: planted(folder, PLANTED, seeds=(0,)),
    "few patients": lambda folder: FakeSweep(folder, subjects=3, spread=0.02).finish(simple),
    "undecided": lambda folder: planted(folder, PLANTED, noise=0.04),
    "missing runs": with_missing_runs,
    "variants": with_unfinished_variants,
    "staged": lambda folder: staged_sweeps.sweep_of(folder).written(),
    "controls": lambda folder: controls_sweep(folder, draws=3, gain=0.2),
    "routing": with_routing,
    "affinity": with_affinity,
}


@pytest.fixture(params=REPORTS)
def page(request: pytest.FixtureRequest, tmp_path: Path, undrawn: None) -> str:
    """Return the text of a report, with the captions of its figures."""
    sweep = REPORTS[request.param](tmp_path / "study")
    return (build_report([sweep.directory]) / "report.md").read_text()


def test_no_page_has_a_word_that_readers_do_not_understand(page: str) -> None:
    lines = page.splitlines()
    chapters = list(accumulate(lines, lambda chapter, line: line if line.startswith("## ") else chapter))
    words = [(chapters[word.line - 1], word.text, lines[word.line - 1]) for word in find_banned_words(page)]
    assert words == []


def test_the_reports_together_have_a_chapter_of_every_topic(tmp_path: Path) -> None:
    materials = [material_of(make(tmp_path / name / "study")) for name, make in REPORTS.items()]
    assert all(any(topic.chapter(material) for material in materials) for topic in TOPICS)
