"""Which scenes each task of the catalogue is drawn from, and how its labels follow from them.

Tasks share images where the benchmark's do: classes of breast and lung images with the segmentation of the same ones,
landmarks of head and symphysis, and a plane's femurs with the femur's landmarks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from usaggr.data.synthetic import abdomen, chest, obstetrics, superficial
from usaggr.data.synthetic.scene import Scene

Draw = Callable[[np.random.Generator, str], Scene]


@dataclass(frozen=True)
class Family:
    """Subjects of one anatomy. Each has one variety; varieties take turns, so that classes are even."""

    name: str
    folder: str
    """Where its images are kept, under the data set's root."""
    draw: Draw
    varieties: tuple[str, ...] = ("",)


@dataclass(frozen=True)
class Source:
    """Where a task's images come from and what its labels are."""

    family: Family
    varieties: tuple[str, ...] = ()
    """Varieties that the task shows, in the order of its classes; empty: all, and no classes."""
    mask_values: Mapping[int, int] = field(default_factory=dict)
    """Value in the scene's label map: class."""
    first_subject: int = 0
    """Tasks of a family whose ranges of subjects meet share images."""


_BREAST = Family("breast", "Segmentation/Two/breast", superficial.breast, ("benign", "malignant", "normal"))
_LUNG = Family("lung", "Segmentation/Two/lung", chest.lung, ("effusion", "consolidation"))
_LUNG_DISEASE = Family("lungdisease", "Classification/lung", chest.lung_disease, ("covid", "healthy", "other"))
_CERVIX = Family("cervix", "Segmentation/Two/cervix", obstetrics.cervix)
_HEAD = Family("head", "Segmentation/Two/head", obstetrics.fetal_head)
_ABDOMEN = Family("fetalabdomen", "Segmentation/Five/fetalabdomen", obstetrics.fetal_abdomen)
_HEART = Family("fetalheart", "Segmentation/Two/fetalheart", obstetrics.fetal_heart)
_SYMPHYSIS = Family("symphysis", "Segmentation/Three/symphysis", obstetrics.head_and_symphysis)
_POSITION = Family("position", "Classification/position", obstetrics.fetal_head_position, obstetrics.HEAD_POSITIONS)
_SACRUM = Family("sacrum", "Classification/sacrum", obstetrics.fetal_sacrum, obstetrics.HEAD_POSITIONS)
_PLANE = Family(
    "plane",
    "Classification/plane",
    obstetrics.fetal_plane,
    ("abdomen", "brain", "femur", "thorax", "cervix", "other"),
)
_CARDIAC = Family("cardiac", "Segmentation/Four/cardiac", chest.heart)
_CAROTID = Family("carotid", "Segmentation/Two/carotid", superficial.carotid)
_OVARY = Family("ovary", "Segmentation/Two/ovary", abdomen.ovary)
_THYROID = Family("thyroid", "Segmentation/Two/thyroid", superficial.thyroid)
_LIVER = Family("liver", "Classification/liver", abdomen.liver_lesion, ("HCC", "haemangioma"))
_ORGAN = Family(
    "organ", "Classification/organ", abdomen.organ, ("bladder", "bowel", "gallbladder", "kidney", "liver", "spleen")
)
_SPINE = Family("spine", "Detection/spine", superficial.spinal_cord)
_UTERUS = Family("uterus", "Detection/uterus", abdomen.uterus)

LESION = {1: 1}
OWN = 10_000
"""First subject of a task that shares its family's look, but no image, with another task."""

SOURCES: dict[str, Source] = {
    "breast_lesion": Source(_BREAST, ("benign", "malignant"), LESION),
    "cardiac_multi": Source(_CARDIAC, mask_values={1: 1, 2: 2, 3: 3}),
    "carotid_artery": Source(_CAROTID, mask_values=LESION),
    "cervix": Source(_CERVIX, mask_values={1: 1, 2: 1}),
    "cervix_multi": Source(_CERVIX, mask_values={1: 1, 2: 2}, first_subject=OWN),
    "fetal_abdomen_multi": Source(_ABDOMEN, mask_values={1: 1, 2: 2, 3: 3, 4: 4}),
    "fetal_head": Source(_HEAD, mask_values=LESION),
    "fetal_heart": Source(_HEART, mask_values=LESION),
    "head_symphysis_multi": Source(_SYMPHYSIS, mask_values={1: 1, 2: 2}),
    "lung": Source(_LUNG, mask_values=LESION),
    "ovary_tumor": Source(_OVARY, mask_values=LESION),
    "thyroid_nodule": Source(_THYROID, mask_values=LESION),
    "breast_2cls": Source(_BREAST, ("benign", "malignant")),
    "breast_3cls": Source(_BREAST, ("benign", "malignant", "normal")),
    "fetal_head_pos_cls": Source(_POSITION, obstetrics.HEAD_POSITIONS),
    "fetal_plane_cls": Source(_PLANE, _PLANE.varieties),
    "fetal_sacral_pos_cls": Source(_SACRUM, obstetrics.HEAD_POSITIONS),
    "liver_lesion_2cls": Source(_LIVER, ("HCC", "haemangioma")),
    "lung_2cls": Source(_LUNG, ("effusion", "consolidation")),
    "lung_disease_3cls": Source(_LUNG_DISEASE, ("covid", "healthy", "other")),
    "organ_cls": Source(_ORGAN, _ORGAN.varieties),
    "spinal_cord_injury_loc": Source(_SPINE, mask_values=LESION),
    "thyroid_nodule_det": Source(_THYROID, mask_values=LESION, first_subject=OWN),
    "uterine_fibroid_det": Source(_UTERUS, mask_values=LESION),
    "FUGC": Source(_CERVIX, first_subject=2 * OWN),
    "IUGC": Source(_SYMPHYSIS),
    "fetal_femur": Source(_PLANE, ("femur",)),
}
