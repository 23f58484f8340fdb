"""Start of a second-stage run from the scored weights of its parent run."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open

from usaggr.config.study import TrainingConfig
from usaggr.data.batches.streams import compute_stream_length
from usaggr.errors import RunError
from usaggr.io.checksums import SUFFIX, has_valid_checksum, hash_file
from usaggr.models.network import MultiTaskNetwork
from usaggr.results.contract import PARENT, WEIGHTS
from usaggr.results.spec import RunSpec

MORE_BUDGET = "more budget"
"""Note of a task whose two stages together have more examples than a run of one stage."""


def start_from_parent(network: MultiTaskNetwork, spec: RunSpec, directory: Path) -> None:
    """Load the parent's weights into a network if its run is of a second stage.

    All weights of the network are replaced. The parent's heads and embeddings of other tasks are not read.

    Args:
        network: Network of the run.
        spec: Specification of the run; without a parent, nothing is loaded.
        directory: Directory of the run, into which `usaggr sweep` has put the parent's weights.

    Raises:
        RunError: The weights are missing, have changed, or belong to another network.
    """
    if spec.parent is None or spec.window is None:
        return
    file = directory / PARENT / WEIGHTS.name
    description = f"the weights of its parent {spec.parent}"
    _check_hash(file, description)
    state = network.state_dict()
    try:
        with safe_open(file, framework="pt", device="cpu") as stored:
            missing = sorted(state.keys() - set(stored.keys()))
            if missing:
                raise RunError(f"{description} are of another network: {missing[0]} is not among them")
            tensors = {name: stored.get_tensor(name) for name in state}
    except SafetensorError as error:
        raise RunError(f"{description} cannot be read: {error}") from error
    for name, tensor in tensors.items():
        if tensor.shape != state[name].shape:
            shapes = f"has shape {tuple(tensor.shape)} in the file, {tuple(state[name].shape)} in this network"
            raise RunError(f"{description} are of another network: {name} {shapes}")
    network.load_state_dict(tensors)


def add_budget_notes(
    notes: Mapping[str, list[str]], spec: RunSpec, training: TrainingConfig, n_train: Mapping[str, int]
) -> dict[str, list[str]]:
    """Return a run's notes, with one more for each task whose stages have more examples than a run of one stage.

    Args:
        notes: Notes by task id.
        spec: Specification of the run; its windows say up to which example of its stream each task is trained.
        training: Configuration of the training, for the length of a stream in one stage.
        n_train: Number of training samples by task id.
    """
    extended = {task_id: list(task_notes) for task_id, task_notes in notes.items()}
    for task_id, (_, end) in (spec.window or {}).items():
        length = compute_stream_length(training.budget, training.min_examples, n_train[task_id])
        if end > length:
            extended.setdefault(task_id, []).append(f"{MORE_BUDGET} ({end / length:.3g} times the examples)")
    return extended


def _check_hash(file: Path, description: str) -> None:
    """Compare a file with the SHA-256 that was stored beside it; `description` names the file in errors.

    Raises:
        RunError: The file is missing or has changed.
    """
    try:
        if not has_valid_checksum(file, hash_file(file)):
            raise RunError(
                f"{description} have changed since they were written (their SHA-256 is not that of {file.stem}{SUFFIX})"
            )
    except OSError as error:
        raise RunError(
            f"{description} are not in {PARENT}/ of the run's folder ({error.strerror}); `usaggr sweep` puts them there"
        ) from error
