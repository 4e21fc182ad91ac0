"""What is wrong with a configuration, in one sentence; what is allowed is read from the types of the sections."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ValidationError

from synthgen.errors import name_list, nearest_name
from synthgen.redaction import redacted

_MAX_SHOWN = 60
# An address that may hold a secret, or a value that stands where the section with it belongs.
_HIDDEN_KEYS = frozenset({"webhook", "notify", "to", "export"})
_BOUNDS: Mapping[str, str] = {
    "ge": "at least",
    "gt": "above",
    "le": "at most",
    "lt": "below",
    "min_length": "length at least",
    "max_length": "length at most",
    "pattern": "matching",
}
_PLAIN_TYPES: Mapping[type, str] = {int: "a whole number", float: "a number", str: "a text"}


@dataclass(frozen=True)
class _Place:
    """Where a mistake is.

    Attributes:
        key: as the user writes it.
        hint: the type of what stands there; None where nothing may.
        siblings: all keys of the section that it is in.
    """

    key: tuple[str, ...]
    hint: Any
    siblings: Sequence[str]

    @classmethod
    def of(cls, location: Sequence[int | str], root: type[BaseModel]) -> "_Place":
        """That of pydantic's location, in which members of unions stand, too: source.table.label, compile.bool."""
        key, siblings = list[str](), list[str]()
        hint: Any = root
        for number, part in enumerate(location):
            members = _members(hint)
            if len(members) > 1:
                is_last = number + 1 == len(location)
                hint = hint if is_last else _kinds(hint).get(str(part)) or next(filter(_is_container, members), None)
            elif part == "[key]":
                hint = str
            else:
                key.append(str(part))
                siblings = list(getattr(members[0], "model_fields", ()))
                hint = _inside(members[0], part)
        return cls(tuple(key), hint, siblings)


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The first mistake in one sentence: key, what came, all that is allowed; and how many follow."""
    mistakes: dict[tuple[str, ...], tuple[Any, _Place]] = {}
    for item in error.errors(include_url=False):
        place = _Place.of(item["loc"], model)
        mistakes.setdefault(place.key, (item, place))
    # Of a list in place of 'auto' every member of the union complains; the one that looked into it knows best.
    told = [
        found for key, found in mistakes.items() if not any(key == other[: len(key)] != other for other in mistakes)
    ]
    # An unknown key first: it is mostly the misspelt one that another message calls missing.
    item, place = next((found for found in told if found[0]["type"] == "extra_forbidden"), told[0])
    more = "" if len(told) == 1 else f" ({len(told) - 1} more after this one)"
    return f"{_sentence(item, place)}{more}"


def _sentence(item: Mapping[str, Any], place: _Place) -> str:
    key = ".".join(place.key)
    match item["type"]:
        case "extra_forbidden":
            guess = nearest_name(place.key[-1], place.siblings)
            suggestion = f"did you mean {guess!r}?" if guess else f"allowed: {name_list(place.siblings, at_most=20)}"
            return f"key {key!r} is not known; {suggestion}"
        case "missing":
            return f"key {key!r} is missing"
        case "union_tag_not_found":
            return f"key '{key}.kind' is missing; allowed: {_quoted(_kinds(place.hint))}"
        case "union_tag_invalid":
            kinds, section = {kind: repr(kind) for kind in _kinds(place.hint)}, item["input"]
            came = section["kind"] if isinstance(section, Mapping) else item["ctx"]["tag"]
            return f"{key}.kind is {_shown(came, 'kind')}, allowed: {_quoted(kinds)}{_meant(came, kinds)}"
        case "value_error":
            return f"{key or 'config'}: {item['msg'].removeprefix('Value error, ')}"
        case _ if place.hint is None or not key:
            return f"{key or 'config'}: {item['msg'][0].lower()}{item['msg'][1:]}"
        case _:
            came = item["input"]
            words = f"{key} is {_shown(came, place.key[-1])}, allowed: {_allowed(place.hint)}"
            return words + _meant(came, _candidates(place.hint))


def _shown(value: object, key: str) -> str:
    """The value for a message: of what holds others the kind alone, of what may hold a secret nothing."""
    match value:
        case str() if key in _HIDDEN_KEYS:
            return "[hidden]"
        case str():
            # Redacted before it is cut: half an address no longer looks like one.
            text = redacted(value)
            return repr(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…")
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case int() if value.bit_length() > _MAX_SHOWN:
            return "a number of too many digits"
        case int() | float():
            return repr(value)
        case Mapping():
            return "keys and values" if value else "{}"
        case list() | tuple() | set():
            return f"a list of {len(value)}" if value else "[]"
        case _:
            return f"a {type(value).__name__}"


def _meant(value: object, candidates: Mapping[str, str]) -> str:
    guess = nearest_name(value, candidates) if isinstance(value, str) else None
    return f"; did you mean {candidates[guess]}?" if guess else ""


def _allowed(hint: Any) -> str:
    """All that may stand where this type is asked for."""
    names = ", ".join(_names(hint).values())
    return " or ".join([*_descriptions(hint), *([names] if names else [])])


def _names(hint: Any) -> dict[str, str]:
    """Each single value of the type, and how it is written in a message."""
    if get_origin(hint) is Literal:
        return {str(name): repr(name) for name in get_args(hint)}
    if hint in (bool, NoneType):
        return {"true": "true", "false": "false"} if hint is bool else {"null": "null"}
    return {name: text for part in _parts(hint) for name, text in _names(part).items()}


def _descriptions(hint: Any) -> list[str]:
    """Each kind of value of the type that has too many values to name."""
    if kinds := _kinds(hint):
        return [f"keys and values with kind {_quoted(kinds)}"]
    if get_origin(hint) is Annotated:
        inner, *rules = get_args(hint)
        bounds = ", ".join(_bounds(rules))
        return [f"{text} ({bounds})" if bounds else text for text in _descriptions(inner)]
    if get_origin(hint) is tuple:
        return [f"a list (each: {_allowed(get_args(hint)[0])})"]
    if get_origin(hint) is dict:
        return ["keys and values"]
    if _is_container(hint):
        return [f"keys and values ({_quoted(hint.model_fields)})"]
    if hint in _PLAIN_TYPES:
        return [_PLAIN_TYPES[hint]]
    return [text for part in _parts(hint) for text in _descriptions(part)]


def _bounds(rules: Sequence[object]) -> Iterator[str]:
    for rule in rules:
        yield from _bounds(getattr(rule, "metadata", ()))
        if getattr(rule, "allow_inf_nan", None) is False:
            yield "finite"
        for name, words in _BOUNDS.items():
            if (limit := getattr(rule, name, None)) is not None:
                yield f"{words} {limit:,}" if isinstance(limit, int | float) else f"{words} {limit}"


def _candidates(hint: Any) -> dict[str, str]:
    """What a word may have been meant for: a single value, one of a list, or the kind of a section."""
    lists = [get_args(member)[0] for member in _members(hint) if get_origin(member) is tuple]
    listed = {name: f"[{name}]" for inner in lists for name in _names(inner)}
    return {**{kind: f"{{kind: {kind}}}" for kind in _kinds(hint)}, **listed, **_names(hint)}


def _inside(hint: Any, part: int | str) -> Any:
    if get_origin(hint) in (tuple, dict):
        return get_args(hint)[0 if get_origin(hint) is tuple else 1]
    return get_type_hints(hint, include_extras=True).get(str(part)) if _is_container(hint) else None


def _is_container(hint: Any) -> bool:
    return get_origin(hint) in (tuple, dict) or (isinstance(hint, type) and issubclass(hint, BaseModel))


def _members(hint: Any) -> list[Any]:
    """The types that a union is of, but None; of any other type itself."""
    parts = _parts(hint)
    return [member for part in parts for member in _members(part)] if parts else [hint] if hint is not NoneType else []


def _parts(hint: Any) -> Sequence[Any]:
    if get_origin(hint) is Annotated:
        return get_args(hint)[:1]
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else ()


def _kinds(hint: Any) -> dict[str, Any]:
    """The sections that a key `kind` chooses among; empty where none does."""
    members = _members(hint)
    if len(members) < 2 or not all(isinstance(member, type) and issubclass(member, BaseModel) for member in members):
        return {}
    return {get_args(member.model_fields["kind"].annotation)[0]: member for member in members}


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
