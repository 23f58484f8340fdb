"""Pictures of all tasks are deterministic, and their labels match the visible anatomy."""

import numpy as np
import pytest

from tests.data.factories import NOTHING_PLANTED
from usaggr.config.study import SyntheticConfig
from usaggr.data.synthetic.fetal_head import DIRECTIONS
from usaggr.data.synthetic.geometry import View
from usaggr.data.synthetic.image_plan import Shot, divide_by_shares, plan_images
from usaggr.data.synthetic.patient_pools import POOLS, SOURCES
from usaggr.data.synthetic.picture import Picture, find_tight_box, take_picture
from usaggr.tasks import CATALOGUE, Task


def config(*tasks: str, samples: int = 30, frames: int = 3, seed: int = 0) -> SyntheticConfig:
    return SyntheticConfig(
        tasks=list(tasks), samples_per_task=samples, frames_per_subject=frames, seed=seed, **NOTHING_PLANTED
    )


def shots_of(task: str, count: int) -> list[Shot]:
    """Return images that are evenly distributed over the task's kinds and subjects."""
    shots = list(plan_images(config(task)))
    return [shots[i] for i in np.linspace(0, len(shots) - 1, count).astype(int)]


def tasks_of(*types: str) -> list[Task]:
    return [task for task in CATALOGUE.values() if task.type in types]


def brightness(picture: Picture, region: np.ndarray) -> float:
    return float(picture.image[region].mean())


def test_every_task_of_the_catalogue_has_a_source() -> None:
    assert set(SOURCES) == set(CATALOGUE)
    assert {source.pool for source in SOURCES.values()} == set(POOLS)
    for task in tasks_of("classification"):
        assert len(SOURCES[task.id].kinds) == task.num_classes


def test_tasks_of_a_clinical_group_are_scanned_alike() -> None:
    looks: dict[str, set[object]] = {}
    for task in CATALOGUE.values():
        looks.setdefault(task.clinical_group, set()).add(POOLS[SOURCES[task.id].pool].appearance.probe)
    assert all(len(probes) == 1 for group, probes in looks.items() if group != "cardiovascular")


@pytest.mark.parametrize("pool", sorted(POOLS))
def test_the_same_shot_and_seed_give_the_same_picture(pool: str) -> None:
    kind = next(source.kinds[0] for source in SOURCES.values() if source.pool == pool)
    first, again = (take_picture(Shot(pool, kind, 3, 1), 5) for _ in range(2))
    assert np.array_equal(first.image, again.image)
    assert first.points == again.points
    assert (first.mask is None and again.mask is None) or np.array_equal(first.mask, again.mask)
    other = take_picture(Shot(pool, kind, 3, 1), 6)
    assert first.image.shape != other.image.shape or (first.image != other.image).mean() > 0.3


@pytest.mark.parametrize("task", CATALOGUE.values(), ids=lambda task: task.id)
def test_pictures_are_gray_images_with_something_on_them(task: Task) -> None:
    for shot in shots_of(task.id, 2):
        image = take_picture(shot, 0).image
        assert image.dtype == np.uint8
        assert min(image.shape) >= 100
        assert max(image.shape) <= 250
        assert 15 < image.mean() < 140
        assert image.std() > 20


@pytest.mark.parametrize("task", tasks_of("segmentation"), ids=lambda task: task.id)
def test_masks_hold_all_classes_of_the_task_and_no_others(task: Task) -> None:
    for shot in shots_of(task.id, 6):
        picture = take_picture(shot, 1)
        assert picture.mask is not None
        assert picture.mask.shape == picture.image.shape
        assert set(np.unique(picture.mask)) == set(range(task.num_classes))
        assert (picture.mask > 0).mean() > 0.015


@pytest.mark.parametrize("task", tasks_of("segmentation", "detection"), ids=lambda task: task.id)
def test_nothing_is_labelled_where_the_probe_sees_nothing(task: Task) -> None:
    shot = shots_of(task.id, 1)[0]
    picture = take_picture(shot, 2)
    visible = View(POOLS[shot.pool].appearance.probe, *picture.image.shape).visible
    assert picture.mask is not None
    assert not picture.mask[~visible].any()
    assert not picture.image[~visible].any()


