"""How alike the images of tasks are to the network before it is trained: no training at all.

Domain similarity (Cui et al., Large Scale Fine-Grained Categorization and Domain-Specific Transfer Learning, CVPR 2018,
arXiv:1806.06193): exp(-gamma x the earth mover's distance) between two sets of pooled features. There the sets are
means of classes, which few of our tasks have; here they are images, as many of each task. It says whether tasks look
alike, and nothing of what is asked of the images.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from usaggr.config.study import StudyConfig
from usaggr.data.batches.batches import CachedPixels, make_batch
from usaggr.data.batches.run_data import RunData
from usaggr.data.seeds import generator
from usaggr.models.build_network import build_network
from usaggr.progress import Progress

Array = NDArray[np.float64]

IMAGES = 64
"""Of a task at the most."""
_AT_ONCE = 32


def feature_similarity(study: StudyConfig, data: RunData, seed: int, progress: Progress) -> tuple[Array, int]:
    """Similarity in (0, 1] of the tasks (T, T), by id, and of how many images of each.

    Features are means over places of the encoder's last map, each divided by its standard deviation over all images.
    Gamma is 1 / the median distance of two tasks.
    """
    tasks = sorted(data.tasks)
    network = build_network(study.model, [data.tasks[task_id] for task_id in tasks], seed)
    network.eval()
    count = min(IMAGES, *(len(data.train[task_id]) for task_id in tasks))
    pixels = CachedPixels(data.cache)
    found: list[Array] = []
    progress.start(f"features, seed {seed}", len(tasks))
    for task_id in tasks:
        order = generator("affinity features", task_id, seed).permutation(len(data.train[task_id]))[:count]
        samples = [data.train[task_id][i] for i in order]
        pooled = []
        with torch.inference_mode():
            for i in range(0, count, _AT_ONCE):
                batch = make_batch(samples[i : i + _AT_ONCE], pixels)
                pooled.append(network.encode(batch.images, batch.rows).maps[-1].mean(dim=(2, 3)))
        found.append(torch.cat(pooled).double().numpy())
        progress.advance()
    progress.finish()
    return domain_similarity(np.stack(found)), count


def domain_similarity(features: Array) -> Array:
    """(T, T) similarity in (0, 1] of the tasks' sets of features (T, n, C); 1 on the diagonal."""
    tasks = len(features)
    spread = features.reshape(-1, features.shape[-1]).std(axis=0)
    scaled = features / np.where(spread > 0, spread, 1.0)
    distances = np.zeros((tasks, tasks))
    for a in range(tasks):
        for b in range(a):
            apart = cdist(scaled[a], scaled[b])
            distances[a, b] = distances[b, a] = apart[linear_sum_assignment(apart)].mean()
    typical = float(np.median(distances[np.tril_indices(tasks, -1)])) if tasks > 1 else 0.0
    similarity: Array = np.exp(-distances / typical) if typical > 0 else np.ones((tasks, tasks))
    return similarity
