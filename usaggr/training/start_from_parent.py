"""What a run of a second stage starts from: its parent's scored weights, as far as its own tasks need them."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open

from usaggr.config.study import TrainingConfig
from usaggr.data.batches.streams import stream_length
from usaggr.errors import RunError
from usaggr.io.checksums import SUFFIX, file_hash, is_as_noted
from usaggr.models.network import MultiTaskNetwork
from usaggr.results.contract import PARENT, WEIGHTS
from usaggr.results.spec import RunSpec

MORE_BUDGET = "more budget"
"""Note of a task whose stages together see more examples than one stage would."""


def start_from_parent(network: MultiTaskNetwork, spec: RunSpec, directory: Path) -> None:
    """Load the parent's weights from the run's directory into a network, where the run is of a second stage.

    The shared network and the heads and embeddings of the run's own tasks go on as the parent left them; what the
    parent has of other tasks is not read. Nothing of the network keeps its own first weights.

    Raises:
        RunError: the weights are not there or have changed, or are those of another network.
    """
    if spec.parent is None or spec.window is None:
        return
    file = directory / PARENT / WEIGHTS.name
    where = f"the weights of its parent {spec.parent}"
    _check(file, where)
    own = network.state_dict()
    try:
        with safe_open(file, framework="pt", device="cpu") as stored:
            missing = sorted(own.keys() - set(stored.keys()))
            if missing:
                raise RunError(f"{where} are of another network: {missing[0]} is not among them")
            tensors = {name: stored.get_tensor(name) for name in own}
    except SafetensorError as error:
        raise RunError(f"{where} cannot be read: {error}") from error
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            shapes = f"{tuple(tensor.shape)} there, {tuple(own[name].shape)} here"
            raise RunError(f"{where} are of another network: {name} is {shapes}")
    network.load_state_dict(tensors)


def with_budget(
    notes: Mapping[str, list[str]], spec: RunSpec, training: TrainingConfig, n_train: Mapping[str, int]
) -> dict[str, list[str]]:
    """A run's notes by task, with one more on each task of which its stages see more examples than one stage would."""
    found = {task_id: list(of) for task_id, of in notes.items()}
    for task_id, (_, end) in (spec.window or {}).items():
        length = stream_length(training.budget, training.min_examples, n_train[task_id])
        if end > length:
            found.setdefault(task_id, []).append(f"{MORE_BUDGET} ({end / length:.3g} times the examples)")
    return found


def _check(file: Path, where: str) -> None:
    """Compare a file with the SHA-256 that was written beside it."""
    try:
        if not is_as_noted(file, file_hash(file)):
            raise RunError(
                f"{where} have changed since they were written (their SHA-256 is not that of {file.stem}{SUFFIX})"
            )
    except OSError as error:
        raise RunError(
            f"{where} are not in {PARENT}/ of the run's folder ({error.strerror}); `usaggr sweep` puts them there"
        ) from error
