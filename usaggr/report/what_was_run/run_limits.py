"""Limits of the report that follow from the training of the runs."""

from collections.abc import Iterator

from usaggr.analysis.exposure import find_unequal_variants
from usaggr.document.display_names import join_names
from usaggr.document.elements import escape_markdown
from usaggr.report.material import Material
from usaggr.report.what_was_run.exposure_section import describe_exceptions


def describe_run_limits(material: Material) -> Iterator[str]:
    """Yield limits of this study's training, then those of training in general."""
    study = material.study
    if study.get_setting("data.subset") == "fixed":
        yield (
            "All seeds use the same training samples (`data.subset: fixed`), so intervals do not cover the variation "
            "from the choice of training samples."
        )
    if study.get_setting("model.norm") == "batch":
        yield (
            "Batch normalization (`model.norm: batch`) mixes the samples of a batch, so a prediction depends on the "
            "other samples in its batch during training, and groupings are not compared under equal conditions."
        )
    unequal = find_unequal_variants(material.collection)
    if unequal:
        names = join_names([escape_markdown(name) for name in unequal])
        yield (
            f"In {names}, `training.sampling` changes the number of training examples of a task between groupings. "
            "There, the effect of sharing cannot be separated from the effect of exposure."
        )
    yield (
        "Two differences between groupings are intended: the shared layers of a shared model are updated more often, "
        "on more training samples, and its capacity serves several tasks. Each task's sequence of training examples "
        f"is the same under every grouping{describe_exceptions(material)}."
    )
    yield (
        "A run that did not learn its task shows that this training failed, not that sharing harms. If many runs of "
        "one grouping fail, the grouping itself is the likely cause."
    )
