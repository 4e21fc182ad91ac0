"""A configuration from YAML, and what is wrong with it in one sentence."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from synthgen.config import AuditConfig, AuditOptions, BuiltinSource, GateConfig, RunConfig, Section
from synthgen.config.mistakes import explain
from synthgen.errors import ConfigError
from synthgen.remote import address_of, is_address, read_text

# A configuration has a few hundred; aliases can unfold a short file to billions.
_MAX_VALUES = 100_000


def load_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """The validated configuration in a YAML file, `key.sub=value` overrides applied.

    Raises:
        ConfigError: the file cannot be read, is not YAML, or says what is not allowed.
    """
    raw = _parse_yaml(_read_text(path, "config file"), str(path))
    if not isinstance(raw, dict):
        raise ConfigError(f"config file {str(path)!r} must hold keys and values", where=str(path), hint="see configs/")
    for override in overrides:
        _apply_override(raw, override)
    raw.setdefault("name", path.stem)
    return _resolve_path(parse_config(raw, where=str(path)), path)


def parse_config(raw: Mapping[str, Any], *, where: str = "config") -> RunConfig:
    """The validated configuration in a mapping; raises ConfigError naming key, and nearest key."""
    try:
        return RunConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(explain(error, RunConfig), where=where) from None


def parse_audit(raw: Mapping[str, Any]) -> AuditConfig:
    """The validated parameters of an audit of files; raises ConfigError naming key, and nearest key."""
    try:
        return AuditConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(explain(error, AuditConfig), where="audit") from None


def parse_audit_options(raw: Mapping[str, Any]) -> AuditOptions:
    """The validated options of an audit; raises ConfigError naming key, and nearest key."""
    try:
        return AuditOptions.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(explain(error, AuditOptions), where="audit") from None


def load_gates(path: Path) -> list[GateConfig]:
    """The rules in a YAML file: a list as under `gates:` of a config, or a mapping with that key."""
    raw = _parse_yaml(_read_text(path, "gates file"), str(path))
    items = raw.get("gates") if isinstance(raw, Mapping) else raw
    if not isinstance(items, list):
        hint = "for example: - {metric: c2st_auc, at_most: 0.8}"
        raise ConfigError(f"gates file {str(path)!r} must hold a list of gates", where=str(path), hint=hint)
    return list(parse_audit_options({"gates": items}).gates)


def _read_text(path: Path, what: str) -> str:
    if is_address(path):
        return read_text(address_of(path))
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{what} {str(path)!r} does not exist", where=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{what} {str(path)!r} cannot be read as UTF-8 text: {error}", where=str(path)) from None


def _parse_yaml(text: str, where: str) -> Any:
    try:
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{where}{line} is not plain YAML: {error.problem}", where=where) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{where} is not plain YAML: {error}", where=where) from None
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError):
        # Such as a date in month 13, a tag without a value, or a thousand brackets.
        raise ConfigError(f"{where} is not plain YAML: a value is not what it claims to be", where=where) from None
    _check_content(content, where)
    return content


def _check_content(content: Any, where: str) -> None:
    """Refuse aliases that unfold without end, and texts that no file can hold."""
    pending, seen = [content], 0
    while pending:
        node = pending.pop()
        seen += 1
        if seen > _MAX_VALUES:
            message = f"{where} unfolds to more than {_MAX_VALUES:,} values"
            raise ConfigError(message, where=where, hint="its aliases (*name) refer to each other")
        if isinstance(node, Mapping):
            pending += [*node.keys(), *node.values()]
        elif isinstance(node, list | tuple | set):
            pending += node
        elif isinstance(node, str) and ("\0" in node or (not node.isascii() and _has_surrogate(node))):
            raise ConfigError(f"{where} holds a text with a NUL or half a character (U+D800 to U+DFFF)", where=where)


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _apply_override(raw: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"override {override!r} must read key=value, for example seed=1", where="-s")
    *parents, last = key.split(".")
    target = raw
    for parent in parents:
        child = target.setdefault(parent, {})
        if not isinstance(child, dict):
            raise ConfigError(f"override {override!r}: {parent!r} is not a section", where="-s")
        target = child
    target[last] = _parse_yaml(text, f"-s {key}")


def _resolve_path(config: RunConfig, config_file: Path) -> RunConfig:
    changed: dict[str, Section] = {}
    if not isinstance(config.source, BuiltinSource) and not is_address(config.source.path):
        found = _found(config.source.path, config_file)
        changed["source"] = config.source.model_copy(update={"path": str(found.absolute())})
    model = getattr(config.synthesizer, "init_from", None)
    # What is no path is the id of a run.
    if model is not None and (found := _found(model, config_file)).exists():
        changed["synthesizer"] = config.synthesizer.model_copy(update={"init_from": str(found.absolute())})
    return config.model_copy(update=changed)


def _found(path: str, config_file: Path) -> Path:
    given, beside = Path(path), config_file.parent / path
    return beside if not given.exists() and beside.exists() else given
