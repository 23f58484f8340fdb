"""What a shell offers on <TAB>: studies, Hydra groups and keys, folders of results. Quick, and never an error.

Names come from the folders of configurations as they lie there; neither Hydra nor anything heavy is imported.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml

from usaggr.config.folders import GROUPS, list_choices, search_folders
from usaggr.results import contract

BASH = r"""
%(complete_func)s() {
    local IFS=$'\n' line="${COMP_LINE:0:COMP_POINT}" word
    COMPREPLY=( $( env _TYPER_COMPLETE_ARGS="$line" _TYPER_COMPLETE_FISH_ACTION=get-args \
                   %(autocomplete_var)s=complete_fish "$1" 2>/dev/null | cut -f 1 ) )
    word="${line##*[[:space:]]}"
    # Where bash cuts words at =, what stands before it is not to be given again.
    if [[ $word == *=* && $COMP_WORDBREAKS == *=* ]]; then
        COMPREPLY=( "${COMPREPLY[@]#"${word%%=*}="}" )
    fi
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=./] ]]; then
        compopt -o nospace 2>/dev/null
    fi
    return 0
}

complete -o default -F %(complete_func)s %(prog_name)s
"""
"""As typer's own, but key=value is one word, and what has to be gone on with is not followed by a space."""

ZSH = r"""
#compdef %(prog_name)s

%(complete_func)s() {
    local -a found closed open
    found=("${(@f)$(env _TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" _TYPER_COMPLETE_FISH_ACTION=get-args \
        %(autocomplete_var)s=complete_fish %(prog_name)s 2>/dev/null | cut -f 1)}")
    found=(${found:#})
    (( $#found )) || { _files; return }
    open=(${(M)found:#*[=./]})
    closed=(${found:#*[=./]})
    compadd -Q -S '' -a open
    compadd -Q -a closed
}

compdef %(complete_func)s %(prog_name)s
"""

Context = Any
"""typer's, of which only the parameters are read."""


def use_own_scripts() -> None:
    """Let --install-completion and --show-completion give these scripts for bash and zsh."""
    # typer has no public place for them; where it has none at all, its own ones stay.
    from typer import _completion_shared

    scripts: dict[str, str] = getattr(_completion_shared, "_completion_scripts", {})
    scripts.update(bash=BASH, zsh=ZSH)


def _never_fails(find: Callable[[Context, str], Iterator[str]]) -> Callable[[Context, str], list[str]]:
    """What a function finds that begins with what was typed; nothing where anything goes wrong."""

    def found(ctx: Context, incomplete: str) -> list[str]:
        try:
            return sorted({name for name in find(ctx, incomplete) if name.startswith(incomplete)})
        except Exception:
            return []

    return found


@_never_fails
def words(ctx: Context, incomplete: str) -> Iterator[str]:
    """A study, unless there is one already, and overrides: `model=tiny`, `training.learning_rate=`."""
    folders = search_folders(ctx.params.get("config_dir"))
    if "=" in incomplete:
        key, _, value = incomplete.partition("=")
        yield from (f"{key}={choice}" for choice in _values(key, value, folders))
        return
    if not any("=" not in word for word in ctx.params.get("words") or ()):
        yield from studies(folders)
    # At the top, one part of a key at a time: all of them would hide the studies.
    depth = incomplete.count(".") + 1
    for key in keys(folders):
        parts = key.split(".")
        yield f"{key}=" if len(parts) <= depth else ".".join(parts[:depth]) + "."
    yield from (f"{group}=" for group in GROUPS)


@_never_fails
def overrides(ctx: Context, incomplete: str) -> Iterator[str]:
    """The same without studies."""
    return iter(name for name in words(ctx, incomplete) if "=" in name or name.endswith("."))


@_never_fails
def results(ctx: Context, incomplete: str) -> Iterator[str]:
    """Folders of results: in the folder that was begun, else in outputs/."""
    begun = Path(incomplete if incomplete.endswith("/") else Path(incomplete).parent)
    for folder in (begun, Path("outputs")):
        yield from (str(path.parent) for path in folder.glob(f"*/{contract.STUDY}"))


def studies(folders: Sequence[Path]) -> Iterator[str]:
    """Names of the studies in folders of the name `sweeps`."""
    return (file.stem for folder in folders if folder.name == "sweeps" for file in folder.glob("*.yaml"))


def keys(folders: Sequence[Path]) -> Iterator[str]:
    """Dotted keys that the files of `conf/` give a value; each key of the schema has its first one there."""
    for folder in folders:
        for file in [folder / "sweep.yaml", *(path for group in GROUPS for path in (folder / group).glob("*.yaml"))]:
            group = file.parent.name
            at_top = file.parent == folder or group == "scale"
            yield from _leaves(_mapping(file), "" if at_top else f"{group}.")


def _mapping(file: Path) -> dict[str, Any]:
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return {k: v for k, v in content.items() if k != "defaults"} if isinstance(content, dict) else {}


def _leaves(content: dict[str, Any], prefix: str) -> Iterator[str]:
    for name, value in content.items():
        # A group's `name` is chosen with its file. Variants are named by whoever compares them.
        if name == "name" and prefix:
            continue
        if isinstance(value, dict) and value and name != "variants":
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _values(key: str, begun: str, folders: Sequence[Path]) -> Iterator[str]:
    """What a key may be set to, where that is one of a few names; of a list, its last item."""
    if key in GROUPS:
        yield from list_choices(key, folders)
    elif key == "reference":
        yield from list_choices("grouping", folders)
    elif key in ("groupings", "tasks"):
        head, comma, _ = begun.rpartition(",")
        before = f"{head}{comma}" if comma else "["
        yield from (before + name for name in _items(key, folders) if name not in before.strip("[").split(","))
    else:
        yield from _allowed(key)


def _items(key: str, folders: Sequence[Path]) -> list[str]:
    if key == "groupings":
        return list_choices("grouping", folders)
    from usaggr.tasks import CATALOGUE

    return list(CATALOGUE)


def _allowed(key: str) -> Iterator[str]:
    """The values that the schema lists for a key."""
    from usaggr.config.section import sections_in
    from usaggr.config.study import StudyConfig

    fields = dict(StudyConfig.model_fields)
    *parents, name = key.split(".")
    for parent in parents:
        sections = sections_in(fields[parent].annotation)
        fields = {name: field for section in sections for name, field in section.model_fields.items()}
    annotation = fields[name].annotation
    for member in (annotation, *get_args(annotation)):
        if member is bool:
            yield from ("true", "false")
        elif member is type(None):
            yield "null"
        else:
            yield from (str(value) for value in get_args(member) if isinstance(value, str | int))
