"""The chapter on experts reports planted routing, names unreadable files, and is absent without experts."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from tests.report.reading import (
    chapters_of,
    document_of,
    find,
    material_of,
    read_cells,
    row_of,
    simple,
    tables,
    texts,
    titles,
)
from tests.report.routings import Shares, by_kind
from tests.report.sweeps import CATALOGUE, FakeSweep
from tests.report.test_contents import MARKDOWN
from usaggr.document.elements import Document
from usaggr.report.build import build_report
from usaggr.report.routing.chapter import write_routing
from usaggr.results.spec import RunSpec

TASKS = ("breast_2cls", "breast_lesion", "fetal_femur")
TITLE = "Use of experts"


def by_group(run: RunSpec) -> Shares:
    """Route each clinical group to its own experts; in seed 1 of AU, expert 4 of the first block is dead."""
    shares = by_kind([CATALOGUE[task].clinical_group for task in run.tasks], seed=run.seed)
    if len(run.tasks) == 3 and run.seed == 1:
        shares[:, 0, 3] = 0.001
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True))


def planted_in_unified(seed: int) -> Shares:
    return by_group(RunSpec("unified", TASKS, 1.0, seed, "base", {}, {}, ""))


def similarity_of_groups() -> float:
    """Return the similarity of a breast task and fetal_femur over seeds and transformer blocks, from SciPy."""
    pairs = [(shares[0, block], shares[2, block]) for shares in map(planted_in_unified, range(3)) for block in range(2)]
    return 1 - float(np.mean([jensenshannon(*pair, base=2) for pair in pairs]))


def sweep(folder: Path, **changes: object) -> FakeSweep:
    usual = {"tasks": TASKS, "router": by_group}
    return FakeSweep(folder / "study", **{**usual, **changes}).finish(simple)  # type: ignore[arg-type]


def chapter(folder: Path, **changes: object) -> Document:
    return chapters_of(material_of(sweep(folder, **changes)), write_routing)


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Document:
    return document_of(sweep(tmp_path_factory.mktemp("routing")))


def test_the_chapter_follows_data_scale_types_and_groups(document: Document) -> None:
    chapters = [section.title for section in document.sections]
    assert chapters[chapters.index("Data scale, task types and clinical groups") + 1] == TITLE


def test_without_experts_there_is_no_chapter_and_none_of_its_terms(tmp_path: Path) -> None:
    plain = document_of(sweep(tmp_path, router=None))
    assert TITLE not in titles(plain)
    assert "dead expert" not in texts(find(plain, "Glossary"))
    assert "Jensen-Shannon" not in texts(find(plain, "Methods"))


def test_similarity_is_reported_for_pairs_groups_and_types(document: Document) -> None:
    text = texts(find(document, TITLE))
    assert "transformer blocks 3 and 4 have 4 experts; each token uses 2 of them." in text
    assert "Under AU (one model for all tasks), with all training samples (seeds 0, 1 and 2):" in text
    across = similarity_of_groups()
    mean = (2 * across + 1) / 3
    assert f"is {mean:.2f} on average over 3 pairs, from {across:.2f} to 1.00: tasks use mostly" in text
    assert r"Most similar are breast_2cls with breast_lesion (1.00)" in text
    assert f"Within a clinical group it is 1.00 over 1 pair, across clinical groups {across:.2f}." in text
    assert "Within a task type" not in text  # all tasks have different types
    assert "This does not show that sharing helps them" in text


def test_entropy_is_reported_with_its_meaning(tmp_path: Path, document: Document) -> None:
    assert "the router prefers some experts" in texts(find(document, TITLE))

    def even(run: RunSpec) -> Shares:
        return np.full((len(run.tasks), 2, 4), 0.25)

    flat = texts(chapter(tmp_path / "even", router=even))
    assert "is 1.00 on average: the router uses all experts almost equally." in flat
    assert "is 1.00 on average over 3 pairs, from 1.00 to 1.00: tasks use almost the same experts." in flat

    def sharp(run: RunSpec) -> Shares:
        shares = np.full((len(run.tasks), 2, 4), 0.005)
        for index in range(len(run.tasks)):
            shares[index, :, index] = 0.985
        return shares

    sharp_text = texts(chapter(tmp_path / "sharp", router=sharp))
    assert "the router sends most tokens to few experts" in sharp_text
    assert "tasks use mostly different experts" in sharp_text


def test_tasks_have_their_entropy_their_most_used_expert_and_their_most_similar_task(document: Document) -> None:
    (table,) = [table for table in tables(find(document, TITLE)) if table.name == "routing"]
    row = row_of(table, task="breast_2cls")
    assert row["most similar task"] == "breast_lesion (1.00)"
    assert row_of(table, task="fetal_femur")["most similar task"].endswith(f"({similarity_of_groups():.2f})")
    shares = np.stack([planted_in_unified(seed)[0] for seed in range(3)])
    assert float(row["most used expert's share"]) == pytest.approx(shares.max(axis=-1).mean(), abs=0.0051)
    evenness = (entropy(shares, axis=-1) / np.log(4)).mean()
    for name in ("entropy", "evenness of use"):
        assert float(row[name]) == pytest.approx(evenness, abs=0.0051)


def test_groupings_have_their_similarity_and_their_dead_experts(document: Document) -> None:
    (table,) = [table for table in tables(find(document, TITLE)) if table.name == "experts"]
    assert row_of(table, grouping="TS")["similarity of tasks"] == "–"
    assert row_of(table, grouping="CG")["similarity of tasks"] == "1.00 [1.00, 1.00]"
    unified = row_of(table, grouping="AU")
    assert (unified["runs"], unified["dead experts"]) == ("3", "1 of 24")


def test_dead_experts_are_listed_by_run(document: Document) -> None:
    assert "Of the 24 experts of these models, 1 is dead." in texts(find(document, TITLE))
    (table,) = tables(find(document, "Dead experts"))
    ((run, *cells),) = read_cells(table)
    assert run.startswith("unified-s1-k1-")
    assert cells == ["AU", "3", "4 of block 3"]


def test_many_runs_with_dead_experts_are_shortened_to_those_of_the_most_tasks(tmp_path: Path) -> None:
    def dead(run: RunSpec) -> Shares:
        return np.tile([0.001, 0.333, 0.333, 0.333], (len(run.tasks), 2, 1))

    section = find(chapter(tmp_path, router=dead, seeds=tuple(range(12))), "Dead experts")
    (table,) = tables(section)
    assert len(table.rows) == 30
    assert [row[2] for row in read_cells(table)][:25] == ["3"] * 12 + ["2"] * 12 + ["1"]
    assert read_cells(table)[0][3] == "1 of block 3; 1 of block 4"
    assert "And 30 more runs; all are in tables/routing.csv." in texts(section)


@pytest.mark.usefixtures("without_figures")
def test_runs_without_routing_are_named_and_the_report_is_built(tmp_path: Path) -> None:
    study = sweep(tmp_path)
    missing, damaged = (next(study.directory.glob(f"runs/unified-s1-k{seed}-*/routing.csv")) for seed in (0, 2))
    missing.unlink()
    damaged.write_text("task,block\nbreast_2cls,*3*\n")
    section = chapters_of(material_of(study), write_routing)
    text = texts(find(section, "Runs without routing"))
    assert "2 finished runs with experts are left out of this chapter but included in all others:" in text
    assert f"{missing.parent.name}: has no routing.csv." in text
    assert f"{damaged.parent.name}: its routing.csv cannot be used" in text
    assert "(seed 1)" in texts(section)
    assert (build_report([study.directory]) / "index.html").exists()


@pytest.mark.usefixtures("undrawn")
def test_without_any_readable_file_the_chapter_only_names_the_runs(tmp_path: Path) -> None:
    study = sweep(tmp_path)
    for path in study.directory.rglob("routing.csv"):
        path.unlink()
    section = chapters_of(material_of(study), write_routing)
    assert not tables(section)
    text = texts(section)
    assert text.count("has no routing.csv") == 10
    assert "And 5 more runs." in text
    report = build_report([study.directory])
    assert not list((report / "figures").glob("routing*"))


def test_task_specific_models_have_no_similarity(tmp_path: Path) -> None:
    text = texts(chapter(tmp_path, groupings=("task_specific",)))
    assert "the similarity of their routing is not available" in text
    assert "Most similar" not in text


def test_variants_with_experts_have_sections_base_first_and_the_others_are_named(tmp_path: Path) -> None:
    variants: dict[str, list[str]] = {"plain": [], **{f"v{i}": [] for i in range(5)}, "base": []}

    def router(run: RunSpec) -> Shares | None:
        return None if run.variant == "plain" else by_group(run)

    groupings = ("task_specific", "unified")
    document = chapter(tmp_path, variants=variants, router=router, seeds=(0,), groupings=groupings)
    (section,) = document.sections
    assert [s.title for s in section.sections] == [f"Experts of variant {v}" for v in ("base", "v0", "v1", "v2")]
    assert "2 variants with experts have no figures here: v3 and v4" in texts(section)
    (overview,) = [table for table in tables(section) if table.name == "experts"]
    assert {row[0] for row in read_cells(overview)} == {"base", "v0", "v1", "v2", "v3", "v4"}


@pytest.mark.usefixtures("undrawn")
def test_each_figure_is_in_its_variants_section_once(tmp_path: Path) -> None:
    study = sweep(tmp_path, variants={"base": [], "wide": []}, seeds=(0,), groupings=("task_specific", "unified"))
    page = (build_report([study.directory]) / "report.md").read_text()
    for variant in ("base", "wide"):
        chapter_page = page.split(f"### Experts of variant {variant}")[1].split("\n### ")[0]
        for name in ("shares", "similarity", "entropy"):
            assert chapter_page.count(f"(figures/routing_{name}-{variant}.png)") == 1
            assert page.count(f"(figures/routing_{name}-{variant}.png)") == 1
    assert not any(token.type.startswith("html") for token in MARKDOWN.parse(page))


def test_the_same_runs_make_the_same_figures(tmp_path: Path) -> None:
    study = sweep(tmp_path, seeds=(0,), groupings=("unified",), reference="unified",
                 settings={"report": {"formats": ["svg", "png"]}})  # fmt: skip
    first = {path.name: path.read_bytes() for path in (build_report([study.directory]) / "figures").glob("routing*")}
    again = {path.name: path.read_bytes() for path in (build_report([study.directory]) / "figures").glob("routing*")}
    assert len(first) == 6
    assert first == again


def test_glossary_and_methods_explain_the_terms(document: Document) -> None:
    glossary = texts(find(document, "Glossary"))
    for word in ("expert", "router", "entropy (of routing)", "dead expert", "similarity of routing", "evenness of use"):
        assert f"**{word}**" in glossary
    assert "in routing\\_similarity.csv" in glossary or "in routing_similarity.csv" in glossary
    assert "below 0.1 of an even share" in texts(find(document, "Methods"))
