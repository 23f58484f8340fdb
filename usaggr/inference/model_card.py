"""The card of an exported model: what it is for, what goes in and comes out, how good it is, where it comes from."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePath
from typing import Any, assert_never

from usaggr import __version__
from usaggr.analysis.pseudovalues import read_pseudovalues
from usaggr.analysis.subsets import read_folds
from usaggr.config.model import ModelConfig
from usaggr.errors import ConfigError
from usaggr.metrics.names import metric
from usaggr.models.weights import TIMM, weights_file
from usaggr.results import contract
from usaggr.results.trained_model import StoredRun
from usaggr.statistics.score_intervals import score_intervals
from usaggr.tasks import Task, TaskType

CARD_VERSION = 1
INTENDED_USE = "Research use; not a medical device."
LIMITS = (
    "Not to be used for the diagnosis or treatment of anybody.",
    "The scores are of the test fold of the data that it was trained on: images of other devices, places or patients "
    "may do worse.",
    "It answers for any image, also for one that is not of its task; probabilities are not calibrated.",
)
NOT_KNOWN = "not known"


def make_card(stored: StoredRun, conditioned: bool, file: dict[str, Any]) -> dict[str, Any]:
    """The card, ready for JSON.

    Args:
        stored: the run.
        conditioned: whether the graph takes the task as an input.
        file: facts of the exported file: its name, hash, and how it was compared with the model.

    Raises:
        RunError: the run's predictions, which intervals are taken from, cannot be read.
    """
    data = stored.source.data
    bounds = _intervals(stored)
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
            "network": _network(stored.model),
            "parameters": stored.result.cost.parameters,
        },
        "input": _input(stored, conditioned),
        "preprocessing": _preprocessing(stored),
        "tasks": [_task(stored, task, place, bounds) for place, task in enumerate(stored.tasks.values())],
        "scores": {
            "fold": "test",
            "confidence": stored.source.study.confidence,
            "intervals": "over the components (patients or videos) of the test fold, for this one model: they do not "
            "cover another training",
        },
        "training_data": {
            "content_sha256": data.content_hash,
            "split_sha256": data.split_hash,
            "folds": {t: _fold_sizes(stored, t) for t in stored.tasks},
        },
        "licence": {
            "pretrained_weights": licence_of(stored.model),
            "these_weights": f"{NOT_KNOWN}: that of the pretrained weights and of the training data decide",
        },
        "versions": {"trained_with": stored.packages, "exported_with": _versions()},
    }


def licence_of(model: ModelConfig) -> str:
    """The licence of the pretrained weights that a network began with, as timm knows it."""
    if model.weights is None:
        return "none are in it: trained from scratch"
    try:
        local = weights_file(model) is not None
    except ConfigError:  # a file that is gone
        local = True
    if local:
        return f"{NOT_KNOWN}: a local file"
    name = model.encoder
    if model.name == "mh_mtl":
        if not name.startswith("tu-"):
            return f"{NOT_KNOWN}: {model.weights} weights of {name} in segmentation-models-pytorch"
        name = name.removeprefix("tu-") + ("" if model.weights in ("imagenet", TIMM) else f".{model.weights}")
    from timm.models import get_pretrained_cfg  # torch, which takes seconds to import

    try:
        found: Any = get_pretrained_cfg(name)
    except RuntimeError:  # no such tag in this version
        found = None
    licence = getattr(found, "license", None)
    return f"{licence} ({found.hf_hub_id or name} in timm)" if licence else f"{NOT_KNOWN}: {name} in timm"


def _network(model: ModelConfig) -> dict[str, Any]:
    """Its settings; of a local file of weights the name alone, since folders are this machine's."""
    weights = model.weights and PurePath(model.weights).name
    return {**model.model_dump(), "weights": weights}


