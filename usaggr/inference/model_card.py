"""Model card of an exported model: intended use, inputs and outputs, test scores, and origin.

Other programs read the card, so its keys must not change, even if another name would be better: a "place" is the index
of a task among those of the model. "The graph" is the exported ONNX graph.
"""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePath
from typing import Any, assert_never

from usaggr import __version__
from usaggr.analysis.pseudovalues import read_pseudovalues
from usaggr.analysis.subsets import read_folds
from usaggr.config.model import ModelConfig
from usaggr.data.read.image_reading import FIRST_RULES, ReadingRules
from usaggr.errors import ConfigError
from usaggr.inference.preprocess import get_reading_rules
from usaggr.metrics.names import get_metric
from usaggr.models.weights import TIMM, find_weights_file
from usaggr.results import contract
from usaggr.results.trained_model import StoredRun
from usaggr.statistics.score_intervals import score_intervals
from usaggr.tasks import Task, TaskType

CARD_VERSION = 1
"""Version of the card's format, its `schema_version`."""
INTENDED_USE = "Research use; not a medical device."
LIMITS = (
    "Not for the diagnosis or treatment of patients.",
    "The scores are those of the test set of the data that the model was trained on; images from other devices, sites "
    "or patients may have worse results.",
    "The model predicts for any image, also if it does not belong to the task; probabilities are not calibrated.",
)
UNKNOWN = "not known"

Intervals = dict[str, dict[str, tuple[float, float]]]
"""Lower and upper bound of a test score, by task id and metric."""


def make_card(stored: StoredRun, conditioned: bool, file: dict[str, Any]) -> dict[str, Any]:
    """Make the card as a dictionary for JSON.

    Args:
        stored: Content of the run's folder.
        conditioned: True if the graph has the task as an input.
        file: Entry of the exported file: its name, its hash, and its comparison with the network in torch.

    Raises:
        RunError: The run's predictions cannot be read; the intervals of the scores are computed from them.
    """
    data = stored.source.data
    intervals = _compute_intervals(stored)
    return {
        "schema_version": CARD_VERSION,
        "intended_use": INTENDED_USE,
        "limits": list(LIMITS),
        "file": file,
        "run": {
            "run_id": stored.run_id,
            "study": stored.source.study.name,
            "fingerprint": stored.fingerprint,
            "weights_sha256": stored.weights_hash,
            "scale": stored.scale,
            "seed": stored.seed,
            "variant": stored.variant,
            "network": _describe_network(stored.model),
            "parameters": stored.result.cost.parameters,
        },
        "input": _describe_inputs(stored, conditioned),
        "preprocessing": _describe_preprocessing(stored),
        "tasks": [_describe_task(stored, task, i, intervals) for i, task in enumerate(stored.tasks.values())],
        "scores": {
            "fold": "test",
            "confidence": stored.source.study.confidence,
            "intervals": "over the components (patients or videos) of the test set, for this one model; they do not "
            "include the variation between trainings",
        },
        "training_data": {
            "content_sha256": data.content_hash,
            "split_sha256": data.split_hash,
            "folds": {task_id: _count_samples(stored, task_id) for task_id in stored.tasks},
        },
        "licence": {
            "pretrained_weights": find_license(stored.model),
            "these_weights": f"{UNKNOWN}: it depends on those of the pretrained weights and of the training data",
        },
        "versions": {"trained_with": stored.packages, "exported_with": _read_versions()},
    }


def find_license(model: ModelConfig) -> str:
    """Return the license of the pretrained weights that a network started from, or the reason why it is not known.

    Only timm lists licenses.
    """
    if model.weights is None:
        return "no pretrained weights: trained from scratch"
    try:
        is_local_file = find_weights_file(model) is not None
    except ConfigError:  # the file does not exist any more
        is_local_file = True
    if is_local_file:
        return f"{UNKNOWN}: a local file"
    name = model.encoder
    if model.name == "mh_mtl":
        if not name.startswith("tu-"):  # this prefix marks encoders of timm
            return f"{UNKNOWN}: {model.weights} weights of {name} in segmentation-models-pytorch"
        # The name alone has timm's default weights; others are named by a tag behind it.
        has_tag = model.weights not in ("imagenet", TIMM)
        name = name.removeprefix("tu-") + (f".{model.weights}" if has_tag else "")
    from timm.models import get_pretrained_cfg  # imports torch, which takes seconds

    try:
        settings: Any = get_pretrained_cfg(name)
    except RuntimeError:  # this version of timm does not have the tag
        settings = None
    license_name = getattr(settings, "license", None)
    return f"{license_name} ({settings.hf_hub_id or name} in timm)" if license_name else f"{UNKNOWN}: {name} in timm"


def _describe_network(model: ModelConfig) -> dict[str, Any]:
    """Return the settings of a network; a weights file without its folder, which may hold private names."""
    weights = model.weights and PurePath(model.weights).name
    return {**model.model_dump(), "weights": weights}


def _describe_inputs(stored: StoredRun, conditioned: bool) -> dict[str, Any]:
    """Return type, shape and meaning of each input of the graph; `conditioned` is that of `make_card`."""
    height, width = stored.size
    inputs: dict[str, Any] = {
        "images": {
            "type": "float32",
            "shape": ["N", stored.channels, height, width],
            "range": [0, 255],
            "meaning": "pixels as stored, resized; N can be any number",
        }
    }
    if conditioned:
        task_indices = {task_id: i for i, task_id in enumerate(stored.tasks)}
        inputs["task"] = {
            "type": "int64",
            "shape": ["N"],
            "meaning": "index of each image's task in `places`; only the output of this task is valid for the image",
            "places": task_indices,
        }
    return inputs


