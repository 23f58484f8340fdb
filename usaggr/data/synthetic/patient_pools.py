"""Pools of patients who are scanned in the same way, and the patients and findings that each task uses.

An image depends only on its pool, kind, patient and frame, not on the tasks that are drawn. Tasks of one pool share the
patients and images in the overlap of their ranges, as in the public benchmark.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from usaggr.data.synthetic import (
    abdomen,
    breast,
    cardiovascular,
    cervix,
    fetal_body,
    fetal_head,
    gynaecology,
    labour,
    lung,
    spine,
    thyroid,
)
from usaggr.data.synthetic.acoustics import Scanner
from usaggr.data.synthetic.body import Body
from usaggr.data.synthetic.drawing import Drawing
from usaggr.data.synthetic.geometry import Probe
from usaggr.data.synthetic.tissue import Tissue

Drawer = Callable[[Body, np.random.Generator, str], Drawing]
"""Function that draws a kind of finding into a body, by the subject's generator, and returns the labels."""


@dataclass(frozen=True, slots=True)
class Appearance:
    """Probe, image size and machine settings of a clinical group."""

    probe: Probe
    heights: tuple[int, int]
    """Smallest and largest height, in pixels."""
    aspects: tuple[float, float]
    """Smallest and largest width, in heights."""
    scanner: Scanner = field(default_factory=Scanner)
    suffix: str = ".png"


@dataclass(frozen=True, slots=True)
class Pool:
    """Patients of one data set."""

    draw: Drawer
    background: Tissue
    appearance: Appearance


@dataclass(frozen=True, slots=True)
class Source:
    """The patients and findings that a task uses."""

    pool: str
    kinds: tuple[str, ...]
    """Kinds of findings; for a classification task, one per class, in the order of classes."""
    shares: tuple[float, ...] = ()
    """Share of the task's images of each kind; empty for equal shares."""
    start: float = 0.0
    """Start of the task's range in the pool, in units of its length: ranges at 0 and 0.25 have 3/4 in common."""


_FETAL = Appearance(Probe(0.6, 33.0, 0.02), (140, 170), (1.1, 1.3), suffix=".jpg")
_LINEAR = Appearance(Probe(), (140, 165), (1.15, 1.35), Scanner(pulse=1.6, width=1.0))
_NECK = Appearance(Probe(), (140, 155), (1.36, 1.44), Scanner(pulse=1.6, width=1.0), ".jpg")
_CHEST = Appearance(Probe(0.4, 36.0, 0.02), (140, 170), (1.0, 1.2), Scanner(width=1.4), ".jpg")
_PELVIC = Appearance(Probe(0.14, 62.0, 0.0), (140, 165), (1.15, 1.35))
_ABDOMINAL = Appearance(Probe(0.5, 34.0, 0.02), (140, 170), (1.1, 1.3))
_APICAL = Appearance(Probe(0.05, 42.0, 0.0), (150, 175), (1.05, 1.25), Scanner(width=1.5))
_SPINAL = Appearance(Probe(), (104, 116), (1.9, 2.1), Scanner(pulse=1.6, width=1.0))

