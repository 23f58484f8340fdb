"""Runs whose tasks are not equally exposed: trained on more or fewer examples than under other groupings.

`training.sampling` deviates from equal exposure on purpose; its runs state this in their notes.
"""

from usaggr.analysis.collect import CollectedRun, Collection
from usaggr.data.batches.streams import NOT_EQUAL
from usaggr.results.stored_study import StudyFacts


def is_unequal(run: CollectedRun, task: str | None = None) -> bool:
    """Return whether a run notes unequal exposure of a task, or of any task if none is given."""
    if run.result is None:
        return False
    notes = run.result.notes
    tasks = notes if task is None else (task,)
    return any(note.startswith(NOT_EQUAL) for name in tasks for note in notes.get(name, ()))


def find_unequal_variants(collection: Collection) -> tuple[str, ...]:
    """Return the variants with runs whose tasks are not equally exposed, in the study's order."""
    unequal = {run.row.variant for run in collection.runs if is_unequal(run)}
    return tuple(name for name in collection.study.variants if name in unequal)


def read_variant_setting(study: StudyFacts, variant: str, key: str) -> str:
    """Return the value of a configuration key under a variant, as text.

    Args:
        study: The study, from its study.yaml.
        variant: Name of the variant; its overrides take precedence, and of repeated ones the last.
        key: Dotted key, such as `training.sampling`.

    Returns:
        The value; empty if study.yaml does not set the key.
    """
    overrides = [override.split("=", 1) for override in study.variants.get(variant, ()) if "=" in override]
    values = [value for name, value in overrides if name.lstrip("+") == key]
    value = values[-1] if values else study.get_setting(key)
    return "" if value is None else str(value)
