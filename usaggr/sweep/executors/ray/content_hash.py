"""What a run reads, as one hash: by it a node with files of its own knows that they are those of the plan."""

import hashlib
import json
from dataclasses import asdict

from usaggr.config.study import StudyConfig
from usaggr.data.batches.run_data import RunData
from usaggr.data.samples import Sample
from usaggr.models.weights import check_weights

_PLACES = ("image_path", "mask_path")
"""Of a sample: where its files lie, which differs from node to node."""


def content_of(data: RunData, study: StudyConfig) -> str:
    """Hash of a run's tasks and samples by fold, their images' and labels' hashes, and the file of pretrained weights.

    Raises:
        ConfigError: the weights cannot be read here.
    """
    digest = hashlib.sha256(json.dumps(check_weights(study.model)).encode())
    for task_id, task in sorted(data.tasks.items()):
        digest.update(f"{task_id} {task}\n".encode())
    train = [sample for _, samples in sorted(data.train.items()) for sample in samples]
    for fold, samples in (("train", train), ("val", data.val), ("test", data.test)):
        for sample in samples:
            digest.update(f"{fold} {_text(sample)}\n".encode())
    return digest.hexdigest()


def _text(sample: Sample) -> str:
    return json.dumps({name: value for name, value in asdict(sample).items() if name not in _PLACES})
