"""Tasks and task types, and the catalog of the 27 tasks of the FM_UIA 2026 benchmark.

The index of a data set lists its tasks. The catalog only adds what an index cannot contain (names of classes and
points, organ, clinical group). Your own data sets need no entry here.
"""

from dataclasses import dataclass
from typing import Literal, assert_never, get_args

TaskType = Literal["segmentation", "classification", "detection", "regression"]
"""Every `match` over it ends in `assert_never`, so mypy reports each place that a new type must handle."""
TASK_TYPES: tuple[TaskType, ...] = get_args(TaskType)


def has_mask_label(task_type: TaskType) -> bool:
    """Return whether the label of a sample is a mask: an image file of class indices."""
    match task_type:
        case "segmentation":
            return True
        case "classification" | "detection" | "regression":
            return False
        case _:
            assert_never(task_type)


def has_box_label(task_type: TaskType) -> bool:
    """Return True if the label of a sample is a box."""
    match task_type:
        case "detection":
            return True
        case "segmentation" | "classification" | "regression":
            return False
        case _:
            assert_never(task_type)


def has_class_label(task_type: TaskType) -> bool:
    """Return whether the label of a sample is a class, and its prediction a list of class probabilities."""
    match task_type:
        case "classification":
            return True
        case "segmentation" | "detection" | "regression":
            return False
        case _:
            assert_never(task_type)


def get_least_classes(task_type: TaskType) -> int:
    """Return the smallest `num_classes` of a task."""
    match task_type:
        case "segmentation" | "classification":
            return 2
        case "detection" | "regression":
            return 1
        case _:
            assert_never(task_type)


def get_most_classes(task_type: TaskType) -> int | None:
    """Return the largest `num_classes` of a task; None if there is no limit."""
    match task_type:
        case "detection":
            return 1
        case "segmentation" | "classification" | "regression":
            return None
        case _:
            assert_never(task_type)


@dataclass(frozen=True, slots=True)
class Task:
    """One annotated problem, whose samples all have the same kind of label."""

    id: str
    """Value of the index's column task_id."""
    type: TaskType
    num_classes: int
    """Classes including background (segmentation), classes (classification), 1 (detection), points (regression)."""
    organ: str
    clinical_group: str
    class_names: tuple[str, ...]
    """Names of the classes, or of the landmarks (regression); num_classes names."""

    def __post_init__(self) -> None:
        if self.type not in TASK_TYPES:
            raise ValueError(f"task {self.id}: type must be one of {', '.join(TASK_TYPES)}; got {self.type!r}")
        most = get_most_classes(self.type)
        if self.num_classes < get_least_classes(self.type) or (most is not None and self.num_classes > most):
            raise ValueError(f"task {self.id}: a {self.type} task cannot have {self.num_classes} classes")
        if len(self.class_names) != self.num_classes:
            raise ValueError(f"task {self.id}: has {len(self.class_names)} names for {self.num_classes} classes")


def make_default_class_names(task_type: TaskType, num_classes: int) -> tuple[str, ...]:
    """Return names for a task that has none: background, class_1, ... or point_1, ... or box."""
    match task_type:
        case "segmentation":
            return ("background", *(f"class_{i}" for i in range(1, num_classes)))
        case "classification":
            return tuple(f"class_{i}" for i in range(num_classes))
        case "detection":
            return ("box",)
        case "regression":
            return tuple(f"point_{i}" for i in range(1, num_classes + 1))
        case _:
            assert_never(task_type)


def _make_task(task_id: str, task_type: TaskType, organ: str, group: str, names: str) -> Task:
    class_names = tuple(name.replace("_", " ") for name in names.split())
    return Task(task_id, task_type, len(class_names), organ, group, class_names)


_HEAD_POSITIONS = "LOA LOP LOT NOA NOP ROA ROP ROT"

CATALOGUE: dict[str, Task] = {
    task.id: task
    for task in (
        _make_task("breast_lesion", "segmentation", "breast", "breast", "background lesion"),
        _make_task(
            "cardiac_multi",
            "segmentation",
            "heart",
            "cardiovascular",
            "background left_ventricle myocardium left_atrium",
        ),
        _make_task("carotid_artery", "segmentation", "carotid", "cardiovascular", "background lumen"),
        _make_task("cervix", "segmentation", "cervix", "obstetrics", "background cervix"),
        _make_task("cervix_multi", "segmentation", "cervix", "obstetrics", "background anterior_lip posterior_lip"),
        _make_task(
            "fetal_abdomen_multi",
            "segmentation",
            "fetal abdomen",
            "obstetrics",
            "background artery liver stomach vein",
        ),
        _make_task("fetal_head", "segmentation", "fetal head", "obstetrics", "background head"),
        _make_task("fetal_heart", "segmentation", "fetal heart", "obstetrics", "background heart"),
        _make_task(
            "head_symphysis_multi",
            "segmentation",
            "fetal head, pubic symphysis",
            "obstetrics",
            "background symphysis head",
        ),
        _make_task("lung", "segmentation", "lung", "lung", "background lesion"),
        _make_task("ovary_tumor", "segmentation", "ovary", "gynaecology", "background tumour"),
        _make_task("thyroid_nodule", "segmentation", "thyroid", "thyroid", "background nodule"),
        _make_task("breast_2cls", "classification", "breast", "breast", "benign malignant"),
        _make_task("breast_3cls", "classification", "breast", "breast", "benign malignant normal"),
        _make_task("fetal_head_pos_cls", "classification", "fetal head", "obstetrics", _HEAD_POSITIONS),
        _make_task(
            "fetal_plane_cls", "classification", "fetus", "obstetrics", "abdomen brain femur thorax cervix other"
        ),
        _make_task("fetal_sacral_pos_cls", "classification", "fetal spine", "obstetrics", _HEAD_POSITIONS),
        _make_task("liver_lesion_2cls", "classification", "liver", "abdomen", "HCC haemangioma"),
        _make_task("lung_2cls", "classification", "lung", "lung", "class_0 class_1"),
        _make_task("lung_disease_3cls", "classification", "lung", "lung", "covid healthy other"),
        _make_task(
            "organ_cls", "classification", "abdomen", "abdomen", "bladder bowel gallbladder kidney liver spleen"
        ),
        _make_task("spinal_cord_injury_loc", "detection", "spinal cord", "spine", "injury"),
        _make_task("thyroid_nodule_det", "detection", "thyroid", "thyroid", "nodule"),
        _make_task("uterine_fibroid_det", "detection", "uterus", "gynaecology", "fibroid"),
        _make_task("FUGC", "regression", "cervix", "obstetrics", "point_1 point_2"),
        _make_task("IUGC", "regression", "fetal head, pubic symphysis", "obstetrics", "point_1 point_2 point_3"),
        _make_task("fetal_femur", "regression", "fetal femur", "obstetrics", "point_1 point_2"),
    )
}
"""The 27 tasks by id (FM_UIA 2026, ISBI 2026). The clinical groups are usaggr's, because the paper publishes none."""
