"""Proposal of a network and an image size from the data, for studies whose file leaves them open (`propose`).

The rule is in the header of `sweeps/own.yaml`. A key that the command line, a variant or a file of the user's gives is
never proposed.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import median

from usaggr.config.compose import add_proposal
from usaggr.config.folders import find_file, format_path, package_folders
from usaggr.config.overrides import Override, read_overrides
from usaggr.config.study import StudyConfig
from usaggr.data.samples import Dataset, Sample
from usaggr.errors import RunError
from usaggr.models.cached_weights import DINOV3_SMALL, EFFICIENTNET_B4
from usaggr.models.weights import TIMM, find_weights_file
from usaggr.results import contract
from usaggr.results.integrity import read_yaml

LARGE_DATA = 5000
"""Number of images from which a network without pretrained weights is mh_mtl; below, it is tiny."""
MIN_SIDE, MAX_SIDE = 64, 256
"""Smallest and largest proposed image size in pixels; the largest is that of the benchmark's baseline."""
_STEP = 32
"""Proposed image sizes are multiples of this number of pixels, as every shipped network accepts."""
_VIT_BASE_WIDTH = 768
"""Width of ViT-B, the transformer of model=m2dino; model=m2dino_small has ViT-S."""
_UNCHOSEN = {
    "model.encoder": ("model/tiny",),
    "data.image_size": ("data/_base", "data/synthetic"),
    "training.encoder_learning_rate": ("training/default",),
}
"""Shipped files from which a value comes that nobody has chosen, by key."""


@dataclass(frozen=True)
class Network:
    """A network that may be proposed."""

    overrides: tuple[str, ...]
    is_pretrained: bool


_VIT_SMALL = Network(("model=m2dino_small",), is_pretrained=True)
_VIT_BASE = Network(("model=m2dino",), is_pretrained=True)
_CACHED_VIT = Network(("model=m2dino_small", f"model.weights={TIMM}"), is_pretrained=True)
_CNN = Network(("model=mh_mtl",), is_pretrained=True)
_FROZEN_CNN = Network(("model=mh_mtl", "model.norm=frozen"), is_pretrained=True)
_CACHED_CNN = Network(("model=mh_mtl", "model.weights=imagenet", "model.norm=frozen"), is_pretrained=True)
_NEW_CNN = Network(("model=mh_mtl",), is_pretrained=False)
_TINY_CNN = Network(("model=tiny",), is_pretrained=False)
_WITHOUT_FILE = (_CACHED_VIT, _CACHED_CNN, _NEW_CNN, _TINY_CNN)
"""Networks that may be proposed unless `model.weights` is given."""


@dataclass(frozen=True)
class Proposal:
    """A study with its proposed keys, and a line about each."""

    study: StudyConfig
    lines: tuple[str, ...] = ()


def propose(study: StudyConfig, dataset: Dataset) -> Proposal:
    """Return the study with a network and an image size for the data, as far as its file leaves them open.

    Args:
        study: Study as it was composed.
        dataset: Its data.

    Raises:
        ConfigError: The file of `model.weights` does not exist or cannot be read.
    """
    if not study.origin.proposes:
        return Proposal(study)
    samples = [sample for sample in dataset.samples if study.tasks is None or sample.task_id in study.tasks]
    overrides: list[str] = []
    lines = []
    if "model" in study.origin.proposes:
        chosen = _find_choice_of_network(study)
        if chosen:
            lines.append(f"no network is proposed, because {chosen} chooses it")
        else:
            network, reason = _choose_network(study, len(samples))
            overrides += network.overrides
            if not network.is_pretrained and _find_source(study, "training.encoder_learning_rate") is None:
                overrides.append("training.encoder_learning_rate=null")
            lines.append(f"proposed {' '.join(overrides)}: {reason}")
    if "data.image_size" in study.origin.proposes:
        source = _find_source(study, "data.image_size")
        if source is not None:
            lines.append(f"no image size is proposed, because data.image_size is given ({source})")
        elif samples:
            side, reason = _choose_side(samples)
            overrides.append(f"data.image_size={side}")
            lines.append(f"proposed {overrides[-1]}: {reason}")
    return Proposal(add_proposal(study, overrides), tuple(lines))


def _find_choice_of_network(study: StudyConfig) -> str:
    """Return the override or file that chooses the network, for a message; empty if nothing does.

    Any key of `model` counts, because another network may not have it. Only `model.weights` is left to the proposal.
    """
    variants = [text for texts in study.variants.values() for text in texts]
    for override in read_overrides([*study.origin.overrides, *variants], study.origin.folders):
        if override.key.partition(".")[0] == "model" and override.key != "model.weights":
            return override.text.lstrip("+")
    return _find_source(study, "model.encoder") or ""


