"""Reader of segmentation data in a folder of images and a folder of masks, which are paired by their names."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from usaggr.data.read.similar_names import compose_name
from usaggr.data.sources.image_folder import ImageFolder, list_images
from usaggr.data.sources.left_out import LeftOut
from usaggr.data.sources.mask_names import NamePattern, remove_number
from usaggr.data.sources.table import SourceRow, SourceTable, check_task_name
from usaggr.errors import ConfigError, DataError, explain_unknown_name

Several = Literal["refuse", "largest", "union"]
"""Treatment of images with several masks or objects."""


def parse_several(text: str) -> Several:
    """Return the treatment of several masks or objects for a name on the command line.

    Raises:
        ConfigError: The name is neither refuse, largest nor union.
    """
    match text:
        case "refuse" | "largest" | "union":
            return text
        case _:
            raise ConfigError(explain_unknown_name("--several", text, get_args(Several)))


def read_masks(
    images: Path,
    masks: Path,
    task: str,
    num_classes: int | None = None,
    mask_name: str = "{name}",
    image_name: str = "{name}",
    several: Several = "refuse",
    names: Sequence[str] = (),
) -> SourceTable:
    """Pair each image with its masks, which are in the same subfolder of `masks`.

    A mask with a number at its end (`7_mask_1.png`) is a further mask of the image if it is not the mask of another
    image. Images without a mask and masks without an image are left out and listed. If no name fits, names of nnU-Net
    (`case_0000.png` with the mask `case.png`) are tried.

    Args:
        images: Folder of the images.
        masks: Folder of the masks; may be the same folder.
        task: Id of the task.
        num_classes: Number of classes, including the background. Default: the number of `names`, or 2.
        mask_name: Name of a mask, without suffix, from the name of its image: `{name}_mask` pairs `7.jpg` with
            `7_mask.png`.
        image_name: Name of an image without suffix: with `{name}_0000`, `7_0000.png` has the name `7`.
        several: Treatment of images with several masks. `refuse` raises an error; `largest` and `union` are applied
            when the masks are written (`change_masks`).
        names: Names of the classes, beginning with the background.

    Raises:
        ConfigError: A folder does not exist or has no images, a pattern does not contain `{name}`, there are fewer
            than 2 classes, or two masks have the same name.
        DataError: An image has several masks, and `several` is "refuse"; or two images have the same mask.
    """
    check_task_name(task)
    mask_pattern = NamePattern.parse("--mask-name", mask_name)
    image_pattern = NamePattern.parse("--image-name", image_name)
    same_folder = masks.resolve() == images.resolve()
    if same_folder and mask_pattern == image_pattern:
        raise ConfigError(
            "--mask-name: '{name}' with images and masks in one folder makes each image its own mask; give a pattern "
            "such as '{name}_mask'"
        )
    count = num_classes if num_classes is not None else (len(names) or 2)
    if count < 2:
        raise ConfigError(f"--classes: {count} is too few; give at least 2, including the background")
    if names and len(names) != count:
        raise ConfigError(
            f"--names: has {len(names)} names for {count} classes; give one per class, with the background"
        )
    pairing, notes = _pair_masks(list_images(images), list_images(masks), mask_pattern, image_pattern)
    _refuse_shared(pairing.masks_by_image)
    if several == "refuse":
        _refuse_several(pairing.masks_by_image)
    paired = tuple(
        SourceRow(image, mask=files[0], further_masks=tuple(files[1:]))
        for image, files in pairing.masks_by_image.items()
    )
    return SourceTable(task, "segmentation", count, paired, tuple(names), pairing.list_left_out(), notes, several)


def _pair_masks(
    images: ImageFolder, masks: ImageFolder, mask_pattern: NamePattern, image_pattern: NamePattern
) -> tuple["_Pairing", tuple[str, ...]]:
    """Return the masks of each image, by the patterns or else by nnU-Net's names, and notes for the user.

    Args:
        images: Folder of the images.
        masks: Folder of the masks.
        mask_pattern: Pattern of the names of masks.
        image_pattern: Pattern of the names of images.
    """
    pairing = _Pairing(images, masks, mask_pattern, image_pattern)
    if (
        not pairing.masks_by_image
    ):  # patterns with the suffix, `{name}_mask.png`, although `1.jpg.png` can be the mask of `1.jpg`
        pairing = _Pairing(images, masks, mask_pattern.remove_suffix(), image_pattern.remove_suffix())
    if not pairing.masks_by_image and mask_pattern == image_pattern == NamePattern("", ""):
        channels = _Pairing(images, masks, mask_pattern, NamePattern("", "_0000"))
        if channels.masks_by_image:
            return channels, ("names are those of nnU-Net, as with --image-name '{name}_0000'",)
    return pairing, (() if pairing.masks_by_image else pairing.suggest())


class _Pairing:
    """The masks of each image, for one pair of patterns.

    Attributes:
        images: Files of the folder of images.
        masks: Files of the folder of masks.
        masks_of: Masks of each image, sorted; images without a mask are missing.
    """

    def __init__(
        self, images: ImageFolder, masks: ImageFolder, mask_pattern: NamePattern, image_pattern: NamePattern
    ) -> None:
        self.images, self.masks, self._image_pattern = images, masks, image_pattern
        self.masks_by_image: dict[Path, list[Path]] = {}
        mask_files = self._mask_files()
        keys: dict[Path, Path] = {}
        for image in self._list_image_files():
            name = image_pattern.find(image.stem)
            if name is not None:
                keys[image] = _compose(image.relative_to(images.folder).with_name(mask_pattern.fill(name)))
        exact = {image: mask_files[key] for image, key in keys.items() if key in mask_files}
        further = self._find_numbered_masks(mask_files, {key: image for image, key in keys.items()}, exact)
        if images.folder.resolve() == masks.folder.resolve():
            # A file that is the mask of an image is not an image, unless it has a mask itself.
            used = set(exact.values()) | {path for paths in further.values() for path in paths}
            keys = {image: key for image, key in keys.items() if image not in used}
        for image in keys:
            files = [*([exact[image]] if image in exact else []), *further.get(image, [])]
            if files:
                self.masks_by_image[image] = files
        self._keys = keys

    def list_left_out(self) -> tuple[LeftOut, ...]:
        """Return the images without a mask, the masks without an image, and the files that are neither."""
        used = {path for paths in self.masks_by_image.values() for path in paths}
        entries: list[LeftOut] = []
        for image in self._list_image_files():
            if image in self._keys and image not in self.masks_by_image:
                entries.append(LeftOut(str(image), f"has no mask in {self.masks.folder}"))
            elif image not in self._keys and image not in used:
                entries.append(
                    LeftOut(str(image), f"has not the name of an image, '{self._image_pattern.fill('{name}')}'")
                )
        images = set(self._list_image_files())
        entries += [
            LeftOut(str(mask), f"has no image in {self.images.folder}")
            for mask in self._mask_files().values()
            if mask not in used and mask not in images
        ]
        folders = {folder.folder.resolve(): folder for folder in (self.images, self.masks)}
        return (*entries, *(entry for folder in folders.values() for entry in folder.list_left_out()))

    def suggest(self) -> tuple[str, ...]:
        """Return the pattern that fits most masks, as a note; nothing if no pattern fits."""
        counts: dict[str, int] = defaultdict(int)
        images = self._list_image_files()
        stems = [mask.stem for mask in self._mask_files().values()]
        for image in images[:20]:
            for stem in stems:
                if image.stem in stem and image.stem != stem:
                    counts[stem.replace(image.stem, "{name}", 1)] += 1
        if not counts:
            return ()
        return (f"most masks fit --mask-name '{max(counts, key=lambda pattern: counts[pattern])}'",)

    def _list_image_files(self) -> list[Path]:
        return _select_outside(self.images, self.masks.folder)

    def _mask_files(self) -> dict[Path, Path]:
        """Return the masks by their path in the folder, without suffix."""
        files: dict[Path, Path] = {}
        for path in _select_outside(self.masks, self.images.folder):
            key = _compose(path.relative_to(self.masks.folder).with_suffix(""))
            if key in files:
                raise ConfigError(f"{path}: has the same name as {files[key].name}; an image has one mask of a name")
            files[key] = path
        return files

    def _find_numbered_masks(
        self, mask_files: Mapping[Path, Path], images: Mapping[Path, Path], exact: Mapping[Path, Path]
    ) -> dict[Path, list[Path]]:
        """Return the masks with a number at their end, by their image.

        Args:
            mask_files: Masks by path without suffix.
            images: Images by the path of their mask without suffix.
            exact: Masks of images by the pattern alone.
        """
        used = set(exact.values())
        further: dict[Path, list[Path]] = defaultdict(list)
        for key, path in mask_files.items():
            base = remove_number(key)
            image = images.get(base) if base is not None else None
            # In one folder, `7_mask_1.png` is an image if it has a mask itself.
            if image is not None and path not in used and path not in exact and path != image:
                further[image].append(path)
        return further


def _compose(path: Path) -> Path:
    """Return a path with composed characters: an archive of a Mac may name a mask in another form than its image."""
    return Path(compose_name(str(path)))


def _select_outside(files: ImageFolder, other: Path) -> list[Path]:
    """Return the images of a folder that are not in another folder below it."""
    if other.resolve() == files.folder.resolve() or not other.resolve().is_relative_to(files.folder.resolve()):
        return list(files.images)
    return [path for path in files.images if not path.resolve().is_relative_to(other.resolve())]


def _refuse_shared(masks_by_image: Mapping[Path, Sequence[Path]]) -> None:
    """Refuse a mask of two images, as `7.png` and `7.jpg`: one picture could be in the training and the test set."""
    owners: dict[Path, Path] = {}
    for image, files in masks_by_image.items():
        for mask in files:
            owner = owners.setdefault(mask, image)
            if owner != image:
                raise DataError(f"{owner} and {image.name} have the same mask, {mask}; keep one image of each name")


def _refuse_several(masks_by_image: Mapping[Path, Sequence[Path]]) -> None:
    several = {image: files for image, files in masks_by_image.items() if len(files) > 1}
    if several:
        image, files = next(iter(several.items()))
        raise DataError(
            f"{len(several)} of {len(masks_by_image)} images have several masks, such as {image}: "
            f"{', '.join(file.name for file in files)}; add --several union to join them, or --several largest"
        )
