"""Says what is wrong with a configuration: one line a fault, with the key, what was found, and what is allowed.

Walks the schema of study.py, so that every message follows from the types and limits that stand there.
"""

import difflib
import json
from collections.abc import Callable, Iterator, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen, MultipleOf
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from usaggr.config.study import NAME_PATTERN, StudyConfig
from usaggr.errors import one_of

Place = Callable[[str], str]
"""Where the value of a dotted key was written, as in ' (sweeps/demo.yaml)'; empty where it needs no saying."""


def explain(error: ValidationError, place: Place = lambda key: "", schema: type[BaseModel] = StudyConfig) -> str:
    """All faults that a schema found, one line each."""
    lines: dict[str, str] = {}
    for fault in error.errors():
        key, annotation, metadata = _locate(fault["loc"], schema)
        if fault["type"] == "extra_forbidden":
            line = unknown_key(key, place(key), schema, _holder(fault["loc"], schema))
        elif fault["type"] in ("union_tag_invalid", "union_tag_not_found"):
            line = _wrong_name(key, annotation, fault["input"], place)
        elif fault["type"] == "missing":
            line = f"{key}: needs a value: {_allowed(annotation, metadata)}"
        elif fault["type"] == "value_error":
            reason = str(fault["ctx"]["error"])
            # A check over several keys names the one it means; a check of one key says what is allowed.
            line = reason if _is_section(annotation) else f"{key}{place(key)}: {reason}, not {_shown(fault['input'])}"
        elif fault["type"] == "literal_error" and all(isinstance(choice, str) for choice in _choices(annotation)):
            line = one_of(key + place(key), fault["input"], map(str, _choices(annotation)))
        else:
            line = f"{key}{place(key)}: {_allowed(annotation, metadata)}, not {_shown(fault['input'])}"
            if _not_null(annotation) is str and isinstance(fault["input"], bool | int | float):
                line += f"; in quotes: \"{key}='{_shown(fault['input'])}'\""
        lines.setdefault(key, line)
    return "\n".join(lines.values())


def unknown_key(
    key: str, place: str = "", schema: type[BaseModel] = StudyConfig, holder: type[BaseModel] | None = None
) -> str:
    """Message for a key that the schema does not have: the nearest one, and all of its section.

    `holder`: the very section that does not have it, where a key may hold one of several.
    """
    parents = key.split(".")[:-1]
    while parents and _kind(parents, schema) != "section":
        parents.pop()
    section = ".".join(parents)
    child = ".".join(key.split(".")[: len(parents) + 1])
    if child != key and _kind(child.split("."), schema) == "leaf":
        return f"{key}{place}: unknown key, {child} is a value and has no keys of its own"
    names = list(holder.model_fields if holder else _fields(parents, schema))
    alternatives = _sections(_fields(parents[:-1], schema)[parents[-1]].annotation) if holder and parents else []
    last = child.rpartition(".")[2]
    owners = [_name_of(other) for other in alternatives if other is not holder and last in other.model_fields]
    if holder and owners:
        return f"{key}{place}: a key of {' and '.join(owners)}, not of {_name_of(holder)}, which has {', '.join(names)}"
    near = _nearest(key, section, names, schema)
    hint = f", did you mean '{near}'?" if near else "."
    return f"{key}{place}: unknown key{hint} Allowed {f'in {section}' if section else 'at the top'}: {', '.join(names)}"


def is_known(key: str) -> bool:
    """Whether the schema has a dotted key, or a mapping that may get it."""
    return _kind(key.split(".")) != "unknown"


def is_entry(key: str) -> bool:
    """Whether a dotted key is an entry of a mapping whose names are free, such as training.task_weights.lung."""
    return _kind(key.split(".")) == "entry"


