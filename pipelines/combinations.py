"""What a sweep runs: every config with every seed and every combination of settings."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from synthgen.config_reading import load_config
from synthgen.errors import UsageError
from synthgen.sweeping import Attempt

_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
# More were certainly not meant, and each is a run.
MOST_RUNS = 10_000
_OPENING, _CLOSING = "[{(", "]})"


def combinations(configs: Sequence[Path], *, seeds: str | None, settings: Sequence[str]) -> list[Attempt]:
    """One attempt for each config, seed and combination of settings, all different.

    Args:
        seeds: such as "0-4" or "0,3,7"; None: that of the config.
        settings: "key.sub=value,value", each key once.

    Raises:
        UsageError: seeds or settings cannot be read, there is nothing to run, or two runs are the same.
        ConfigError: a config or a setting is not allowed.
    """
    if not configs:
        raise UsageError("a sweep needs at least one config", hint="synthgen sweep CONFIG... --seeds 0-4")
    choices = _choices(settings)
    if seeds is not None and "seed" in choices:
        raise UsageError("both --seeds and --set seed are given: one of them is enough")
    if seeds is not None:
        choices = {**choices, "seed": [str(seed) for seed in _seeds(seeds)]}
    total = len(configs)
    for values in choices.values():
        total *= len(values)
    if total > MOST_RUNS:
        raise UsageError(f"these are {total:,} runs, a sweep takes at most {MOST_RUNS:,}", hint="give fewer values")
    names = _names(configs)
    attempts = [
        _attempt(path, name, varied) for path, name in zip(configs, names, strict=True) for varied in _products(choices)
    ]
    _refuse_duplicates(attempts)
    return attempts


def _products(choices: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


def _names(configs: Sequence[Path]) -> list[str]:
    stems = [path.stem for path in configs]
    return stems if len(set(stems)) == len(stems) else [str(path) for path in configs]


def _attempt(path: Path, name: str, varied: Mapping[str, str]) -> Attempt:
    pairs = [f"{key}={value}" for key, value in varied.items()]
    config = load_config(path, pairs)
    return Attempt(" ".join([name, *pairs]), {"config": name, **varied}, config.model_dump(mode="json"))


def _choices(settings: Sequence[str]) -> dict[str, list[str]]:
    choices: dict[str, list[str]] = {}
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator or not key:
            raise UsageError(f"--set {setting!r} must read KEY=VALUE,VALUE, for example --set plan.ratio=0.5,1")
        if key in choices:
            raise UsageError(f"--set names {key!r} twice; give all its values at once: --set {key}=VALUE,VALUE")
        choices[key] = [value.strip() for value in split_at_commas(text)]
        if "" in choices[key]:
            raise UsageError(f"--set {setting!r} has an empty value", hint="write null for nothing")
    return choices


def split_at_commas(text: str) -> list[str]:
    """The parts between commas that stand in no bracket and no quotes."""
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            depth += (character in _OPENING) - (character in _CLOSING)
        if character == "," and depth == 0 and not quote:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _seeds(text: str) -> list[int]:
    seeds: list[int] = []
    for part in text.split(","):
        found = _RANGE.fullmatch(part.strip())
        if found is None:
            raise UsageError(f"--seeds {text!r} must read 0-4 or 0,3,7", where="--seeds")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise UsageError(f"--seeds {text!r} holds no seed: {last} is less than {first}", where="--seeds")
        if last - first >= MOST_RUNS:
            raise UsageError(f"--seeds {text!r} holds more than {MOST_RUNS:,} seeds", where="--seeds")
        seeds += range(first, last + 1)
    return seeds


def _refuse_duplicates(attempts: Sequence[Attempt]) -> None:
    seen: dict[str, str] = {}
    for attempt in attempts:
        # As a run is known by: where it is tracked, and its name, do not make another of it.
        content = repr({key: value for key, value in attempt.config.items() if key not in ("name", "tracking")})
        if content in seen:
            message = f"{attempt.name!r} and {seen[content]!r} are the same run"
            raise UsageError(message, hint="each config, seed and value once")
        seen[content] = attempt.name
