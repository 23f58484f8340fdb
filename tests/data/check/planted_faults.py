"""Generator of a data set with 60 errors of all kinds: a part of the real data in USAGGR_TEST_DATA, copied and changed.

`PLANTED` lists the errors: kind, index file, how each is made, and whether `--fix` repairs it. Each takes a row of
its own. `plant_faults` returns their positions.
"""

import csv
import shutil
import zlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.data.factories import Row

ROWS = 48
"""Number of rows that are copied of each index file."""
SEG, MULTI, DET, POINTS, ORGANS, BREAST = (
    "breast_lesion.csv", "nerve_vessel.csv", "breast_lesion_det.csv", "fetal_head_biometry.csv", "organ_cls.csv",
    "breast_2cls.csv",
)  # fmt: skip
BOX = ("x_min", "y_min", "x_max", "y_max")


@dataclass
class Copy:
    """A copy of a part of the data, in which errors are planted."""

    root: Path
    tables: dict[str, list[Row]] = field(default_factory=dict)
    raw: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Lines that are appended to index files."""
    used: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Number of rows at the beginning of each table that were used."""
    lines: list[tuple[str, int]] = field(default_factory=list)
    """Index file and line of the rows of the error that is being planted."""

    def take(self, file: str) -> Row:
        """Return the next unused row of a file, and note its line."""
        self.used[file] += 1
        self.lines.append((file, self.used[file] + 1))
        return self.tables[file][self.used[file] - 1]

    def append(self, file: str, row: Row) -> None:
        """Append a row to a file, and note its line."""
        self.tables.setdefault(file, []).append(row)
        self.lines.append((file, len(self.tables[file]) + 1))

    def move(self, file: str, count: int, other: str) -> list[Row]:
        """Move the last rows of a file into another file of the same task, and note their lines there."""
        for row in (moved := self.tables[file][-count:]):
            self.append(other, row)
        del self.tables[file][-count:]
        return moved

    def path(self, text: str) -> Path:
        return self.root / "csv_files" / text

    def pixels(self, text: str) -> Any:
        return np.asarray(Image.open(self.path(text)))

    def write(self, row: Row, column: str, image: Image.Image, suffix: str = ".png", **options: Any) -> None:
        """Save a new file for one cell of a row."""
        number = sum(1 for _ in (self.root / "planted").iterdir())
        row[column] = f"../planted/{number}{suffix}"
        image.save(self.path(row[column]), **options)


def change(file: str, **cells: str) -> Callable[[Copy], None]:
    """Return a function that changes cells of a row."""
    return lambda copy: copy.take(file).update(cells)


def redraw(
    file: str, column: str, draw: Callable[[Any], Image.Image], suffix: str = ".png", **options: Any
) -> Callable[[Copy], None]:
    """Return a function that draws the image or mask of a row in another way."""

    def plant(copy: Copy) -> None:
        row = copy.take(file)
        copy.write(row, column, draw(copy.pixels(row[column])), suffix, **options)

    return plant


def content(file: str, column: str, edit: Callable[[bytes], bytes]) -> Callable[[Copy], None]:
    """Return a function that changes the bytes of a row's file."""

    def plant(copy: Copy) -> None:
        path = copy.path(copy.take(file)[column])
        path.write_bytes(edit(path.read_bytes()))

    return plant


def paths(file: str, column: str, edit: Callable[[Copy, str], str]) -> Callable[[Copy], None]:
    """Return a function that changes the path in a row."""

    def plant(copy: Copy) -> None:
        row = copy.take(file)
        row[column] = edit(copy, row[column])

    return plant


def link(copy: Copy, text: str) -> str:
    outside = copy.root.with_name("outside.jpg")
    shutil.copy(copy.path(text), outside)
    copy.path("../planted/link.jpg").symlink_to(outside)
    return "../planted/link.jpg"


def absolute(copy: Copy, text: str) -> str:
    return str(copy.path(text).resolve())


def repeat(file: str, **cells: str) -> Callable[[Copy], None]:
    """Return a function that appends the last row again; with another label, both rows are errors."""

    def plant(copy: Copy) -> None:
        if cells:
            copy.lines.append((file, len(copy.tables[file]) + 1))
        copy.append(file, {**copy.tables[file][-1], **cells})

    return plant


