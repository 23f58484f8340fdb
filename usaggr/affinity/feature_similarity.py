"""Similarity of the tasks' images, as seen by the network before training; needs no training.

Domain similarity is exp(-gamma x earth mover's distance) between two sets of pooled features (Cui et al., Large Scale
Fine-Grained Categorization and Domain-Specific Transfer Learning, CVPR 2018, arXiv:1806.06193). In that paper the sets
are means of classes, which few of our tasks have. Here they are images, equally many of each task. The measure compares
images only, not what the tasks predict for them.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from usaggr.config.study import StudyConfig
from usaggr.data.batches.batches import CachedPixels, make_batch
from usaggr.data.batches.run_data import RunData
from usaggr.data.seeds import make_generator
from usaggr.models.build_network import build_network
from usaggr.progress import Progress

Array = NDArray[np.float64]

MAX_IMAGES = 64
"""Largest number of images per task."""
_BATCH_SIZE = 32
"""Images per forward pass."""


def compute_feature_similarity(study: StudyConfig, data: RunData, seed: int, progress: Progress) -> tuple[Array, int]:
    """Return the similarity in (0, 1] of the tasks (T, T), sorted by id, and the number of images per task.

    A feature vector is the mean over positions of the encoder's last map. Each channel is divided by its standard
    deviation over all images. Gamma is 1 / the median distance of two tasks.

    Args:
        study: Configuration of the study.
        data: Samples of the unified run.
        seed: Seed of the run, for the network and the choice of images.
        progress: Receives the number of tasks.
    """
    tasks = sorted(data.tasks)
    network = build_network(study.model, [data.tasks[task_id] for task_id in tasks], seed)
    network.eval()
    # The same number for all tasks, because the assignment pairs every image of one task with one of the other.
    count = min(MAX_IMAGES, *(len(data.train[task_id]) for task_id in tasks))
    pixels = CachedPixels(data.cache)
    features: list[Array] = []
    progress.start(f"features, seed {seed}", len(tasks))
    for task_id in tasks:
        order = make_generator("affinity features", task_id, seed).permutation(len(data.train[task_id]))[:count]
        samples = [data.train[task_id][i] for i in order]
        pooled = []
        with torch.inference_mode():
            for i in range(0, count, _BATCH_SIZE):
                batch = make_batch(samples[i : i + _BATCH_SIZE], pixels)
                pooled.append(network.encode(batch.images, batch.batch_indices).maps[-1].mean(dim=(2, 3)))
        features.append(torch.cat(pooled).double().numpy())
        progress.advance()
    progress.finish()
    return compute_domain_similarity(np.stack(features)), count


def compute_domain_similarity(features: Array) -> Array:
    """Return the similarity (T, T) in (0, 1] of the tasks' sets of features (T, n, C); 1 on the diagonal."""
    tasks = len(features)
    sd = features.reshape(-1, features.shape[-1]).std(axis=0)
    scaled = features / np.where(sd > 0, sd, 1.0)
    distances = np.zeros((tasks, tasks))
    for a in range(tasks):
        for b in range(a):
            # For two sets of equal size, the earth mover's distance is the mean over the best assignment.
            image_distances = cdist(scaled[a], scaled[b])
            distances[a, b] = distances[b, a] = image_distances[linear_sum_assignment(image_distances)].mean()
    # Scaled by the median, because distances have no unit; 0 if all images of all tasks are equal.
    typical = float(np.median(distances[np.tril_indices(tasks, -1)])) if tasks > 1 else 0.0
    similarity: Array = np.exp(-distances / typical) if typical > 0 else np.ones((tasks, tasks))
    return similarity
