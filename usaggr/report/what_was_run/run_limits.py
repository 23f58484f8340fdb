"""Limits that follow from how runs were trained."""

from collections.abc import Iterator

from usaggr.analysis.exposure import unequal_variants
from usaggr.document.display_names import listed
from usaggr.document.elements import literal
from usaggr.report.material import Material
from usaggr.report.what_was_run.exposure_section import but_in


def describe_run_limits(material: Material) -> Iterator[str]:
    """Yield limits of this study's training, then those of training in general."""
    study = material.study
    if study.setting("data.subset") == "fixed":
        yield (
            "`data.subset: fixed`: every seed has the same training samples, so that intervals do not cover which "
            "samples were drawn."
        )
    if study.setting("model.norm") == "batch":
        yield (
            "`model.norm: batch`: normalisation mixes the samples of a batch, so that what else is in a batch has an "
            "influence of its own; groupings are not compared on equal terms."
        )
    unequal = unequal_variants(material.collection)
    if unequal:
        names = listed([literal(name) for name in unequal])
        yield (
            f"`training.sampling` in {names}: a task is seen more or less often under one grouping than under another, "
            "which is not told apart there from what sharing does."
        )
    yield (
        "What differs between groupings for a reason: a shared model has more training samples and more updates in its "
        "shared part, and its capacity serves several tasks; every task's own stream of training examples is the "
        f"same{but_in(material)}."
    )
    yield (
        "A run that has not learnt its task shows that this training failed, not that sharing hurts; many such runs "
        "under one grouping are a failure of that grouping."
    )
