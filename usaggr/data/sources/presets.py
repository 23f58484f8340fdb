"""Public data sets as they are downloaded: BUSI, CAMUS, HC18 and TN3K, each a few lines over the general readers."""

from dataclasses import dataclass, replace
from pathlib import Path

from usaggr.data.sources.classes import read_classes
from usaggr.data.sources.convert import FrameChoice, check_axes, convert_folder, has_medical_files
from usaggr.data.sources.left_out import LeftOut
from usaggr.data.sources.made_masks import NO_CHANGES, MaskChanges
from usaggr.data.sources.masks import read_masks
from usaggr.data.sources.medical_file import format_spacing
from usaggr.data.sources.table import SourceTable
from usaggr.data.sources.table_file import read_table_file
from usaggr.errors import ConfigError, DataError
from usaggr.io.bounded_content import parse_json
from usaggr.io.bounded_files import read_bounded

_HC18_SIZES = "training_set_pixel_size_and_HC.csv"


@dataclass(frozen=True)
class PresetTask:
    """A task of a public data set, as `write_task` writes it."""

    table: SourceTable
    images: Path
    subject: str | None = None
    changes: MaskChanges = NO_CHANGES


def read_busi(folder: Path, task: str) -> list[PresetTask]:
    """Read BUSI (breast): lesions of benign and malignant images, and the class of all.

    An image with several masks has their union. Images of the class normal have no lesion, so they are only classified.

    Args:
        folder: Folder with benign/, malignant/ and normal/.
        task: Name of the segmentation task; the classification has the suffix `_class`.

    Raises:
        ConfigError: The folder is not BUSI.
        DataError: An image cannot be represented.
    """
    images = _find(folder, "benign")
    lesions = read_masks(images, images, task, mask_name="{name}_mask", several="union", names=("background", "lesion"))
    normal = [row for row in lesions.rows if row.image.relative_to(images).parts[0].lower() == "normal"]
    reasons = tuple(LeftOut(str(row.image), "is normal: it has no lesion") for row in normal)
    kept_rows = tuple(row for row in lesions.rows if row not in normal)
    lesions = replace(lesions, rows=kept_rows, left_out=(*lesions.left_out, *reasons))
    return [PresetTask(lesions, images), PresetTask(read_classes(images, f"{task}_class"), images)]


def read_camus(folder: Path, task: str, converted: Path) -> list[PresetTask]:
    """Read CAMUS (heart): the end-diastolic and end-systolic images of two and four chambers.

    NIfTI or MetaImage files are converted to PNG, and sequences are left out.

    Args:
        folder: Folder with patient0001/, patient0002/, ...
        task: Name of the task.
        converted: Folder of the converted images.

    Raises:
        ConfigError: The folder is not CAMUS, or nibabel is not installed.
        DataError: No file can be converted.
    """
    images = _find(folder, "patient*")
    names = ("background", "left ventricle", "myocardium", "left atrium")
    conversion = convert_folder(images, converted, FrameChoice()) if has_medical_files(images) else None
    root = conversion.folder if conversion else images
    table = read_masks(root, root, task, mask_name="{name}_gt", names=names)
    check_axes(table, [conversion] if conversion else [])
    return [PresetTask(conversion.add_columns(table) if conversion else table, root, r"(patient\d+)")]


def read_hc18(folder: Path, task: str) -> list[PresetTask]:
    """Read HC18 (fetal head): the area inside the annotated ellipses, and the size of pixels.

    Args:
        folder: Folder with training_set/, or that folder.
        task: Name of the task.

    Raises:
        ConfigError: The folder is not HC18.
    """
    images = folder if any(folder.glob("*_Annotation.png")) else _find(folder, "training_set")
    table = read_masks(images, images, task, mask_name="{name}_Annotation", names=("background", "head"))
    sizes_file = next((path for path in (images / _HC18_SIZES, images.parent / _HC18_SIZES) if path.is_file()), None)
    if sizes_file is None:
        table = replace(table, notes=(*table.notes, f"{_HC18_SIZES} is missing, so there is no pixel_spacing"))
    else:
        sizes = read_table_file(sizes_file, "filename", None, ".")
        column = next((name for name in sizes.columns if name.startswith("pixel size")), "pixel size(mm)")
        sizes.check_column(str(sizes_file), column)
        spacing = {record.get_text("filename"): sizes.get_number(record, column) for record in sizes.records}
        table = replace(
            table,
            rows=tuple(
                replace(row, columns=format_spacing(size, size)) if (size := spacing.get(row.image.name)) else row
                for row in table.rows
            ),
        )
    # 010_HC.png and 010_2HC.png are of one fetus.
    return [PresetTask(table, images, r"^(\d+)_", MaskChanges(fill=True))]


def read_tn3k(folder: Path, task: str, fold: int = 0) -> list[PresetTask]:
    """Read TN3K (thyroid nodules) with its official test set, and the training and validation set of a fold.

    Args:
        folder: Folder with trainval-image/, trainval-mask/, test-image/ and test-mask/.
        task: Name of the task.
        fold: Number of the file tn3k-trainval-fold0.json; without that file, all other images are for training.

    Raises:
        ConfigError: The folder is not TN3K.
        DataError: The file of the fold cannot be read.
    """
    root = _find(folder, "trainval-image")
    validation = _read_validation_names(root / f"tn3k-trainval-fold{fold}.json")
    tables: list[SourceTable] = []
    for subset in ("trainval", "test"):
        table = read_masks(root / f"{subset}-image", root / f"{subset}-mask", task, names=("background", "nodule"))
        tables.append(
            replace(
                table,
                rows=tuple(
                    replace(row, columns={"split": _get_tn3k_subset(subset, row.image.stem, validation)})
                    for row in table.rows
                ),
            )
        )
    trainval, test = tables
    joined = replace(trainval, rows=(*trainval.rows, *test.rows), left_out=(*trainval.left_out, *test.left_out))
    return [PresetTask(joined, root, changes=MaskChanges(threshold=128))]  # the masks are JPEG files


def _get_tn3k_subset(folder: str, stem: str, validation: frozenset[str]) -> str:
    if folder == "test":
        return "test"
    return "val" if stem in validation else "train"


def _read_validation_names(path: Path) -> frozenset[str]:
    """Return the names, without suffix, of a fold's validation images; none without the file."""
    if not path.is_file():
        return frozenset()
    try:
        entries = parse_json(read_bounded(path))["val"]
        return frozenset(f"{entry:04}" if isinstance(entry, int) else Path(str(entry)).stem for entry in entries)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise DataError(f"{path}: has no list 'val' of images ({error})") from error


def _find(folder: Path, name: str) -> Path:
    """Return the folder that has a subfolder of a name or pattern: the given one, or one in it.

    Raises:
        ConfigError: There is none.
    """
    if folder.is_dir():
        for path in (folder, *sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")):
            if any(subfolder.is_dir() for subfolder in path.glob(name)):
                return path
    raise ConfigError(f"--images: {folder} has no folder {name}; give the folder of the data set as it was unpacked")
