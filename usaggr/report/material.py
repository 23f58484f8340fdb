"""Material that chapters are written from: collected runs, tables and pictures."""

from dataclasses import dataclass, field

from usaggr.analysis.collect import Collection
from usaggr.analysis.compare_study import Scale, StudyComparison
from usaggr.document.display_names import grouping_label, scale_label
from usaggr.document.elements import Block, Paragraph, Picture, Section
from usaggr.report.figures import FigureFile
from usaggr.report.tables import Tables
from usaggr.report.tasks.examples import Examples
from usaggr.results.stored_study import StudyFacts


@dataclass(frozen=True)
class Material:
    """Tables, figures and pictures of a study, which are the only source of the report."""

    tables: Tables
    figures: tuple[FigureFile, ...] = field(default=())
    examples: Examples | None = None
    """Pictures of test samples; None if none were requested."""

    @property
    def comparison(self) -> StudyComparison:
        """Scores, differences and verdicts of the study."""
        return self.tables.comparison

    @property
    def collection(self) -> Collection:
        """Runs, data and split of the study."""
        return self.comparison.collection

    @property
    def study(self) -> StudyFacts:
        """Settings of the study."""
        return self.comparison.study

    @property
    def reference(self) -> str:
        """Label of the reference grouping."""
        return grouping_label(self.study.reference)

    def describe_setting(self, variant: str, scale: Scale) -> str:
        """Return words for a scale, and for the variant if the study has several."""
        suffix = f", variant {variant}" if len(self.study.variants) > 1 else ""
        return scale_label(scale) + suffix

    def make_pictures(self, *slots: str) -> tuple[Block, ...]:
        """Return the figures whose `slot` is one of `slots`, each with its description."""
        return tuple(
            Picture(f"figures/{figure.name}.{_choose_format(figure)}", figure.title, figure.description)
            for figure in self.figures
            if figure.slot in slots
        )


def _choose_format(figure: FigureFile) -> str:
    return "png" if "png" in figure.formats else figure.formats[0]


def capitalize(text: str) -> str:
    """Return a sentence or title with a capital first letter."""
    return text[:1].upper() + text[1:]


def make_section(title: str, *blocks: Block | None, sections: tuple[Section | None, ...] = ()) -> Section | None:
    """Return a section of the blocks and sections that are not None; None if all are.

    Args:
        title: Heading of the section.
        blocks: Paragraphs, tables and pictures.
        sections: Sections below it.
    """
    present = tuple(block for block in blocks if block is not None)
    inner = tuple(child for child in sections if child is not None)
    return Section(title, present, inner) if present or inner else None


def make_paragraph(*sentences: str) -> Paragraph | None:
    """Return the sentences that are not empty as one paragraph; None if all are empty."""
    text = " ".join(sentence for sentence in sentences if sentence)
    return Paragraph(text) if text else None
