"""Where tasks are not equally exposed: how many examples each was trained on, beside its own model of the same variant.

`training.sampling` departs from equal exposure on purpose, and its runs say so in their notes.
"""

from usaggr.analysis.collect import CollectedRun, Collection
from usaggr.data.batches.streams import NOT_EQUAL
from usaggr.results.stored_study import StudyFacts


def is_unequal(run: CollectedRun, task: str | None = None) -> bool:
    """Whether a run says of a task, or of any, that it was seen more or less often than under other groupings."""
    if run.result is None:
        return False
    notes = run.result.notes
    return any(note.startswith(NOT_EQUAL) for of in (notes if task is None else (task,)) for note in notes.get(of, ()))


def unequal_variants(collection: Collection) -> tuple[str, ...]:
    """Variants with runs whose tasks are not equally exposed, in the study's order."""
    found = {run.row.variant for run in collection.runs if is_unequal(run)}
    return tuple(name for name in collection.study.variants if name in found)


def setting_of(study: StudyFacts, variant: str, key: str) -> str:
    """What a dotted key is under a variant, as far as study.yaml says it; empty where it says nothing."""
    overrides = [one.split("=", 1) for one in study.variants.get(variant, ()) if "=" in one]
    own = [value for name, value in overrides if name.lstrip("+") == key]
    value = own[-1] if own else study.setting(key)
    return "" if value is None else str(value)
