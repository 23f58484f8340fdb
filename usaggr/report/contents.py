"""Contents of the report: the chapters of its topics, then methods and limits."""

from collections.abc import Sequence

from usaggr.document.elements import Document, Section
from usaggr.report.answer.opening import write_lead
from usaggr.report.figures import FigureFile
from usaggr.report.material import Material, make_section
from usaggr.report.methods.glossary import write_glossary
from usaggr.report.methods.limits import write_limits
from usaggr.report.methods.methods import write_methods
from usaggr.report.methods.reproduce import write_reproduction
from usaggr.report.tables import Tables
from usaggr.report.tasks.examples import Examples
from usaggr.report.topics import TOPICS


def write_report(tables: Tables, figures: Sequence[FigureFile] = (), examples: Examples | None = None) -> Document:
    """Write the document of the report.

    Args:
        tables: Tables of the study.
        figures: Figures in the report's folder figures/.
        examples: Pictures of test samples in the report's folder; None if none were requested.
    """
    material = Material(tables, tuple(figures), examples)
    chapters = (*(topic.chapter(material) for topic in TOPICS), write_methods_and_limits(material))
    title = f"Report of {material.study.name}"
    return Document(title, write_lead(material), tuple(chapter for chapter in chapters if chapter is not None))


def write_methods_and_limits(material: Material) -> Section | None:
    """Write the last chapter: methods, limits, how to reproduce the report, and the glossary."""
    design = [entry for topic in TOPICS for entry in topic.design(material)]
    methods = [entry for topic in TOPICS for entry in topic.methods(material)]
    limits = [limit for topic in TOPICS for limit in topic.limits(material)]
    terms = [entry for topic in TOPICS for entry in topic.terms(material)]
    columns = [entry for topic in TOPICS for entry in topic.columns(material)]
    return make_section(
        "Methods and limits",
        sections=(
            write_methods(material, design, methods),
            write_limits(material, limits),
            write_reproduction(material),
            write_glossary(material, terms, columns),
        ),
    )
