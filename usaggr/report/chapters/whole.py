"""The whole report: its chapters in the order in which they are read, the answer first."""

from collections.abc import Sequence

from usaggr.document.elements import Document
from usaggr.report.chapters.across import write_across
from usaggr.report.chapters.affinity import write_affinity
from usaggr.report.chapters.answer import write_answer
from usaggr.report.chapters.asked import write_asked, write_run
from usaggr.report.chapters.claims import write_claims
from usaggr.report.chapters.controls import write_controls
from usaggr.report.chapters.data import write_data
from usaggr.report.chapters.differences import write_differences
from usaggr.report.chapters.exposure import write_exposure
from usaggr.report.chapters.glossary import write_words
from usaggr.report.chapters.interplay import write_interplay
from usaggr.report.chapters.limits import write_limits
from usaggr.report.chapters.material import Material, section
from usaggr.report.chapters.methods import write_methods
from usaggr.report.chapters.opening import write_lead
from usaggr.report.chapters.reproduce import write_reproduction
from usaggr.report.chapters.routing import write_routing
from usaggr.report.chapters.staged import write_staged
from usaggr.report.chapters.tasks import write_tasks
from usaggr.report.chapters.validity import write_validity
from usaggr.report.chapters.variants import write_variants
from usaggr.report.collect import Collection
from usaggr.report.examples import Examples
from usaggr.report.figures import FigureFile
from usaggr.report.tables import Tables


def write_report(
    collection: Collection, tables: Tables, figures: Sequence[FigureFile] = (), examples: Examples | None = None
) -> Document:
    """Everything that the report says.

    Args:
        collection: the runs.
        tables: made from them.
        figures: written to the report's folder figures/.
        examples: pictures of test samples, in the report's folder; None where none were looked for.
    """
    material = Material(collection, tables, tuple(figures), examples)
    chapters = (
        write_answer(material),
        write_claims(material),
        write_differences(material),
        write_interplay(material),
        write_controls(material),
        write_staged(material),
        write_affinity(material),
        write_routing(material),
        write_variants(material),
        write_across(material),
        write_tasks(material),
        section(
            "What was asked and what was run",
            sections=(
                write_asked(material),
                write_data(material),
                write_run(material),
                write_exposure(material),
                write_validity(material),
            ),
        ),
        section(
            "Methods and limits",
            sections=(
                write_methods(material),
                write_limits(material),
                write_reproduction(material),
                write_words(material),
            ),
        ),
    )
    title = f"Report of {collection.study.name}"
    return Document(title, write_lead(material), tuple(chapter for chapter in chapters if chapter is not None))
