"""What the report cannot tell: limits of this study and of the method."""

from usaggr.analysis.exposure import unequal_variants
from usaggr.document.display_names import listed
from usaggr.document.elements import Items, Section, literal
from usaggr.report.material import Material, section
from usaggr.report.what_was_run.exposure_section import but_in


def write_limits(material: Material) -> Section | None:
    """A list of limits, those of this study first."""
    study = material.study
    said = []
    if len(study.seeds) < 2:
        said.append(
            "One seed: intervals do not cover the chance in training, and every verdict is provisional. Two more seeds "
            "are the best next step."
        )
    elif len(study.seeds) == 2:
        said.append("Two seeds: the variance between seeds is hardly known, so that intervals are wide.")
    if study.setting("data.subset") == "fixed":
        said.append(
            "`data.subset: fixed`: every seed has the same training samples, so that intervals do not cover which "
            "samples were drawn."
        )
    if study.setting("model.norm") == "batch":
        said.append(
            "`model.norm: batch`: normalisation mixes the samples of a batch, so that what else is in a batch has an "
            "influence of its own; groupings are not compared on equal terms."
        )
    unequal = unequal_variants(material.collection)
    if unequal:
        names = listed([literal(name) for name in unequal])
        said.append(
            f"`training.sampling` in {names}: a task is seen more or less often under one grouping than under another, "
            "which is not told apart there from what sharing does."
        )
    said += [
        "What differs between groupings for a reason: a shared model has more training samples and more updates in its "
        "shared part, and its capacity serves several tasks; every task's own stream of training examples is the "
        f"same{but_in(material)}.",
        "A run that has not learnt its task shows that this training failed, not that sharing hurts; many such runs "
        "under one grouping are a failure of that grouping.",
        "The tasks are those of this study: intervals of averages speak of them, not of tasks in general. Test "
        "subjects are drawn from the same sources as training subjects; nothing is said of other hospitals or devices.",
        "One architecture, one budget and one set of training settings were compared in each variant; another network "
        "may share better or worse.",
        "Under a grouping that shares a model, the tasks' differences are correlated, as one run serves several of "
        "them: tests that count tasks as independent are descriptive.",
        "Rare failures: where a few per cent of the subjects fail badly, no interval of this kind covers; hence the "
        "rule of no verdict where a difference hangs on few subjects.",
    ]
    return section("Limits", Items(tuple(said)))
