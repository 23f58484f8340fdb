"""Remedies of the errors of an index, for messages that do not contain one.

A key of `data.*` that makes the data readable as they are comes first. `data check --fix` is named where it repairs
errors of the kind.
"""

from usaggr.data.samples import Fault

_REMEDIES = {
    "row_shape": "write the row again with as many cells as the header",
    "task_id": "correct the name",
    "task_name": "correct the type",
    "num_classes": "correct the number",
    "no_image": "give the path of the image, or remove the row",
    "no_mask": "give the path of the mask, or remove the row",
    "path_outside": "move the file into the root, and write its path relative to csv_files/",
    "missing_file": "restore the file, or correct its path",
    "too_large": "raise data.max_pixels, or make the image and its labels smaller",
    "unreadable_file": "replace it by an intact copy, or remove the row",
    "split": "correct the word, or leave the cell empty",
    "duplicate": "remove one of both rows",
    "contradiction": "correct the wrong label, or remove these rows",
    "label": "write the class as a number from 0",
    "label_range": "correct the label, or num_classes in all rows of the task",
    "box": "write the side in pixels, or remove the row",
    "box_empty": "correct the box, or remove the row",
    "box_outside": "correct the box, or remove the row",
    "points": "write the landmark as [x, y] in pixels, or remove the row",
    "points_outside": "correct the landmark, or remove the row",
    "points_count": "empty the cell, or correct num_classes in all rows of the task",
    "mask_size": "save the mask with the size of its image, or remove the row",
    "mask_values": "save the mask as a grayscale file of class indices",
    "box_order": "write them as corners",
}
"""Remedy by `Fault.kind`; the messages of other kinds contain theirs."""
_MESSAGE_REMEDIES = {
    "path_outside": ("paths must be",),
    "unreadable_file": ("; save", ": shift or scale"),
    "points": ("write [x, y]",),
    "task_id": ("names can have", "a name can have"),
    "mask_values": ("set data.",),
}
"""Texts of messages that contain a remedy already, by `Fault.kind`."""
_REPAIRS = {
    "task_name": "--fix DIR takes the type of the task's other rows",
    "num_classes": "--fix DIR takes the number of the task's other rows",
    "path_outside": "--fix DIR corrects absolute paths into the root",
    "missing_file": "--fix DIR corrects separators and letter case",
    "duplicate": "--fix DIR does",
    "box_empty": "--fix DIR exchanges sides if the box is then inside the image",
    "box_outside": "--fix DIR clips it if a part of it is inside the image",
    "mask_values": "--fix DIR changes 255 to 1 in masks of two classes",
    "box_order": "--fix DIR does if the boxes fit in no other order",
    "fractions": "--fix DIR does if the numbers fit in no other order",
    "palette": "--fix DIR does if the other masks have the same colors",
}
"""Repairs of `data check --fix`, by `Fault.kind`."""


def describe_with_remedy(fault: Fault, with_repair: bool = True) -> str:
    """Return an error's message with what to do about it.

    Args:
        fault: The error.
        with_repair: True to describe what `--fix` can repair, False after it has been tried.
    """
    texts = [fault.message]
    if not any(text in fault.message for text in _MESSAGE_REMEDIES.get(fault.kind, ())):
        is_mask_of_colors = fault.kind == "unreadable_file" and "class indices" in fault.message
        texts.append(_REMEDIES["mask_values" if is_mask_of_colors else fault.kind] if fault.kind in _REMEDIES else "")
    if with_repair:
        repair = _REPAIRS.get(fault.kind, "")
        if fault.kind == "unreadable_file" and "mask" in (fault.column, *fault.message.split()):
            repair = "--fix DIR does if its classes are certain"
        texts.append(repair)
    return "; ".join(text for text in texts if text)
