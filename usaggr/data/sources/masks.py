"""Reader of segmentation data in a folder of images and a folder of masks, which are paired by their names."""

from pathlib import Path

from usaggr.data.sources.table import SourceRow, SourceTable, check_task_name, find_images
from usaggr.errors import ConfigError


def read_masks(images: Path, masks: Path, task: str, num_classes: int = 2, mask_name: str = "{name}") -> SourceTable:
    """Pair each image with its mask, which is in the same subfolder of `masks`.

    Images without a mask and masks without an image are left out and listed.

    Args:
        images: Folder of the images.
        masks: Folder of the masks; may be the same folder.
        task: Id of the task.
        num_classes: Number of classes, including the background.
        mask_name: Name of a mask, without suffix, from the name of its image: `{name}_mask` pairs `7.jpg` with
            `7_mask.png`.

    Raises:
        ConfigError: A folder does not exist or has no images, `mask_name` does not contain `{name}`, there are fewer
            than 2 classes, or an image has two masks.
    """
    check_task_name(task)
    if mask_name.count("{name}") != 1:
        raise ConfigError(f"--mask-name: '{mask_name}' must contain {{name}} once, as in '{{name}}_mask'")
    if mask_name == "{name}" and masks.resolve() == images.resolve():
        raise ConfigError(
            "--mask-name: '{name}' with images and masks in one folder makes each image its own mask; give a pattern "
            "such as '{name}_mask'"
        )
    if num_classes < 2:
        raise ConfigError(f"--classes: {num_classes} is too few; give at least 2, including the background")
    mask_files: dict[Path, Path] = {}  # by path without suffix, because masks are often PNG and images JPEG
    for path in find_images(masks):
        key = path.relative_to(masks).with_suffix("")
        if key in mask_files:
            raise ConfigError(f"{path}: has the same name as {mask_files[key].name}; an image has one mask")
        mask_files[key] = path
    mask_keys = {path: _make_mask_key(path.relative_to(images), mask_name) for path in find_images(images)}
    used = {mask_files[key] for key in mask_keys.values() if key in mask_files}
    # If masks and images are in the same folder, masks must not be read as images.
    if mask_name != "{name}":
        mask_keys = {image: key for image, key in mask_keys.items() if image not in used}
    paired: list[SourceRow] = []
    left_out: list[str] = []
    for image, key in mask_keys.items():
        if key in mask_files:
            paired.append(SourceRow(image, mask=mask_files[key]))
        else:
            left_out.append(f"{image}: no mask {masks / key}.*")
    left_out += [f"{mask}: no image" for mask in mask_files.values() if mask not in used and mask not in mask_keys]
    return SourceTable(task, "segmentation", num_classes, tuple(paired), left_out=tuple(left_out))


def _make_mask_key(image: Path, mask_name: str) -> Path:
    """Return the path of an image's mask without suffix; both paths are relative to their folders."""
    return image.with_name(mask_name.replace("{name}", image.stem))
