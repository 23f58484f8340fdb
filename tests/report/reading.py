"""Functions that read a report's document in tests: sections by title, tables as text, and all sentences."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.report.sweeps import CATALOGUE, FakeSweep, Scorer, level
from usaggr.analysis.collect import collect
from usaggr.document.elements import Block, Cell, Details, Document, Items, Paragraph, Picture, Section, TextTable
from usaggr.metrics.names import get_metric
from usaggr.report.contents import write_report
from usaggr.report.figures import FigureFile
from usaggr.report.material import Material
from usaggr.report.tables import make_tables
from usaggr.report.tasks.examples import Examples

TASKS = ("breast_lesion", "fetal_head", "thyroid_nodule_det", "fetal_femur")


def simple(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
    """Return scores: skill .5 alone, slightly better in a pair, no better than the trivial predictor with all three."""
    return level(CATALOGUE[task], {1: 0.5, 2: 0.55, 3: 0.0}[len(block)] + (0.01 * seed if len(block) < 3 else 0))


def planted(
    folder: Path,
    differences: dict[str, float],
    noise: float = 0.003,
    level_of: Mapping[str, float] | None = None,
    **settings: Any,
) -> FakeSweep:
    """Return a finished sweep with predictions, in which models of several tasks differ by the planted differences.

    Differences are absolute for metrics whose best value is 1, and relative for pixels. Skill is .7, except for the
    tasks in `level_of`.
    """
    skills = level_of or {}
    usual = {"tasks": TASKS, "groupings": ("task_specific", "unified"), "subjects": 40, "frames": 1, "spread": 0.02}
    sweep = FakeSweep(folder, **{**usual, **settings})
    rng = np.random.default_rng(0)
    jitter = {(task, size, seed): noise * rng.normal() for task in sweep.tasks for size in (1, 2) for seed in range(9)}

    def scorer(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
        lift = (differences.get(task, 0.0) if len(block) > 1 else 0.0) + jitter[task, min(len(block), 2), seed]
        return {
            name: value + lift if get_metric(name).higher_is_better else value * (1 - lift)
            for name, value in level(CATALOGUE[task], skills.get(task, 0.7)).items()
        }

    made: Scorer = scorer
    return sweep.finish(made)


def document_of(*sweeps: FakeSweep, figures: tuple[FigureFile, ...] = (), examples: Examples | None = None) -> Document:
    collection = collect([sweep.directory for sweep in sweeps])
    return write_report(make_tables(collection), figures, examples)


def material_of(*sweeps: FakeSweep) -> Material:
    """Return the material that chapters are written from."""
    collection = collect([sweep.directory for sweep in sweeps])
    return Material(make_tables(collection))


def with_settings(material: Material, **changes: dict[str, Any]) -> Material:
    """Return the same runs, as of a study whose sections (`model`, `data`, ...) have other values of these keys."""
    study = material.study
    settings = study.settings | {name: study.settings[name] | keys for name, keys in changes.items()}
    collection = replace(material.collection, study=replace(study, settings=settings))
    return replace(
        material, tables=replace(material.tables, comparison=replace(material.comparison, collection=collection))
    )


def chapters_of(material: Material, *writers: Callable[[Material], Section | None]) -> Document:
    """Return a document of some chapters only, because the complete report takes ten times as long."""
    written = [write(material) for write in writers]
    return Document("", sections=tuple(chapter for chapter in written if chapter is not None))


def sections(document: Document) -> Iterator[Section]:
    """Yield all sections in reading order."""
    waiting = list(document.sections)
    while waiting:
        section = waiting.pop(0)
        yield section
        waiting = [*section.sections, *waiting]


def titles(document: Document) -> list[str]:
    return [section.title for section in sections(document)]


def find(document: Document, title: str, within: str | None = None) -> Section:
    """Return the first section with a title, or the first one after the section `within` if it is given."""
    candidates = list(sections(document))
    start = 0 if within is None else next(i for i, section in enumerate(candidates) if section.title == within)
    return next(section for section in candidates[start:] if section.title == title)


def blocks(within: Section | Document) -> Iterator[Block]:
    """Yield all blocks of a section and of the sections below it, also the folded ones."""
    if isinstance(within, Document):
        waiting: list[Block] = list(within.lead)
    else:
        waiting = list(within.blocks)
    while waiting:
        block = waiting.pop(0)
        yield block
        if isinstance(block, Details):
            waiting = [*block.blocks, *waiting]
    for section in within.sections:
        yield from blocks(section)


def texts(within: Section | Document) -> str:
    """Return all sentences, list items, captions and descriptions, one per line."""
    lines: list[str] = []
    for block in blocks(within):
        match block:
            case Paragraph(text):
                lines.append(text)
            case Items(items):
                lines.extend(items)
            case TextTable() if block.caption:
                lines.append(block.caption)
            case Details(summary):
                lines.append(summary)
            case Picture(_, title, description):
                lines += [title, description]
            case _:
                pass
    return "\n".join(lines)


def tables(within: Section | Document) -> list[TextTable]:
    return [block for block in blocks(within) if isinstance(block, TextTable)]


def shown(cell: str | Cell) -> str:
    return cell.text if isinstance(cell, Cell) else cell


def read_cells(table: TextTable) -> list[list[str]]:
    return [[shown(cell) for cell in row] for row in table.rows]


def row_of(table: TextTable, **cells: str) -> dict[str, str]:
    """Return the first row with these texts in these columns, as a dictionary of texts by column."""
    for row in read_cells(table):
        named = dict(zip(table.columns, row, strict=True))
        if all(named[name] == text for name, text in cells.items()):
            return named
    raise AssertionError(f"no row with {cells} in {read_cells(table)}")