def long_row(copy: Copy) -> None:
    copy.raw[BREAST].append(",".join(["cell"] * 30))
    copy.lines.append((BREAST, 0))


def boxes_of_width_and_height(copy: Copy) -> None:
    """Move boxes into a file of their own, as x, y, width, height: four right of their width, two left of the half."""
    table = copy.tables[DET]

    def find_ratio(row: Row) -> float:
        return float(row["x_min"]) / (float(row["x_max"]) - float(row["x_min"]))

    ordered = sorted(table, key=find_ratio)
    chosen = [*ordered[:2], *ordered[-4:]]
    table[:] = [row for row in table if not any(row is other for other in chosen)] + chosen
    for row in copy.move(DET, len(chosen), "boxes_xywh.csv"):
        for side, origin in (("x_max", "x_min"), ("y_max", "y_min")):
            row[side] = f"{float(row[side]) - float(row[origin]):.6g}"


def exchange_axes(copy: Copy) -> None:
    for number, row in enumerate(copy.move(DET, 4, "boxes_turned.csv")):
        gray = np.random.default_rng(number).integers(0, 255, (100, 300)).astype(np.uint8)
        copy.write(row, "image_path", Image.fromarray(gray))
        row.update(zip(BOX, ("10", f"{150 + number}", "60", "250"), strict=True))


def fractions_of_points(copy: Copy) -> None:
    for row in copy.move(POINTS, 4, "points_fractions.csv"):
        width, height = Image.open(copy.path(row["image_path"])).size
        for number in range(1, 5):
            x, y = map(float, row[f"point_{number}_xy"].strip("[]").split(","))
            row[f"point_{number}_xy"] = f"[{x / width:.6f}, {y / height:.6f}]"


def palettes(copy: Copy) -> None:
    """Give six masks a palette; the last one exchanges the numbers of two colors."""
    for number, row in enumerate(copy.move(MULTI, 6, "palettes.csv")):
        mask, exchanged = copy.pixels(row["mask_path"]), number == 5
        image = Image.fromarray(np.array([0, 2, 1], np.uint8)[mask] if exchanged else mask).convert("P")
        image.putpalette([0, 0, 0, 0, 255, 0, 255, 0, 0] if exchanged else [0, 0, 0, 255, 0, 0, 0, 255, 0])
        copy.write(row, "mask_path", image)
    copy.lines[:] = copy.lines[-1:]


def rgba(mask: Any, color: tuple[int, int, int], alpha: Any) -> Image.Image:
    return Image.fromarray(np.dstack([np.full((*mask.shape, 3), color, np.uint8), np.asarray(alpha, np.uint8)]))


def black_last(mask: Any) -> Image.Image:
    image = Image.fromarray((mask == 0).astype(np.uint8)).convert("P")
    image.putpalette([0, 200, 0, 0, 0, 0])
    return image


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def sheet(pixels: Any) -> dict[str, Any]:
    return {"save_all": True, "append_images": [Image.fromarray(pixels)]}