def _input(stored: StoredRun, conditioned: bool) -> dict[str, Any]:
    height, width = stored.size
    inputs: dict[str, Any] = {
        "images": {
            "type": "float32",
            "shape": ["N", stored.channels, height, width],
            "range": [0, 255],
            "meaning": "pixels as stored, resized; N is free",
        }
    }
    if conditioned:
        places = {task_id: place for place, task_id in enumerate(stored.tasks)}
        inputs["task"] = {
            "type": "int64",
            "shape": ["N"],
            "meaning": "of what task each image is, by its place; read the output of that task alone",
            "places": places,
        }
    return inputs


def _preprocessing(stored: StoredRun) -> dict[str, Any]:
    from usaggr.data.batches.batches import MEAN, STD  # torch

    return {
        "before_the_graph": {
            "size": list(stored.size),
            "channels": "RGB" if stored.channels == 3 else "grey (luma, ITU-R 601)",
            "grey_images": "repeated for all channels",
            "alpha": "dropped",
            "sixteen_bits": "divided by 257, unless no value is above 255",
            "exif_orientation": "not applied",
            "aspect": "not kept",
            "interpolation": "by area along sides that shrink (OpenCV INTER_AREA), linear along sides that grow",
        },
        "in_the_graph": {"divisor": 255, "mean": list(MEAN), "std": list(STD)},
    }


def _task(
    stored: StoredRun, task: Task, place: int, bounds: dict[str, dict[str, tuple[float, float]]]
) -> dict[str, Any]:
    result = stored.result
    scores = {}
    for name, value in result.scores[task.id].items():
        low, high = bounds.get(task.id, {}).get(name, (None, None))
        trivial = result.trivial[task.id].get(name)
        better = metric(name).higher_is_better
        scores[name] = {"value": value, "low": low, "high": high, "trivial": trivial, "higher_is_better": better}
    return {
        "id": task.id,
        "type": task.type,
        "organ": task.organ,
        "clinical_group": task.clinical_group,
        _named(task.type): list(task.class_names),
        "place": place,
        "output": {"name": task.id, **_output(task, stored.size)},
        "n_train": result.n_train[task.id],
        "n_test": result.n_test[task.id],
        "n_test_subjects": result.n_subjects[task.id],
        "scores": scores,
        "notes": result.notes.get(task.id, []),
    }


def _named(task_type: TaskType) -> str:
    """Return the key under which the names of classes, boxes or points stand."""
    match task_type:
        case "segmentation" | "classification":
            return "classes"
        case "detection":
            return "boxes"
        case "regression":
            return "points"
        case _:
            assert_never(task_type)


def _output(task: Task, size: tuple[int, int]) -> dict[str, Any]:
    match task.type:
        case "segmentation":
            return {
                "shape": ["N", task.num_classes, *size],
                "meaning": "logits; enlarge them to the image's size (bilinear, corners not aligned), then take the "
                "class of the highest one",
            }
        case "classification":
            return {"shape": ["N", task.num_classes], "meaning": "probabilities of the classes, sum 1"}
        case "detection":
            return {"shape": ["N", 4], "meaning": "x_min, y_min, x_max, y_max as fractions of the image's sides"}
        case "regression":
            return {"shape": ["N", task.num_classes, 2], "meaning": "x, y of each point as fractions of the sides"}
        case _:
            assert_never(task.type)


def _intervals(stored: StoredRun) -> dict[str, dict[str, tuple[float, float]]]:
    """Task: metric: low and high; of what varies over at least two components."""
    found = read_pseudovalues(
        stored.path / contract.PREDICTIONS, stored.tasks, read_folds(stored.source.directory / contract.SPLIT)
    )
    confidence = stored.source.study.confidence
    return {task_id: score_intervals(of.metrics, confidence) for task_id, of in (found or {}).items()}


def _fold_sizes(stored: StoredRun, task_id: str) -> dict[str, int]:
    """Samples of a task in each fold, and how many of those to train with this run took."""
    facts = stored.source.data.tasks[task_id]
    taken = stored.result.n_train[task_id]
    return {"train": facts.n_train, "train_taken": taken, "val": facts.n_val, "test": facts.n_test}


def _versions() -> dict[str, str]:
    found = {"usaggr": __version__, "python": platform.python_version()}
    for package in ("torch", "onnx", "onnxscript", "onnxruntime"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