def is_of_some(key: str) -> bool:
    """Whether only some of the sections that a key's parent may hold have it, such as model.norm."""
    parts = key.split(".")
    for i in range(1, len(parts)):
        sections = _sections(_fields(parts[: i - 1])[parts[i - 1]].annotation)
        if any(parts[i] not in section.model_fields for section in sections):
            return True
        if not sections:
            return False
    return False


def is_list(key: str) -> bool:
    """Whether a key of the schema takes a list."""
    *parents, name = key.split(".")
    if _kind(key.split(".")) != "leaf":
        return False
    annotation = _fields(parents)[name].annotation
    return any(get_origin(member) is list for member in _members(annotation))


def _nearest(key: str, section: str, names: Sequence[str], schema: type[BaseModel]) -> str | None:
    """The key that was meant: by the last part in the same section, anywhere, or by the whole."""
    last = key.rpartition(".")[2]
    near = difflib.get_close_matches(last, names, n=1, cutoff=0.6)
    if near:
        return f"{section}.{near[0]}" if section else near[0]
    everywhere = [known for known in _dotted(schema, "") if not key.startswith(f"{known}.")]
    same_end = [known for known in everywhere if known.rpartition(".")[2] == last]
    alike = same_end or difflib.get_close_matches(key, everywhere, n=1, cutoff=0.7)
    return alike[0] if alike else None