def _find_source(study: StudyConfig, key: str) -> str | None:
    """Return where a key's value comes from if somebody has chosen it; None if it is a default of usaggr."""
    from usaggr.config.hydra import find_sources

    source = find_sources(study.origin).get(key, "")
    defaults = (find_file(name, package_folders()) for name in _UNCHOSEN[key])
    return None if source in {format_path(path.resolve()) for path in defaults if path} else source


def _choose_network(study: StudyConfig, n_images: int) -> tuple[Network, str]:
    """Return a network for the data and the reason.

    Args:
        study: Study whose network nobody has chosen.
        n_images: Number of images of all tasks, where an image of two tasks counts twice.

    Raises:
        ConfigError: The file of `model.weights` does not exist or cannot be read.
    """
    is_given = any(override.key == "model.weights" for override in _read_typed(study))
    if is_given and study.model.weights is not None:
        return _choose_for_weights(study)
    if not is_given and (earlier := _find_earlier_network(study)):
        return earlier, f"the results in {study.directory} have this network; name=... begins other results"
    if not is_given and DINOV3_SMALL.is_cached():
        return _CACHED_VIT, f"{DINOV3_SMALL.label} are in the cache of Hugging Face"
    if not is_given and EFFICIENTNET_B4.is_cached():
        return _CACHED_CNN, f"{EFFICIENTNET_B4.label} are in the cache of Hugging Face"
    weights = (
        "model.weights=null" if is_given else "no pretrained weights are at hand (model.weights=FILE names a file)"
    )
    if n_images < LARGE_DATA:
        return _TINY_CNN, f"{weights}, and {n_images:,} images are fewer than {LARGE_DATA:,}"
    return _NEW_CNN, f"{weights}, and there are {n_images:,} images, at least {LARGE_DATA:,}"


def _read_typed(study: StudyConfig) -> list[Override]:
    return read_overrides(study.origin.overrides, study.origin.folders)


def _choose_for_weights(study: StudyConfig) -> tuple[Network, str]:
    """Return the network for the given `model.weights`, and the reason; a file is read, which imports torch.

    Raises:
        ConfigError: The file does not exist or cannot be read.
    """
    weights = study.model.weights
    if weights == TIMM:
        return _VIT_SMALL, f"model.weights={TIMM} are weights of vision transformers"
    file = find_weights_file(study.model)
    if file is None:
        return _FROZEN_CNN, f"model.weights={weights} are weights of convolutional networks"
    from usaggr.models.weight_files import read_tensors, strip_prefix

    tensors = {strip_prefix(name): tensor for name, tensor in read_tensors(file).items()}
    if any(name.startswith("blocks.") for name in tensors):
        norm = tensors.get("blocks.0.norm1.weight")
        is_base = norm is not None and norm.shape[0] == _VIT_BASE_WIDTH
        return _VIT_BASE if is_base else _VIT_SMALL, f"{file} holds the blocks of a vision transformer"
    if any(name.endswith("running_mean") for name in tensors):
        return _FROZEN_CNN, f"{file} holds a convolutional network with batch statistics"
    return _CNN, f"{file} holds a convolutional network without batch statistics"


def _find_earlier_network(study: StudyConfig) -> Network | None:
    """Return the network of the results in the study's folder, if it is one that may be proposed.

    Without this, weights that appear in a cache would change the network, and train all finished runs again.
    """
    path = study.directory / contract.STUDY
    if path.is_file():
        with suppress(RunError):  # the plan reports a damaged file
            stored = read_yaml(path, "").get("model")
            for network in _WITHOUT_FILE:
                if add_proposal(study, network.overrides).model.model_dump() == stored:
                    return network
    return None


def _choose_side(samples: Sequence[Sample]) -> tuple[int, str]:
    """Return an image size in pixels and the reason."""
    longer_sides: dict[str, list[int]] = {}
    for sample in samples:
        longer_sides.setdefault(sample.task_id, []).append(max(sample.height, sample.width))
    medians = {task_id: median(sides) for task_id, sides in longer_sides.items()}
    task_id = max(sorted(medians), key=lambda name: medians[name])
    side = min(MAX_SIDE, max(MIN_SIDE, -(-int(medians[task_id]) // _STEP) * _STEP))
    return side, f"the median of the images' longer side is {medians[task_id]:g} pixels in {task_id}"
