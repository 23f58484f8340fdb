"""Describe phantoms in few numbers, and store them by the generator's version.

Run `python -m tests.data.synthetic.stored_pictures` after GENERATOR_VERSION was raised.
"""

import hashlib
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from usaggr.config.study import SyntheticConfig
from usaggr.data.synthetic.image_plan import Shot, divide_by_shares, plan_images
from usaggr.data.synthetic.patient_pools import POOLS, SOURCES
from usaggr.data.synthetic.picture import Picture, replace_labels, take_picture
from usaggr.data.synthetic.writer import GENERATOR_VERSION, encode_image

STORED = Path(__file__).with_name("stored_pictures.json")
SEED = 0
CELLS = 4
"""Rows and columns of cells that an image is divided into."""
SHOTS_OF_A_KIND = 3
"""Images that are drawn of each kind of finding."""
SAMPLES = 10_000
"""Number of images of a task that is large enough to show the share of each kind."""
PLANTED: list[dict[str, Any]] = [
    {},
    {"related": {"thyroid_nodule": "breast_lesion"}},
    {"conflicting": {"thyroid_nodule": "breast_lesion"}},
    {"samples_of": {"FUGC": 30}},
]


def config(**planted: Any) -> SyntheticConfig:
    values: dict[str, Any] = {"samples_of": {}, "related": {}, "conflicting": {}, **planted}
    return SyntheticConfig(tasks=list(SOURCES), samples_per_task=20, frames_per_subject=2, seed=SEED, **values)


def describe_pictures() -> dict[str, Any]:
    """Return the plan of images as a checksum, and numbers that describe some images of each kind, by name."""
    plans = [
        [(shot.name, [str(use) for use in uses]) for shot, uses in plan_images(config(**planted)).items()]
        for planted in PLANTED
    ]
    shares = {task_id: divide_by_shares(source, SAMPLES) for task_id, source in SOURCES.items()}
    plan = json.dumps([plans, shares])
    described: dict[str, Any] = {"plan": hashlib.sha256(plan.encode()).hexdigest()}
    pictures = {shot: take_picture(shot, SEED) for shot in _chosen_shots()}
    for shot, picture in pictures.items():
        described[shot.name] = _numbers_of(picture, POOLS[shot.pool].appearance.suffix)
    for first, second in pairwise(pictures):
        if first.pool == second.pool and first.kind == second.kind:
            stretched = replace_labels(pictures[first], pictures[second])
            described[f"{first.name} with labels of {second.name}"] = _labels_of(stretched)
    return described


def _chosen_shots() -> list[Shot]:
    """Return the first images of each kind: of at least two patients or of two frames of one."""
    by_kind: dict[tuple[str, str], list[Shot]] = {}
    for shot in plan_images(config()):
        by_kind.setdefault((shot.pool, shot.kind), []).append(shot)
    return [shot for shots in by_kind.values() for shot in shots[:SHOTS_OF_A_KIND]]


def _numbers_of(picture: Picture, suffix: str) -> dict[str, Any]:
    """Return the image's size, the sum of gray values in each cell of its file, and its labels."""
    content = np.frombuffer(encode_image(picture.image, suffix), np.uint8)
    decoded = np.asarray(cv2.imdecode(content, cv2.IMREAD_GRAYSCALE), np.int64)
    strips = np.array_split(decoded, CELLS, axis=0)
    sums = [int(cell.sum()) for strip in strips for cell in np.array_split(strip, CELLS, axis=1)]
    return {"size": list(decoded.shape), "sums": sums, **_labels_of(picture)}


def _labels_of(picture: Picture) -> dict[str, Any]:
    """Return the pixels of each class, the box around what is not background, and the landmarks."""
    if picture.mask is None:
        return {"points": [[round(float(c), 2) for c in point] for point in picture.points]}
    classes = np.bincount(picture.mask.ravel()).tolist()
    box = list(picture.box) if (picture.mask > 0).any() else []
    return {"classes": classes, "box": box, "points": [[round(float(c), 2) for c in p] for p in picture.points]}


if __name__ == "__main__":
    versions: dict[str, Any] = json.loads(STORED.read_text()) if STORED.exists() else {}
    versions[str(GENERATOR_VERSION)] = describe_pictures()
    latest_versions = sorted(versions, key=int)[-2:]
    lines = []
    for version in latest_versions:
        entries = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in versions[version].items())
        lines.append(f' "{version}": {{\n{entries}\n }}')
    STORED.write_text("{\n" + ",\n".join(lines) + "\n}\n")
