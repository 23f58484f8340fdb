"""The first lines of the report: what was asked, what is done, and the answer with how sure it is."""

from collections import Counter

from usaggr.analysis.compare_study import Scale
from usaggr.analysis.recommendations import Kind, Recommendation, doubts_of, recommendations_at
from usaggr.analysis.row_tables import group_rows
from usaggr.document.display_names import grouping_label, listed, plural
from usaggr.document.elements import Block, Paragraph, literal
from usaggr.report.material import Material, paragraph

_MOST_NAMES = 6


def write_lead(material: Material) -> tuple[Block, ...]:
    """What stands above all chapters."""
    runs = material.collection.runs
    if not runs:
        return (Paragraph("**Nothing is planned in this folder, so there is nothing to report.**"),)
    said = _asked(material)
    if not material.comparison.runs_done:
        said += f" **0 of {plural(len(runs), 'planned run')} are done, so there is no answer yet.** "
        return (Paragraph(said + "What follows says what was asked."),)
    holes = (
        ""
        if material.comparison.runs_done == len(runs)
        else " The others leave holes, which are marked as missing and counted."
    )
    done = f"**{material.comparison.runs_done:,} of {plural(len(runs), 'planned run')} are done.**{holes}"
    blocks = (_leakage(material), paragraph(said, done), _answer(material))
    return tuple(block for block in blocks if block is not None)


def _leakage(material: Material) -> Block | None:
    """A warning if a patient, an image or a file is in two folds."""
    if material.collection.disjoint:
        return None
    return Paragraph(
        "**Folds are not disjoint: models were tested on patients or images that they may have been trained on, so no "
        "score here can be trusted.** The chapter on data says which they are."
    )


def _asked(material: Material) -> str:
    study, scales = material.study, {scale for _, scale in material.comparison.scales_by_variant}
    labels = listed([literal(grouping_label(name)) for name in material.comparison.groupings])
    return (
        f"Which of these {plural(len(material.collection.tasks), 'task')} should share one model? One network, data "
        f"set and split; {plural(len(study.groupings), 'way')} of grouping the tasks ({labels}), "
        f"{plural(len(scales), 'amount')} of training data, {plural(len(study.seeds), 'seed')}."
    )


def _answer(material: Material) -> Block:
    if not material.comparison.others:
        return Paragraph(f"There is only {literal(material.reference)}, so nothing is compared.")
    variant, scale = material.comparison.scales_by_variant[0]
    found = recommendations_at(material.comparison, variant, scale)
    if all(one.kind == "no verdict" for one in found):
        return Paragraph("**No difference can be judged yet**: the reason stands with each task below.")
    where = literal(material.where(variant, scale))
    losses = name_losses(material, variant, scale)
    said = f"With {where}, {count_answers(material, found)}." + (f" {losses}" if losses else "")
    return Paragraph(f"**{said}** {certainty(material)}")


def count_answers(material: Material, found: tuple[Recommendation, ...]) -> str:
    """Part of a sentence: how many tasks should leave the reference, and for which grouping."""
    counts = Counter(one.kind for one in found)
    reference = literal(material.reference)

    def said(kind: Kind, one: str, many: str, tail: str = "") -> str:
        number = counts[kind]
        return f"{number} {one if number == 1 else many}{tail}" if number else ""

    parts = [
        said("gain", "gains", "gain", f" under another grouping than {reference} ({_whom(found, 'gain')})"),
        said(
            "good enough",
            "loses",
            "lose",
            f" nothing under a grouping with fewer models ({_whom(found, 'good enough')})",
        ),
        said("keep", "is", "are", f" best left with {reference}"),
        said("not known", "is undecided", "are undecided"),
        said("no verdict", "cannot be judged", "cannot be judged"),
    ]
    answer = f"of {plural(len(found), 'task')}, {listed([part for part in parts if part])}"
    rows = [one.row for one in found if one.kind in ("gain", "good enough", "keep") and one.row is not None]
    doubtful = sum(row.seeds > 1 and bool(doubts_of(row, material.reference)) for row in rows)
    if not doubtful:
        return answer
    rest = "rests" if doubtful == 1 else "rest"
    return f"{answer} ({doubtful} of these answers {rest} on models that have not converged or learnt too little)"


def name_losses(material: Material, variant: str, scale: Scale) -> str:
    """A sentence that names the tasks of each grouping with a certain loss; nothing where there are none."""
    rows = material.comparison.main_verdicts(variant, scale)
    lost = group_rows((row for row in rows if row.verdict == "loss"), lambda row: row.grouping)
    parts = []
    for grouping in material.comparison.others:
        tasks = [literal(row.task) for row in lost.get(grouping, [])]
        if tasks:
            shown = listed(tasks) if len(tasks) <= _MOST_NAMES else f"{len(tasks)} tasks"
            parts.append(f"{literal(grouping_label(grouping))} for {shown}")
    return f"A certain loss: {'; '.join(parts)}." if parts else ""


def _whom(found: tuple[Recommendation, ...], kind: Kind) -> str:
    of_kind = Counter(one.grouping for one in found if one.kind == kind and one.grouping is not None)
    return ", ".join(f"{literal(grouping_label(name))} {number}" for name, number in of_kind.most_common())


def certainty(material: Material) -> str:
    """How sure verdicts are."""
    if len(material.study.seeds) < 2:
        return (
            "All verdicts are provisional: with one seed, intervals cover which subjects are tested, and not the "
            "chance in training."
        )
    return (
        "Verdicts allow for chance both in training (seeds) and in who is tested (subjects); among the tasks of one "
        "grouping and scale, the risk of any false gain is held at 2.5 %, and that of any false difference at 5 %."
    )
