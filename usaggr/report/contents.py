"""The whole report: its chapters in the order in which they are read, the answer first."""

from collections.abc import Sequence

from usaggr.document.elements import Document
from usaggr.report.across_tasks.chapter import write_across
from usaggr.report.affinity.chapter import write_affinity
from usaggr.report.answer.chapter import write_answer
from usaggr.report.answer.opening import write_lead
from usaggr.report.claims.chapter import write_claims
from usaggr.report.controls.chapter import write_controls
from usaggr.report.differences.chapter import write_differences
from usaggr.report.figure_files import FigureFile
from usaggr.report.material import Material, section
from usaggr.report.methods.glossary import write_words
from usaggr.report.methods.limits import write_limits
from usaggr.report.methods.methods import write_methods
from usaggr.report.methods.reproduce import write_reproduction
from usaggr.report.routing.chapter import write_routing
from usaggr.report.scale.chapter import write_interplay
from usaggr.report.staged.chapter import write_staged
from usaggr.report.tables import Tables
from usaggr.report.tasks.chapter import write_tasks
from usaggr.report.tasks.examples import Examples
from usaggr.report.variants.chapter import write_variants
from usaggr.report.what_was_run.chapter import write_asked, write_run
from usaggr.report.what_was_run.convergence_section import write_validity
from usaggr.report.what_was_run.data_section import write_data
from usaggr.report.what_was_run.exposure_section import write_exposure


def write_report(tables: Tables, figures: Sequence[FigureFile] = (), examples: Examples | None = None) -> Document:
    """Everything that the report says.

    Args:
        tables: of the study.
        figures: written to the report's folder figures/.
        examples: pictures of test samples, in the report's folder; None where none were looked for.
    """
    material = Material(tables, tuple(figures), examples)
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
    title = f"Report of {material.study.name}"
    return Document(title, write_lead(material), tuple(chapter for chapter in chapters if chapter is not None))
