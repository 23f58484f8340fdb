"""A hash of everything that a run reads, by which a node with its own copy of the data checks that copy."""

import hashlib
import json
from dataclasses import asdict

from usaggr.config.study import StudyConfig
from usaggr.data.batches.run_data import RunData
from usaggr.data.samples import Sample
from usaggr.models.weights import check_weights

_PATH_FIELDS = ("image_path", "mask_path")
"""Fields of a sample that are paths of files, which may differ between nodes."""


def hash_content(data: RunData, study: StudyConfig) -> str:
    """Return a hash of a run's tasks, samples per subset and pretrained weights, and of their images and labels.

    Raises:
        ConfigError: The weights cannot be read on this machine.
    """
    digest = hashlib.sha256(json.dumps(check_weights(study.model)).encode())
    for task_id, task in sorted(data.tasks.items()):
        digest.update(f"{task_id} {task}\n".encode())
    train = [sample for _, samples in sorted(data.train.items()) for sample in samples]
    for subset, samples in (("train", train), ("val", data.val), ("test", data.test)):
        for sample in samples:
            digest.update(f"{subset} {_serialize(sample)}\n".encode())
    return digest.hexdigest()


def _serialize(sample: Sample) -> str:
    return json.dumps({name: value for name, value in asdict(sample).items() if name not in _PATH_FIELDS})
