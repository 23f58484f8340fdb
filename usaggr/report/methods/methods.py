"""Methods in words that can go into a paper's methods section, with this study's numbers filled in."""

from collections.abc import Sequence

from usaggr.data.split.manifest import MIN_TEST_SUBJECTS
from usaggr.document import numbers as text
from usaggr.document.display_names import grouping_label, listed, metric_label, plural
from usaggr.document.elements import Paragraph, Section, literal
from usaggr.metrics.names import main_metric
from usaggr.report.material import Material, section
from usaggr.report.topic import Entry
from usaggr.report.what_was_run.exposure_section import say_balancing
from usaggr.report.what_was_run.networks_section import describe_network
from usaggr.statistics.minimum_evidence import FEWEST
from usaggr.statistics.verdicts import ALPHA, ALPHA_NI


def write_methods(material: Material, of_topics: Sequence[Entry]) -> Section | None:
    """Write a paragraph for each step, from the data to the verdicts; None where nothing is planned.

    Args:
        material: of the report.
        of_topics: titles and texts of the steps that topics of the report add.
    """
    if not material.collection.runs:
        return None
    steps = (
        ("Data and split", _split(material)),
        ("Amounts of training data", _scales(material)),
        ("Models and training", _training(material)),
        ("Scores", _scores(material)),
        ("Intervals", _intervals(material)),
        ("Verdicts", _verdicts(material)),
        ("Averages over tasks", _averages(material)),
        *of_topics,
        ("Validity", _validity(material)),
    )
    return section("Methods", *(Paragraph(f"**{title}.** {said}") for title, said in steps if said))


def _split(material: Material) -> str:
    tasks = [material.collection.data.tasks[task] for task in material.collection.tasks]
    folds = [sum(getattr(facts, name) for facts in tasks) for name in ("n_train", "n_val", "n_test")]
    seed = material.study.setting("data.split.seed")
    drawn = f"; split seed {literal(seed)}" if seed is not None else ""
    return (
        f"{plural(len(tasks), 'task')} with {plural(sum(folds), 'labelled sample')} were split once into training, "
        f"validation and test folds ({listed([f'{size:,}' for size in folds])} samples{drawn}). Samples that share an "
        "image or a subject, in any task, were tied into components, and a component is never cut between folds, so "
        "that no image or subject of the test fold was seen in training under any grouping."
    )


def _scales(material: Material) -> str:
    study = material.study
    if not study.scales:
        return ""
    if isinstance(study.scales[0], int):
        amounts = f"at most {listed([f'{scale:,}' for scale in study.scales], 'or')} training samples a task"
    else:
        amounts = f"{listed([text.share(scale) for scale in study.scales], 'or')} of each task's training samples"
    fixed = study.setting("data.subset") == "fixed"
    drawn = "once, the same for all seeds" if fixed else "anew for each seed"
    if all(scale == 1.0 and not isinstance(scale, int) for scale in study.scales):
        return "All training samples were used. Validation and test folds are whole."
    return (
        f"Models were trained on {amounts}: the first of a ranking of the task's training samples, drawn {drawn}, in "
        "which classes alternate in proportion and samples of one component are adjacent, so that smaller amounts are "
        "part of larger ones. The ranking does not depend on the grouping. Validation and test folds are always whole."
    )


def _training(material: Material) -> str:
    study = material.study

    def said(key: str) -> str:
        value = study.setting(key)
        return "of no record" if value is None else literal(value)

    groupings = [
        f"{literal(grouping_label(name))} ({plural(material.comparison.models(name), 'model')})"
        for name in study.groupings
    ]
    several = ""
    if len(study.variants) > 1:
        changes = [f"{literal(n)} ({literal(' '.join(o)) if o else 'no change'})" for n, o in study.variants.items()]
        several = f" All of it was done in {len(changes)} variants: {listed(changes)}."
    otherwise = say_balancing(material)
    several += f" {otherwise}" if otherwise else ""
    weights = study.setting("model.weights")
    start = f"from the weights {literal(weights)}" if weights else "from scratch"
    start = f"{describe_network(study)}, {start}"
    return (
        f"The tasks were grouped as {listed(groupings)}; a block of tasks shares one model, and a block that stands in "
        f"two groupings was trained once. All models are of one architecture ({said('model.name')}, encoder "
        f"{said('model.encoder')}, {start}) with inputs of "
        f"{said('data.image_size')} pixels, and a head for each task. Under every grouping each task is seen for "
        f"{said('training.budget')}, in the same order and with the same augmentations, which depend on task and seed "
        f"alone; tasks that share a model are merged in proportion, in batches of {said('training.batch_size')}, at a "
        f"learning rate of {said('training.learning_rate')}. Initial weights of the shared network depend on the seed, "
        f"those of a head on task and seed. {plural(len(study.seeds), 'seed')} ({', '.join(map(str, study.seeds))}) "
        f"were trained; the {said('training.score_weights')} weights are scored.{several}"
    )


