"""Ids of COCO's JSON that are numbers in one list and text in another, as programs write that read ids from a table."""

from collections.abc import Mapping, Sequence
from typing import Any

_MAX_DIGITS = 18
"""Largest number of digits of a text that is read as a number."""
Id = int | str
Lists = dict[str, list[Mapping[str, Any]]]


def unify_ids(lists: Lists) -> tuple[Lists, tuple[str, ...]]:
    """Return the lists of a file in which an object's 1 and an image's "1" are one id, and a note for each such change.

    Ids change only if some object has no image or category otherwise, all ids are whole numbers without leading zeros,
    and no two images or categories become one. All other ids keep their text.

    Args:
        lists: Valid entries of images, annotations and categories.
    """
    unified, notes = dict(lists), []
    for name, reference in (("images", "image_id"), ("categories", "category_id")):
        ids = [entry["id"] for entry in unified[name]]
        references = [entry[reference] for entry in unified["annotations"]]
        if not _are_same_numbers(ids, references):
            continue
        unified[name] = [{**entry, "id": int(entry["id"])} for entry in unified[name]]
        unified["annotations"] = [{**entry, reference: int(entry[reference])} for entry in unified["annotations"]]
        notes.append(f"ids of {name} are text in one list and numbers in another; '1' and 1 are read as one id")
    return unified, tuple(notes)


def _are_same_numbers(ids: Sequence[Id], references: Sequence[Id]) -> bool:
    """Return whether ids and references to them differ in their types alone."""
    if set(references) <= set(ids) or not all(map(_is_whole_number, (*ids, *references))):
        return False
    has_both_types = len({isinstance(number, str) for number in (*ids, *references)}) == 2
    return has_both_types and len({int(number) for number in ids}) == len(set(ids))


def _is_whole_number(value: Id) -> bool:
    if isinstance(value, int):
        return True
    return value.isascii() and value.isdecimal() and len(value) <= _MAX_DIGITS and str(int(value)) == value
