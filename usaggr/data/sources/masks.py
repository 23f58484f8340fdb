"""Segmentation from two folders: an image and its mask have the same name, or names that differ by a pattern."""

from pathlib import Path

from usaggr.data.sources.table import SourceRow, SourceTable, images_in, refuse_task_name
from usaggr.errors import ConfigError


def read_masks(images: Path, masks: Path, task: str, num_classes: int = 2, mask_name: str = "{name}") -> SourceTable:
    """Pair each image with its mask: the one in `masks`, in the same subfolder, whose name less suffix fits.

    `mask_name` says how a mask's name is made of its image's, both without suffix: `{name}_mask` pairs `7.jpg` with
    `7_mask.png`. Images without a mask, and masks without an image, are left out and named.

    Raises:
        ConfigError: a folder that is not there or without images, a pattern without `{name}`, a number of classes under
            2, or two masks for one image.
    """
    refuse_task_name(task)
    if mask_name.count("{name}") != 1:
        raise ConfigError(f"--mask-name: '{mask_name}' must hold {{name}} once, as in '{{name}}_mask'")
    if mask_name == "{name}" and masks.resolve() == images.resolve():
        raise ConfigError("--mask-name: '{name}' in one folder makes each image its own mask; give '{name}_mask' or so")
    if num_classes < 2:
        raise ConfigError(f"--classes: {num_classes} is too few: 2 at least, the background counted")
    found: dict[Path, Path] = {}
    for path in images_in(masks):
        key = path.relative_to(masks).with_suffix("")
        if key in found:
            raise ConfigError(f"{path}: {found[key].name} has the same name; an image has one mask")
        found[key] = path
    pairs = {image: inside.with_name(mask_name.replace("{name}", inside.stem)) for image, inside in _inside(images)}
    used = {found[key] for key in pairs.values() if key in found}
    # Where masks lie beside their images, they are no images themselves.
    pairs = {image: key for image, key in pairs.items() if mask_name == "{name}" or image not in used}
    rows = tuple(SourceRow(image, mask=found[key]) for image, key in pairs.items() if key in found)
    left_out = [f"{image}: no mask {masks / key}.*" for image, key in pairs.items() if key not in found]
    left_out += [f"{mask}: no image" for mask in found.values() if mask not in used and mask not in pairs]
    return SourceTable(task, "segmentation", num_classes, rows, left_out=tuple(left_out))


def _inside(folder: Path) -> list[tuple[Path, Path]]:
    """Images of a folder, and where in it they lie."""
    return [(path, path.relative_to(folder)) for path in images_in(folder)]