POOLS: dict[str, Pool] = {
    "breast": Pool(breast.draw, breast.BACKGROUND, _LINEAR),
    "heart": Pool(cardiovascular.draw_heart, cardiovascular.BACKGROUND, _APICAL),
    "carotid": Pool(cardiovascular.draw_carotid, cardiovascular.BACKGROUND, _LINEAR),
    "cervix": Pool(cervix.draw_whole, cervix.BACKGROUND, _FETAL),
    "cervix_lips": Pool(cervix.draw, cervix.BACKGROUND, _FETAL),
    "cervix_length": Pool(cervix.draw, cervix.BACKGROUND, _FETAL),
    "fetal_abdomen": Pool(fetal_body.draw_abdomen, fetal_body.BACKGROUND, _FETAL),
    "fetal_head": Pool(fetal_head.draw, fetal_head.BACKGROUND, _FETAL),
    "fetal_heart": Pool(fetal_body.draw_heart, fetal_body.BACKGROUND, _FETAL),
    "fetal_plane": Pool(fetal_body.draw_plane, fetal_body.BACKGROUND, _FETAL),
    "head_position": Pool(fetal_head.draw_position, fetal_head.BACKGROUND, _FETAL),
    "sacral_position": Pool(fetal_body.draw_sacrum, fetal_body.BACKGROUND, _FETAL),
    "labour": Pool(labour.draw, labour.BACKGROUND, _FETAL),
    "lung": Pool(lung.draw, lung.BACKGROUND, _CHEST),
    "lung_disease": Pool(lung.draw, lung.BACKGROUND, _CHEST),
    "ovary": Pool(gynaecology.draw_ovary, gynaecology.BACKGROUND, _PELVIC),
    "uterus": Pool(gynaecology.draw_uterus, gynaecology.BACKGROUND, _PELVIC),
    "thyroid": Pool(thyroid.draw, thyroid.BACKGROUND, _NECK),
    "thyroid_box": Pool(thyroid.draw, thyroid.BACKGROUND, _NECK),
    "liver": Pool(abdomen.draw_liver_lesion, abdomen.BACKGROUND, _ABDOMINAL),
    "organ": Pool(abdomen.draw_organ, abdomen.BACKGROUND, _ABDOMINAL),
    "spine": Pool(spine.draw, spine.BACKGROUND, _SPINAL),
}

_DIRECTIONS = ("LOA", "LOP", "LOT", "NOA", "NOP", "ROA", "ROP", "ROT")
_PLANES = ("abdomen", "brain", "femur", "thorax", "cervix", "other")

SOURCES: dict[str, Source] = {
    "breast_lesion": Source("breast", ("benign", "malignant"), (0.6, 0.4)),
    "breast_2cls": Source("breast", ("benign", "malignant"), (0.55, 0.45), start=0.25),
    "breast_3cls": Source("breast", ("benign", "malignant", "normal"), (0.4, 0.35, 0.25)),
    "cardiac_multi": Source("heart", ("two_chambers", "four_chambers")),
    "carotid_artery": Source("carotid", ("neck",)),
    "cervix": Source("cervix", ("cervix",)),
    "cervix_multi": Source("cervix_lips", ("cervix",)),
    "FUGC": Source("cervix_length", ("cervix",)),
    "fetal_abdomen_multi": Source("fetal_abdomen", ("abdomen",)),
    "fetal_head": Source("fetal_head", ("head",)),
    "fetal_heart": Source("fetal_heart", ("heart",)),
    "fetal_plane_cls": Source("fetal_plane", _PLANES),
    "fetal_femur": Source("fetal_plane", ("femur",)),
    "fetal_head_pos_cls": Source("head_position", _DIRECTIONS),
    "fetal_sacral_pos_cls": Source("sacral_position", _DIRECTIONS),
    "head_symphysis_multi": Source("labour", ("labour",)),
    "IUGC": Source("labour", ("labour",), start=0.5),
    "lung": Source("lung", ("interstitial", "consolidation")),
    "lung_2cls": Source("lung", ("interstitial", "consolidation"), start=0.25),
    "lung_disease_3cls": Source("lung_disease", ("covid", "healthy", "consolidation"), (0.4, 0.35, 0.25)),
    "liver_lesion_2cls": Source("liver", ("carcinoma", "haemangioma"), (0.45, 0.55)),
    "organ_cls": Source("organ", ("bladder", "bowel", "gallbladder", "kidney", "liver", "spleen")),
    "ovary_tumor": Source("ovary", ("cyst", "solid")),
    "uterine_fibroid_det": Source("uterus", ("fibroid",)),
    "thyroid_nodule": Source("thyroid", ("solid", "cystic"), (0.7, 0.3)),
    "thyroid_nodule_det": Source("thyroid_box", ("solid", "cystic"), (0.7, 0.3)),
    "spinal_cord_injury_loc": Source("spine", ("injury",)),
}
"""Source of each task of the catalog, by task id."""
