"""Steps of the methods on data and split, amounts of training data, training, and the validity of runs."""

from collections.abc import Iterator

from usaggr.document import numbers as text
from usaggr.document.display_names import join_names, pluralize
from usaggr.document.elements import escape_markdown
from usaggr.report.grouping_names import explain_label
from usaggr.report.material import Material
from usaggr.report.topic import Entry
from usaggr.report.what_was_run.exposure_section import describe_balancing, describe_exceptions
from usaggr.report.what_was_run.networks_section import describe_network


def describe_design(material: Material) -> Iterator[Entry]:
    """Yield the steps of the methods that come before the comparison."""
    yield "Data and split", _describe_split(material)
    yield "Amounts of training data", _describe_scales(material)
    yield "Models and training", _describe_training(material)


def describe_validity(material: Material) -> Iterator[Entry]:
    """Yield the step of the methods that defines valid runs."""
    yield "Validity", _define_validity(material)


def _describe_split(material: Material) -> str:
    tasks = [material.collection.data.tasks[task] for task in material.collection.tasks]
    sizes = [
        sum(facts.n_train for facts in tasks),
        sum(facts.n_val for facts in tasks),
        sum(facts.n_test for facts in tasks),
    ]
    seed = material.study.get_setting("data.split.seed")
    drawn = f"; split seed {escape_markdown(seed)}" if seed is not None else ""
    return (
        f"The data comprise {pluralize(len(tasks), 'task')} with {pluralize(sum(sizes), 'labeled sample')}. They were "
        f"split once into training, validation and test subsets ({join_names([f'{size:,}' for size in sizes])} "
        f"samples{drawn}), which are the same for all groupings. Samples that share an image or a subject, in any "
        "task, form one component, and each component is in one subset, so no test image or test subject was used in "
        "training under any grouping."
    )


def _describe_scales(material: Material) -> str:
    study = material.study
    if not study.scales:
        return ""
    if isinstance(study.scales[0], int):
        amounts = f"at most {join_names([f'{scale:,}' for scale in study.scales], 'or')} training samples per task"
    else:
        amounts = (
            f"{join_names([text.format_share(scale) for scale in study.scales], 'or')} of each task's training samples"
        )
    is_fixed = study.get_setting("data.subset") == "fixed"
    drawn = "once for all seeds" if is_fixed else "independently for each seed"
    # The integer 1 is a scale of one sample per task, not all of them.
    if all(scale == 1.0 and not isinstance(scale, int) for scale in study.scales):
        return "All training samples were used, and all validation and test samples."
    return (
        f"Models were trained on {amounts}. Each amount consists of the first samples of a random ranking of the "
        f"task's training samples, drawn {drawn}, so smaller amounts are subsets of larger ones. In the ranking, "
        "classes alternate in proportion to their frequency, and samples of one component are adjacent. The ranking "
        "does not depend on the grouping. All validation and test samples were always used."
    )


def _describe_training(material: Material) -> str:
    study = material.study

    def format_setting(key: str) -> str:
        value = study.get_setting(key)
        return "not recorded" if value is None else escape_markdown(value)

    groupings = join_names(
        [
            f"{explain_label(name)}: {pluralize(material.comparison.count_models(name), 'model')}"
            for name in study.groupings
        ]
    )
    several = ""
    if len(study.variants) > 1:
        changes = [
            f"{escape_markdown(n)} ({escape_markdown(' '.join(o)) if o else 'no change'})"
            for n, o in study.variants.items()
        ]
        several = f" Every grouping was trained in {len(changes)} variants: {join_names(changes)}."
    balancing = describe_balancing(material)
    several += f" {balancing}" if balancing else ""
    weights = study.get_setting("model.weights")
    start = f"starting from the weights {escape_markdown(weights)}" if weights else "trained from scratch"
    return (
        f"The following groupings were compared: {groupings}. The tasks of a block share one model, and a block that "
        "occurs in several groupings was trained once. All models have the same architecture "
        f"({format_setting('model.name')}, encoder {format_setting('model.encoder')}, {describe_network(study)}, "
        f"{start}), with inputs of {format_setting('data.image_size')} pixels and one head per task. Under every "
        f"grouping{describe_exceptions(material)}, each task was trained for {format_setting('training.budget')}, in "
        "the same order and with the same augmentations, which depend only on the task and the seed. A shared model "
        "receives the examples of its tasks in proportion to their numbers. The batch size was "
        f"{format_setting('training.batch_size')} and the learning rate {format_setting('training.learning_rate')}. "
        "Initial weights of the shared network depend on the seed, and those of a head on task and seed. Training was "
        f"repeated with {pluralize(len(study.seeds), 'seed')} ({', '.join(map(str, study.seeds))}). The "
        f"{format_setting('training.score_weights')} weights of each run were scored.{several}"
    )


def _define_validity(material: Material) -> str:
    return (
        "A run is collapsed on a task if neither its validation nor its test score is better than that of the trivial "
        "predictor, which ignores the image. It is unconverged if its validation skill still rises by more than "
        f"{material.study.convergence_margin:g} in the last quarter of training, and diverged if it ends far below its "
        "own best validation score. A cell has the label that most of its seeds have. A single seed also counts as "
        "collapsed if its skill is below a quarter of the best seed's skill of the same cell and at least .2 lower; a "
        "weak cell is compared with the best seed of any grouping. A "
        "cell in which any seed of either side collapsed gets neither gain nor no loss. It is a loss only if it is one "
        "with all seeds and without the collapsed ones, or if all its seeds collapsed, none of the reference's, and "
        "Fisher's exact test excludes chance; no answer, average in the answer or claim rests on it. Counts and "
        "delta_m are also given without cells that have collapsed seeds or are unconverged. These counts leave cells "
        "out because of their outcome (post-selection), so that they are descriptive."
    )