@pytest.mark.parametrize("task", tasks_of("detection"), ids=lambda task: task.id)
def test_boxes_are_tight_and_large_enough_to_be_seen(task: Task) -> None:
    for shot in shots_of(task.id, 5):
        picture = take_picture(shot, 3)
        height, width = picture.image.shape
        x_min, y_min, x_max, y_max = picture.box
        assert 0 <= x_min < x_max <= width
        assert 0 <= y_min < y_max <= height
        assert picture.mask is not None
        inside = picture.mask[y_min:y_max, x_min:x_max] > 0
        assert inside.sum() == (picture.mask > 0).sum()
        assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()  # noqa: PT018
        assert (x_max - x_min) * (y_max - y_min) > 0.02 * height * width


def test_a_box_counts_from_pixel_border_to_pixel_border() -> None:
    region = np.zeros((10, 20), np.bool_)
    region[3:5, 7] = True
    assert find_tight_box(region) == (7, 3, 8, 5)
    with pytest.raises(ValueError, match="empty"):
        find_tight_box(np.zeros((3, 3), np.bool_))


@pytest.mark.parametrize("task", tasks_of("regression"), ids=lambda task: task.id)
def test_landmarks_lie_in_sight_on_something_bright(task: Task) -> None:
    for shot in shots_of(task.id, 8):
        picture = take_picture(shot, 4)
        assert len(picture.points) == task.num_classes
        visible = View(POOLS[shot.pool].appearance.probe, *picture.image.shape).visible
        for x, y in picture.points:
            row, column = int(y), int(x)
            assert visible[row, column]
            around = picture.image[max(row - 4, 0) : row + 5, max(column - 4, 0) : column + 5]
            assert around.max() > 1.3 * picture.image[visible].mean()


def test_the_ends_of_the_femur_are_those_of_its_bright_bar() -> None:
    for subject in range(5):
        picture = take_picture(Shot("fetal_plane", "femur", subject, 0), 0)
        (x0, y0), (x1, y1) = picture.points
        assert x0 < x1
        along = np.linspace(0.05, 0.95, 40)
        on_bone = picture.image[(y0 + along * (y1 - y0)).astype(int), (x0 + along * (x1 - x0)).astype(int)]
        assert on_bone.mean() > 1.8 * picture.image.mean()


def test_a_tangent_point_lies_on_the_border_of_the_head() -> None:
    for subject in range(5):
        picture = take_picture(Shot("labour", "labour", subject, 0), 0)
        x, y = (int(c) for c in picture.points[2])
        assert picture.mask is not None
        around = picture.mask[y - 2 : y + 3, x - 2 : x + 3] == 2
        assert around.any()
        assert not around.all()


def test_frames_of_a_subject_show_the_same_anatomy_a_little_moved_with_new_speckle() -> None:
    first, second = (take_picture(Shot("fetal_head", "head", 2, frame), 0) for frame in (0, 1))
    assert first.image.shape == second.image.shape
    assert first.mask is not None
    assert second.mask is not None
    overlap = 2 * ((first.mask > 0) & (second.mask > 0)).sum() / ((first.mask > 0).sum() + (second.mask > 0).sum())
    assert 0.8 < overlap < 0.9999
    assert (first.image != second.image).mean() > 0.5


def test_a_malignant_lesion_throws_a_shadow_and_a_cyst_enhances() -> None:
    def behind(shot: Shot) -> float:
        """Return the brightness below the lesion relative to that at its sides, in the same rows."""
        picture = take_picture(shot, 0)
        x_min, _, x_max, y_max = picture.box
        under, beside = np.zeros_like(picture.image, np.bool_), np.zeros_like(picture.image, np.bool_)
        quarter = (x_max - x_min) // 4
        under[y_max + 4 : y_max + 24, x_min + quarter : x_max - quarter] = True
        beside[y_max + 4 : y_max + 24] = True
        beside[:, max(x_min - 8, 0) : x_max + 8] = False
        return brightness(picture, under) / brightness(picture, beside)

    assert np.mean([behind(Shot("breast", "malignant", i, 0)) for i in range(8)]) < 0.8
    assert np.mean([behind(Shot("thyroid", "cystic", i, 0)) for i in range(8)]) > 1.1