def _scores(material: Material) -> str:
    data = material.collection.data
    types = sorted({data.tasks[task].task.type for task in material.collection.tasks})
    mains = listed([f"{metric_label(main_metric(kind).name)} for {kind}" for kind in types])
    return (
        f"The main metric is {mains}. All scores are taken over the whole test fold at the images' original "
        "resolution, from stored predictions of single samples, and never averaged over metrics of different units."
    )


def _intervals(material: Material) -> str:
    confidence = text.share(material.study.confidence)
    types = {material.collection.data.tasks[task].task.type for task in material.collection.tasks}
    of_folds = "and those of a whole fold (AUC, F1, MCC)" if "classification" in types else "and those of a whole fold"
    base = (
        "A difference from the reference is paired by seed and test sample. Both runs' scores are written as jackknife "
        "pseudo-values of the test components (for a mean over samples, the components' own parts of it), so that the "
        f"same analysis serves per-sample metrics {of_folds}. "
    )
    if len(material.study.seeds) < 2:
        return base + (
            f"With a single seed the {confidence} interval is Student's t over test components, and covers test "
            "sampling alone."
        )
    return base + (
        "The table seeds × components is analysed as two crossed random factors, seeds as readers and components as "
        "cases (Dorfman, Berbaum and Metz 1992; Hillis 2007). The critical value of the "
        f"{confidence} interval is the mean of the two factors' t quantiles, weighted by their parts of the variance "
        "(Cochran and Cox 1957). A task's variance between seeds is pooled over its groupings and scales where "
        "Bartlett's test does not reject equality at level .25."
    )


def _verdicts(material: Material) -> str:
    study = material.study
    return (
        "A family is the tasks of one grouping, scale and variant. Two p values of each cell are adjusted by Holm's "
        "method within the family: p (two-sided, no difference) and p_ni (one-sided, a difference of at most minus the "
        f"margin). The verdict is, in this order: gain, where adjusted p < {_short(ALPHA)} and the difference is "
        f"positive; no loss, where adjusted p_ni < {_short(ALPHA_NI)}; loss, where adjusted p < {_short(ALPHA)} and "
        f"the difference is negative; else undecided. Margins are {study.margin:g} for metrics whose best value is 1 "
        f"and {text.share(study.relative_margin)} of the reference's mean for distances. Intervals shown are not "
        f"adjusted. There is no verdict with under {MIN_TEST_SUBJECTS} test subjects, and none where the rarer class "
        f"has, or the difference hangs on, under {FEWEST}: no interval holds there. A verdict from one seed is "
        "provisional. For an undecided cell, seeds_needed is the number of seeds at which the difference observed "
        "would be decided with the present subjects."
    )


def _averages(material: Material) -> str:
    return (
        "delta_m is the mean over tasks of the relative change of the main metric against the reference (Maninis, "
        "Radosavovic and Kokkinos 2019), delta_skill that of the difference in skill. Their intervals keep the tasks "
        "fixed and take seeds and components jointly over tasks, since one seed and one patient act on several tasks "
        "at once. Tasks whose model is the reference's own run are left out."
    )


def _validity(material: Material) -> str:
    return (
        "A run has collapsed on a task if neither its validation nor its test score is better than that of a predictor "
        "that ignores the image, and has not converged if its skill on validation still rises by more than "
        f"{material.study.convergence_margin:g} over the last quarter of training. A cell is so named if most of its "
        "seeds are. Such cells keep their verdicts and are counted; counts and delta_m are also given without them."
    )


def _short(level: float) -> str:
    return f"{level:g}".removeprefix("0")
