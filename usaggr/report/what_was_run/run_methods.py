"""Methods of what was run: data and split, amounts of training data, training, and the validity of runs."""

from collections.abc import Iterator

from usaggr.document import numbers as text
from usaggr.document.display_names import grouping_label, listed, plural
from usaggr.document.elements import literal
from usaggr.report.material import Material
from usaggr.report.topic import Entry
from usaggr.report.what_was_run.exposure_section import say_balancing
from usaggr.report.what_was_run.networks_section import describe_network


def describe_design(material: Material) -> Iterator[Entry]:
    """Yield the steps of the methods that come before the comparison."""
    yield "Data and split", _split(material)
    yield "Amounts of training data", _scales(material)
    yield "Models and training", _training(material)


def describe_validity(material: Material) -> Iterator[Entry]:
    """Yield the step of the methods that says which runs are valid."""
    yield "Validity", _validity(material)


def _split(material: Material) -> str:
    tasks = [material.collection.data.tasks[task] for task in material.collection.tasks]
    folds = [
        sum(facts.n_train for facts in tasks),
        sum(facts.n_val for facts in tasks),
        sum(facts.n_test for facts in tasks),
    ]
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


def _validity(material: Material) -> str:
    return (
        "A run has collapsed on a task if neither its validation nor its test score is better than that of a predictor "
        "that ignores the image, and has not converged if its skill on validation still rises by more than "
        f"{material.study.convergence_margin:g} over the last quarter of training. A cell is so named if most of its "
        "seeds are. Such cells keep their verdicts and are counted; counts and delta_m are also given without them."
    )