def test_a_normal_breast_has_no_lesion() -> None:
    picture = take_picture(Shot("breast", "normal", 0, 0), 0)
    assert picture.mask is not None
    assert not picture.mask.any()


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_back_of_the_head_is_bright_where_the_class_says(direction: str) -> None:
    towards, away = [], []
    for subject in range(4):
        picture = take_picture(Shot("head_position", direction, subject, 0), 0)
        assert picture.mask is not None
        y, x = np.nonzero(picture.mask)
        angle = np.radians(DIRECTIONS[direction])
        along = (x - x.mean()) * np.cos(angle) + (y - y.mean()) * np.sin(angle)
        gray = picture.image[y, x].astype(float)
        towards.append(gray[along > 0.3 * along.max()].mean())
        away.append(gray[along < 0.3 * along.min()].mean())
    assert np.mean(towards) > np.mean(away) + 10


@pytest.mark.parametrize("task", sorted(CATALOGUE))
def test_a_task_has_the_configured_number_of_images_and_of_every_class(task: str) -> None:
    uses = [use for uses in plan_images(config(task, samples=60)).values() for use in uses]
    assert len(uses) == 60
    counts = np.bincount([use.label for use in uses])
    assert len(counts) == len(SOURCES[task].kinds)
    assert counts.min() >= 6


def test_shares_are_rounded_to_the_total() -> None:
    for total in (20, 33, 100, 101):
        assert all(sum(divide_by_shares(source, total)) == total for source in SOURCES.values())
    assert divide_by_shares(SOURCES["breast_3cls"], 100) == [40, 35, 25]


def test_a_subject_has_frames_up_to_the_most_and_one_label() -> None:
    for task in ("breast_3cls", "fetal_plane_cls", "thyroid_nodule"):
        labels: dict[str, set[int]] = {}
        frames: dict[str, int] = {}
        for shot, uses in plan_images(config(task, samples=200)).items():
            labels.setdefault(shot.subject_id, set()).update(use.label for use in uses)
            frames[shot.subject_id] = frames.get(shot.subject_id, 0) + 1
        assert all(len(subject_labels) == 1 for subject_labels in labels.values())
        assert set(frames.values()) == {1, 2, 3}
    assert all(shot.frame == 0 for shot in plan_images(config("lung", frames=1)))


@pytest.mark.parametrize(
    ("first", "second", "least"),
    [
        ("breast_lesion", "breast_2cls", 0.5),
        ("breast_lesion", "breast_3cls", 0.6),
        ("lung", "lung_2cls", 0.6),
        ("head_symphysis_multi", "IUGC", 0.4),
        ("fetal_femur", "fetal_plane_cls", 0.1),
    ],
)
def test_tasks_share_images_as_in_the_benchmark(first: str, second: str, least: float) -> None:
    uses = plan_images(config(first, second, samples=100))
    shared = [shot for shot, shot_uses in uses.items() if len(shot_uses) == 2]
    assert least * 100 <= len(shared) < 100
    labels = {use.label for shot in shared for use in uses[shot] if use.task_id == second}
    assert all({use.task_id for use in uses[shot]} == {first, second} for shot in shared)
    assert labels


def test_tasks_of_different_pools_share_no_patient() -> None:
    for first, second in (("thyroid_nodule", "thyroid_nodule_det"), ("cervix", "cervix_multi"), ("cervix", "FUGC")):
        subjects = [{shot.subject_id for shot in plan_images(config(task))} for task in (first, second)]
        assert not subjects[0] & subjects[1]


def test_which_images_a_task_has_does_not_depend_on_the_other_tasks() -> None:
    together = plan_images(config(*CATALOGUE))
    for task in ("breast_2cls", "IUGC", "fetal_femur"):
        alone = plan_images(config(task))
        assert set(alone) == {shot for shot, uses in together.items() if any(use.task_id == task for use in uses)}