def _describe_preprocessing(stored: StoredRun) -> dict[str, Any]:
    """Return the steps from an image file to the network: those before the graph, and those within it."""
    from usaggr.data.batches.batches import MEAN, STD  # imports torch, which takes seconds

    return {
        "before_the_graph": {
            "size": list(stored.size),
            "channels": "RGB" if stored.channels == 3 else "gray (luma, ITU-R 601)",
            "grey_images": "repeated for all channels",
            **_describe_readings({task_id: get_reading_rules(stored, task_id) for task_id in stored.tasks}),
            "aspect": "not kept",
            "interpolation": "area along sides that shrink (OpenCV INTER_AREA), linear along sides that grow",
        },
        "in_the_graph": {"divisor": 255, "mean": list(MEAN), "std": list(STD)},
    }


def _describe_readings(rules: dict[str, ReadingRules]) -> dict[str, str]:
    """Return the conversion of image files to 8 bits, as entries of the card.

    The rules of each task are given by task id. Only their bit depths may differ; orientation and transparency are keys
    of the configuration, which all tasks share.
    """
    shared_rules = next(iter(rules.values()))
    orientation_texts = {"apply": "applied", "ignore": "not applied", None: "not applied; files with one are refused"}
    transparency_texts = {
        "black": "drawn on black",
        "ignore": "dropped",
        None: "dropped; files that hide pixels are refused",
    }
    depths = {task_id: _describe_depth(task_rules) for task_id, task_rules in rules.items()}
    if len(set(depths.values())) == 1:
        depth_text = next(iter(depths.values()))
    else:
        depth_text = "; ".join(f"{task_id}: {text}" for task_id, text in depths.items())
    return {
        "alpha": transparency_texts[shared_rules.transparency],
        "sixteen_bits": depth_text,
        "exif_orientation": orientation_texts[shared_rules.exif_orientation],
    }


def _describe_depth(rules: ReadingRules) -> str:
    """Return the conversion of images of more than 8 bits to 8 bits, in words."""
    if rules == FIRST_RULES:
        return "divided by 257, unless no value is above 255"
    if rules.bit_depth is None:
        return "scaled by the smallest of 8, 10, 12 and 16 bits that holds the values of the file"
    return f"scaled as values of {rules.bit_depth} bits, so that {2**rules.bit_depth - 1} becomes 255"


def _describe_task(stored: StoredRun, task: Task, index: int, intervals: Intervals) -> dict[str, Any]:
    """Return the entry of a task: its output in the graph, numbers of samples, and test scores.

    Args:
        stored: Content of the run's folder.
        task: Task to describe.
        index: Index of the task among those of the graph.
        intervals: Intervals of the scores; a score without one has None as its bounds.
    """
    result = stored.result
    scores = {}
    for metric, value in result.scores[task.id].items():
        low, high = intervals.get(task.id, {}).get(metric, (None, None))
        scores[metric] = {
            "value": value,
            "low": low,
            "high": high,
            "trivial": result.trivial[task.id].get(metric),
            "higher_is_better": get_metric(metric).higher_is_better,
        }
    return {
        "id": task.id,
        "type": task.type,
        "organ": task.organ,
        "clinical_group": task.clinical_group,
        _get_names_key(task.type): list(task.class_names),
        "place": index,
        "output": {"name": task.id, **_describe_output(task, stored.size)},
        "n_train": result.n_train[task.id],
        "n_test": result.n_test[task.id],
        "n_test_subjects": result.n_subjects[task.id],
        "scores": scores,
        "notes": result.notes.get(task.id, []),
    }


def _get_names_key(task_type: TaskType) -> str:
    """Return the card's key for the names that a task of a type has, of its classes, boxes or points."""
    match task_type:
        case "segmentation" | "classification":
            return "classes"
        case "detection":
            return "boxes"
        case "regression":
            return "points"
        case _:
            assert_never(task_type)


def _describe_output(task: Task, size: tuple[int, int]) -> dict[str, Any]:
    """Return shape and meaning of a task's output of the graph."""
    match task.type:
        case "segmentation":
            return {
                "shape": ["N", task.num_classes, *size],
                "meaning": "logits; resize them to the size of the image (bilinear, align_corners=False), then take "
                "the class with the highest",
            }
        case "classification":
            return {"shape": ["N", task.num_classes], "meaning": "probabilities of the classes, which sum to 1"}
        case "detection":
            return {"shape": ["N", 4], "meaning": "x_min, y_min, x_max, y_max as fractions of the image's sides"}
        case "regression":
            return {"shape": ["N", task.num_classes, 2], "meaning": "x, y of each point as fractions of the sides"}
        case _:
            assert_never(task.type)


def _compute_intervals(stored: StoredRun) -> Intervals:
    """Compute the intervals of the test scores, for metrics that vary over at least two components.

    The result is empty if the run has no predictions.
    """
    pseudovalues = read_pseudovalues(
        stored.path / contract.PREDICTIONS, stored.tasks, read_folds(stored.source.directory / contract.SPLIT)
    )
    confidence = stored.source.study.confidence
    return {task_id: score_intervals(values.metrics, confidence) for task_id, values in (pseudovalues or {}).items()}


def _count_samples(stored: StoredRun, task_id: str) -> dict[str, int]:
    """Return the number of a task's samples in each subset, and the number of training samples that this run used."""
    counts = stored.source.data.tasks[task_id]
    used_count = stored.result.n_train[task_id]
    return {"train": counts.n_train, "train_taken": used_count, "val": counts.n_val, "test": counts.n_test}


def _read_versions() -> dict[str, str]:
    """Return the versions of the packages that export the model, of those that are installed."""
    versions = {"usaggr": __version__, "python": platform.python_version()}
    for package in ("torch", "onnx", "onnxscript", "onnxruntime"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