def _dotted(section: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in section.model_fields.items():
        yield prefix + name
        for inner in _sections(field.annotation):
            yield from _dotted(inner, f"{prefix}{name}.")


def _kind(
    parts: Sequence[str], schema: type[BaseModel] = StudyConfig
) -> Literal["section", "leaf", "entry", "unknown"]:
    """What the schema has at a dotted key."""
    fields = dict(schema.model_fields)
    for i, part in enumerate(parts):
        field = fields.get(part)
        if field is None:
            return "unknown"
        inner = _sections(field.annotation)
        if not inner:
            rest = len(parts) - i - 1
            if rest == 0:
                return "leaf"
            return "entry" if rest == 1 and get_origin(field.annotation) is dict else "unknown"
        fields = _merged(inner)
    return "section"


def _fields(parts: Sequence[str], schema: type[BaseModel] = StudyConfig) -> dict[str, FieldInfo]:
    """Keys of the section, or of any of the sections, at a dotted key."""
    fields = dict(schema.model_fields)
    for part in parts:
        fields = _merged(_sections(fields[part].annotation))
    return fields


def _merged(sections: Sequence[type[BaseModel]]) -> dict[str, FieldInfo]:
    return {name: field for section in sections for name, field in section.model_fields.items()}


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _sections(annotation: Any) -> list[type[BaseModel]]:
    """The sections that a key may hold: none, one, or several that are told apart by their `name`."""
    return [member for member in _members(annotation) if _is_section(member)]


def _named(annotation: Any, name: object) -> type[BaseModel]:
    """The section of that `name`, of several."""
    return next(s for s in _sections(annotation) if name == _name_of(s))


def _name_of(section: type[BaseModel]) -> str:
    return str(get_args(section.model_fields["name"].annotation)[0])


def _holder(loc: Sequence[int | str], schema: type[BaseModel]) -> type[BaseModel] | None:
    """The section in which an unknown key was given."""
    annotation = _locate(loc[:-1], schema)[1]
    return annotation if _is_section(annotation) else None


def _wrong_name(key: str, annotation: Any, found: Any, place: Place) -> str:
    """Message for a section of several whose `name` is missing or none of theirs."""
    names = [_name_of(section) for section in _sections(annotation)]
    if isinstance(found, dict) and "name" in found:
        return one_of(f"{key}.name{place(f'{key}.name')}", found["name"], names)
    return f"{key}.name: needs a value: one of {', '.join(names)}"


def _locate(loc: Sequence[int | str], schema: type[BaseModel]) -> tuple[str, Any, Sequence[Any]]:
    """Dotted key of a fault, with the type and limits that hold there.

    A fault in a union is located at the union: pydantic's further parts only say which member it tried, or, of
    sections that are told apart by their `name`, which one it took.
    """
    annotation: Any = schema
    metadata: Sequence[Any] = ()
    key = ""
    for part in loc:
        annotation = _not_null(annotation)
        if len(_sections(annotation)) > 1:
            annotation, metadata = _named(annotation, part), ()
        elif _is_section(annotation):
            key += f".{part}" if key else f"{part}"
            field: FieldInfo | None = annotation.model_fields.get(part)
            annotation, metadata = (field.annotation, field.metadata) if field else (None, ())
        elif get_origin(annotation) is list:
            key += f"[{part}]"
            annotation, metadata = _unwrapped(get_args(annotation)[0])
        elif get_origin(annotation) is dict:
            key += f".{part}"
            names, values = get_args(annotation)
            annotation, metadata = _unwrapped(names if loc[-1] == "[key]" else values)
    return key, annotation, metadata


def _not_null(annotation: Any) -> Any:
    """The only type beside null of an optional value; else the type as it is."""
    others = [member for member in _members(annotation) if member is not NoneType]
    return others[0] if len(others) == 1 else annotation


def _unwrapped(annotation: Any) -> tuple[Any, Sequence[Any]]:
    if get_origin(annotation) is not Annotated:
        return annotation, ()
    inner, *metadata = get_args(annotation)
    return inner, [item for part in metadata for item in getattr(part, "metadata", [part])]


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _choices(annotation: Any) -> list[object]:
    return [value for member in _members(annotation) for value in get_args(member)]


def _allowed(annotation: Any, metadata: Sequence[Any]) -> str:
    """What a value may be, in words: 'a whole number from 1 on, or null'."""
    members = _members(annotation)
    if len(members) > 1:
        return ", or ".join(_allowed(*_with(member, metadata)) for member in members)
    if _is_section(annotation):
        return f"a mapping with the keys {', '.join(annotation.model_fields)}"
    match get_origin(annotation) or annotation:
        case t if t is NoneType:
            return "null"
        case t if t is Literal:
            return f"one of {', '.join(str(value) for value in get_args(annotation))}"
        case t if t is list:
            item, limits = _unwrapped(get_args(annotation)[0])
            return f"a list{_length(metadata)}, each {_allowed(item, limits)}"
        case t if t is dict:
            item, limits = _unwrapped(get_args(annotation)[1])
            return f"a mapping from names to {_allowed(item, limits)}"
        case t if t is bool:
            return "true or false"
        case t if t is int:
            return f"a whole number{_limits(metadata)}"
        case t if t is float:
            return f"a number{_limits(metadata)}"
        case _:
            named = any(getattr(item, "pattern", None) == NAME_PATTERN for item in metadata)
            return "a name of letters, digits, '.', '_' and '-'" if named else f"a text{_length(metadata)}"


def _with(member: Any, metadata: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
    inner, own = _unwrapped(member)
    return inner, [*metadata, *own]


def _limits(metadata: Sequence[Any]) -> str:
    words = ""
    for limit in metadata:
        match limit:
            case Ge(ge=low):
                words += f" from {low} on"
            case Gt(gt=low):
                words += f" above {low}"
            case Le(le=high):
                words += f" up to {high}"
            case Lt(lt=high):
                words += f" below {high}"
            case MultipleOf(multiple_of=step):
                words += f", a multiple of {step}"
    return words.replace(" on up to", " up to").replace(" on below", " to below")


def _length(metadata: Sequence[Any]) -> str:
    low = next((item.min_length for item in metadata if isinstance(item, MinLen)), 0)
    high = next((item.max_length for item in metadata if isinstance(item, MaxLen)), None)
    if low and low == high:
        return f" of {low}"
    return " that is not empty" if low else ""


def _shown(value: Any) -> str:
    """A value as it is written in YAML, shortened."""
    text = f"'{value}'" if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 80 else text[:77] + "..."