HEADER = b"IHDR" + (100_000).to_bytes(4, "big") * 2 + b"\x08\0\0\0\0"
PNG_OF_10_GIGAPIXELS = (
    b"\x89PNG\r\n\x1a\n\0\0\0\r" + HEADER + zlib.crc32(HEADER).to_bytes(4, "big") + b"\0\0\0\1IDAT\0\0\0\0\0"
)
"""Beginning of an image of 100,000 x 100,000 pixels."""
GRAY = np.full((60, 80), 90, np.uint8)
PLANTED: tuple[tuple[str, str, str, Callable[[Copy], None], bool], ...] = (
    ("row_shape", BREAST, "30 cells", long_row, False),
    ("task_id", BREAST, "empty", change(BREAST, task_id=""), False),
    ("task_name", BREAST, "misspelled", change(BREAST, task_name="clasification"), True),
    ("task_name", SEG, "empty", change(SEG, task_name=""), True),
    ("num_classes", BREAST, "empty", change(BREAST, num_classes=""), True),
    ("num_classes", DET, "0", change(DET, num_classes="0"), True),
    ("no_image", ORGANS, "empty", change(ORGANS, image_path=""), False),
    ("no_mask", SEG, "empty", change(SEG, mask_path=""), False),
    ("path_outside", ORGANS, "absolute, in the root", paths(ORGANS, "image_path", absolute), True),
    ("path_outside", ORGANS, "in another folder", change(ORGANS, image_path="../../other/a.png"), False),
    ("link_outside", ORGANS, "link", paths(ORGANS, "image_path", link), False),
    ("missing_file", ORGANS, "no such file", change(ORGANS, image_path="../Classification/none.jpg"), False),
    ("missing_file", DET, "a folder", change(DET, image_path="../Detection"), False),
    ("missing_file", ORGANS, "letter case", paths(ORGANS, "image_path", lambda _, text: text.upper()), True),
    ("missing_file", DET, "\\ for /", paths(DET, "image_path", lambda _, text: text.replace("/", "\\")), True),
    ("missing_file", SEG, "mask", change(SEG, mask_path="../masks/none.png"), False),
    ("too_large", BREAST, "10^10 pixels", content(BREAST, "image_path", lambda _: PNG_OF_10_GIGAPIXELS), False),
    ("unreadable_file", BREAST, "cut off", content(BREAST, "image_path", lambda old: old[: len(old) // 2]), False),
    ("unreadable_file", ORGANS, "a text", content(ORGANS, "image_path", lambda _: b"no image"), False),
    ("unreadable_file", DET, "empty file", content(DET, "image_path", lambda _: b""), False),
    ("unreadable_file", ORGANS, "floating-point image",
     redraw(ORGANS, "image_path", lambda image: Image.fromarray(image / np.float32(255)), ".tif"), False),
    ("unreadable_file", ORGANS, "two pages",
     redraw(ORGANS, "image_path", Image.fromarray, ".tif", **sheet(GRAY)), False),
    ("unreadable_file", SEG, "mask cut off", content(SEG, "mask_path", lambda old: old[: len(old) // 2]), False),
    ("unreadable_file", SEG, "mask of two pages",
     redraw(SEG, "mask_path", Image.fromarray, ".tif", **sheet(GRAY)), False),
    ("unreadable_file", MULTI, "mask of colors", redraw(MULTI, "mask_path", lambda mask: Image.fromarray(
        np.dstack([mask * 80, mask * 0, mask * 40]).astype(np.uint8))), False),
    ("unreadable_file", SEG, "mask of one color", redraw(SEG, "mask_path", lambda mask: Image.fromarray(
        np.dstack([mask * 200, mask * 0, mask * 40]).astype(np.uint8))), True),
    ("unreadable_file", SEG, "floating-point mask",
     redraw(SEG, "mask_path", lambda mask: Image.fromarray(mask.astype(np.float32)), ".tif"), True),
    ("unreadable_file", SEG, "label in the alpha channel",
     redraw(SEG, "mask_path", lambda mask: rgba(mask, (1, 1, 1), mask * 255)), True),
    ("unreadable_file", SEG, "black ink in the alpha channel",
     redraw(SEG, "mask_path", lambda mask: rgba(mask, (0, 0, 0), mask * 255)), False),
    ("unreadable_file", SEG, "erased part of the label", redraw(SEG, "mask_path", lambda mask: Image.fromarray(
        np.dstack([mask, np.where(np.arange(mask.shape[1]) % 2, 255, 0) + 0 * mask]).astype(np.uint8))), True),
    ("unreadable_file", SEG, "black is the last color", redraw(SEG, "mask_path", black_last), True),
    ("unreadable_file", SEG, "mask marked as upside down",
     redraw(SEG, "mask_path", Image.fromarray, exif=exif(3)), False),
    ("orientation", BREAST, "EXIF", redraw(BREAST, "image_path", Image.fromarray, ".jpg", exif=exif(6)), False),
    ("transparency", BREAST, "white covered", redraw(BREAST, "image_path", lambda image: rgba(
        image, (255, 255, 255), image)), False),
    ("split", BREAST, "unknown word", change(BREAST, split="holdout"), False),
    ("duplicate", ORGANS, "row twice", repeat(ORGANS), True),
    ("duplicate", DET, "row twice", repeat(DET), True),
    ("contradiction", BREAST, "two classes", repeat(BREAST, mask="0"), False),
    ("label", BREAST, "a word", change(BREAST, mask="malignant"), False),
    ("label", ORGANS, "empty", change(ORGANS, mask=""), False),
    ("label_range", BREAST, "2 of 2", change(BREAST, mask="2"), False),
    ("label_range", ORGANS, "-1", change(ORGANS, mask="-1"), False),
    ("box", DET, "a word", change(DET, x_min="left"), False),
    ("box", DET, "empty", change(DET, y_max=""), False),
    ("box_empty", DET, "sides exchanged", change(DET, x_min="90", x_max="20", y_min="10", y_max="80"), True),
    ("box_empty", DET, "no width", change(DET, x_min="20", x_max="20", y_min="10", y_max="80"), False),
    ("box_outside", DET, "partly", change(DET, x_min="20", x_max="5000", y_min="10", y_max="80"), True),
    ("box_outside", DET, "above", change(DET, x_min="20", x_max="50", y_min="-90.5", y_max="-1e-9"), False),
    ("points", POINTS, "empty", change(POINTS, point_2_xy=""), False),
    ("points", POINTS, "no brackets", change(POINTS, point_1_xy="12; 14"), False),
    ("points_outside", POINTS, "right of the image", change(POINTS, point_4_xy="[5000, 14]"), False),
    ("points_count", POINTS, "a fifth point", change(POINTS, point_5_xy="[50, 14]"), False),
    ("mask_size", SEG, "one line less", redraw(SEG, "mask_path", lambda mask: Image.fromarray(mask[1:])), False),
    ("mask_values", SEG, "0 and 255", redraw(SEG, "mask_path", lambda mask: Image.fromarray(mask * 255)), True),
    ("mask_values", MULTI, "7", redraw(MULTI, "mask_path", lambda mask: Image.fromarray(mask * 7)), False),
    ("empty_mask", SEG, "0 everywhere", redraw(SEG, "mask_path", lambda mask: Image.fromarray(mask * 0)), False),
    ("fractions", "points_fractions.csv", "landmarks", fractions_of_points, True),
    ("box_order", "boxes_xywh.csv", "x, y, width, height", boxes_of_width_and_height, True),
    ("turned", "boxes_turned.csv", "x and y exchanged", exchange_axes, False),
    ("palette", "palettes.csv", "colors exchanged", palettes, True),
)  # fmt: skip
"""Kind, index file, how it is made, function that plants it, and whether `--fix` repairs it."""


@dataclass(frozen=True)
class PlantedFault:
    """A planted error and its rows."""

    kind: str
    how: str
    lines: tuple[tuple[str, int], ...]
    """Index file and line of each row."""
    is_repaired: bool


def plant_faults(source: Path, root: Path, count: int | None = ROWS) -> list[PlantedFault]:
    """Copy a part of the data, plant all errors, and return their positions.

    Args:
        source: The real data.
        root: New folder.
        count: Number of rows of the six tasks that are copied; None to copy all rows of all tasks.
    """
    copy = Copy(root)
    (root / "planted").mkdir(parents=True)
    (root / "csv_files").mkdir()
    names = (SEG, MULTI, DET, POINTS, ORGANS, BREAST)
    for file in sorted((source / "csv_files").glob("*.csv")):
        if count is None or file.name in names:
            with file.open(newline="", encoding="utf-8") as stream:
                table = list(csv.DictReader(stream))
            copy.tables[file.name] = table[:: max(len(table) // count, 1)][:count] if count is not None else table
    for table in copy.tables.values():
        for row in table:
            for text in filter(None, (row["image_path"], row.get("mask_path"))):
                copy.path(text).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source / "csv_files" / text, copy.path(text))
    faults: list[PlantedFault] = []
    # Rows that are moved and appended are at the ends of tables, so these errors come first and last.
    ordered = sorted(PLANTED, key=lambda item: (item[0] in ("duplicate", "contradiction"), item[1] in names))
    for kind, _, how, plant, is_repaired in ordered:
        copy.lines = []
        plant(copy)
        faults.append(PlantedFault(kind, how, tuple(copy.lines), is_repaired))
    for name, table in copy.tables.items():
        columns = list(dict.fromkeys(column for row in table for column in row))
        with copy.path(name).open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(table)
            stream.writelines(f"{line}\n" for line in copy.raw[name])
    end = len(copy.tables[BREAST]) + 2
    return [PlantedFault(f.kind, f.how, tuple((n, line or end) for n, line in f.lines), f.is_repaired) for f in faults]
