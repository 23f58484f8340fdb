"""Suggestions of a shell on <TAB>: studies, groups, keys, values and result folders; typer writes the shell's script.

Nothing slow is imported, and an error offers nothing, because its message would appear on the line that is typed.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import typer

from usaggr.config.folders import GROUPS, list_choices, list_studies, search_folders
from usaggr.errors import ConfigError
from usaggr.results import contract


def complete_words(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return studies, unless there is one already, and overrides: `model=tiny`, `training.learning_rate=`."""
    try:
        folders = search_folders(ctx.params.get("config_dir"))
    except ConfigError:
        return []
    typed = " ".join(ctx.params.get("words") or ())
    # bash divides key=value into three words, and leaves out a = at which the cursor is.
    *earlier, last = typed.removesuffix(" =").replace(" = ", "=").split(" ")
    if typed.endswith(" =") or (not incomplete and _is_key(last)):
        return _select(_list_values(last, incomplete, folders), incomplete)
    if "=" in incomplete:
        key, _, value = incomplete.partition("=")
        return _select((f"{key}={choice}" for choice in _list_values(key, value, folders)), incomplete)
    has_study = any(word and "=" not in word for word in [*earlier, last])
    return [*_select([] if has_study else list_studies(folders), incomplete), *_complete_key(incomplete)]


def complete_overrides(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return what `complete_words` does, without studies."""
    return [word for word in complete_words(ctx, incomplete) if "=" in word or word.endswith(".")]


def complete_results(incomplete: str) -> list[str]:
    """Return folders of results: in the folder that is typed, and in outputs/."""
    typed = Path(incomplete if incomplete.endswith("/") else Path(incomplete).parent)
    results = [path.parent for folder in (typed, Path("outputs")) for path in folder.glob(f"*/{contract.STUDY}")]
    return _select(map(str, results), incomplete)


def _is_key(word: str) -> bool:
    # Imported here, because pydantic takes longer to import than a user waits after <TAB>.
    from usaggr.config.messages import is_known

    return word in GROUPS or (word != "" and is_known(word))


def _select(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted({name for name in names if name.startswith(incomplete)})


def _complete_key(incomplete: str) -> list[str]:
    """Return keys and groups, one level at a time: all keys at once would hide the studies."""
    from usaggr.config.section import walk_leaf_keys
    from usaggr.config.study import StudyConfig

    level = incomplete.count(".") + 1
    # The `name` of a section is chosen with its file, as in model=tiny.
    keys = [key.split(".") for key, _ in walk_leaf_keys(StudyConfig, "") if not key.endswith(".name")]
    names = [".".join(parts) + "=" if len(parts) <= level else ".".join(parts[:level]) + "." for parts in keys]
    names = _select([*names, *(f"{group}=" for group in GROUPS)], incomplete)
    if len(names) != 1:
        return names
    # A shell puts a space after the only completion; two keep it from doing so where the word is not complete.
    return _complete_key(names[0]) if names[0].endswith(".") else [names[0], f"{names[0]}VALUE"]


def _list_values(key: str, typed: str, folders: Sequence[Path]) -> Iterator[str]:
    """Yield the values of a key if they are a few names; of a list, the typed items and one more.

    Args:
        key: Dotted key, or name of a group.
        typed: Beginning of the value.
        folders: Folders with configurations.
    """
    if key in GROUPS:
        yield from list_choices(key, folders)
    elif key == "reference":
        yield from list_choices("grouping", folders)
    elif key in ("groupings", "tasks"):
        # Complete items stay; the shell replaces the whole word by the suggestion.
        before = typed[: typed.rfind(",") + 1] or "["
        items = before.strip("[").split(",")
        yield from (before + name for name in _list_items(key, folders) if name not in items)
    else:
        yield from _list_allowed(key)


def _list_items(key: str, folders: Sequence[Path]) -> list[str]:
    if key == "groupings":
        return list_choices("grouping", folders)
    from usaggr.tasks import CATALOGUE

    return list(CATALOGUE)


def _list_allowed(key: str) -> Iterator[str]:
    """Yield the values that the schema lists for a key."""
    from usaggr.config.json_schema import find_node, list_alternatives, read_schema
    from usaggr.config.study import StudyConfig

    node, _, missing = find_node(key, read_schema(StudyConfig))
    for alternative in [] if missing else list_alternatives(node):
        match alternative:
            case {"enum": values}:
                yield from map(str, values)
            case {"const": value}:
                yield str(value)
            case {"type": "boolean"}:
                yield from ("true", "false")
            case {"type": "null"}:
                yield "null"
