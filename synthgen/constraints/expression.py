"""A formula of the config: parsed by Python's own grammar, of which only arithmetic is allowed."""

import ast
import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from synthgen.constraints.cells import Floats, numbers
from synthgen.errors import ConfigError

_QUOTED = re.compile(r"`([^`]+)`")
_ALLOWED = "allowed are + - * /, numbers, round(x, digits), column names, and `column names` in backticks"


@dataclass(frozen=True)
class Expression:
    """A checked formula.

    Attributes:
        tree: of the formula, with placeholders for names in backticks.
        names: the column of each name in the tree.
    """

    tree: ast.expr
    names: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> "Expression":
        """The formula; raises ConfigError for anything but arithmetic on columns."""
        quoted: list[str] = []

        def placeholder(match: re.Match[str]) -> str:
            quoted.append(match.group(1))
            return f" _quoted_{len(quoted) - 1} "

        try:
            tree = ast.parse(_QUOTED.sub(placeholder, text).strip(), mode="eval").body
            found = list(dict.fromkeys(_checked(tree)))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise ConfigError(f"formula {text!r} is not arithmetic on columns", where="source.constraints",
                              hint=_ALLOWED) from None  # fmt: skip
        known = {f"_quoted_{position}": name for position, name in enumerate(quoted)}
        return cls(tree, {name: known.get(name, name) for name in found})

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the formula reads, in the order of their first use."""
        return tuple(dict.fromkeys(self.names.values()))

    def evaluate(self, frame: pd.DataFrame) -> Floats:
        """float64 [n]; NaN where a value is missing or the result is no finite number."""
        values = {name: numbers(frame[column]) for name, column in self.names.items()}
        with np.errstate(all="ignore"):
            result = np.broadcast_to(_value(self.tree, values), len(frame)).astype(np.float64)
        return np.where(np.isfinite(result), result, np.nan)


def _checked(node: ast.expr) -> list[str]:
    """The names in the tree; raises ValueError for what is no arithmetic."""
    match node:
        case ast.Name(id=name):
            return [name]
        case ast.Constant(value=bool()):
            raise ValueError
        case ast.Constant(value=int() | float()):
            return []
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            return _checked(operand)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div(), right=right):
            return [*_checked(left), *_checked(right)]
        case ast.Call(func=ast.Name(id="round"), args=[value], keywords=[]):
            return _checked(value)
        case ast.Call(func=ast.Name(id="round"), args=[value, ast.Constant(value=int())], keywords=[]):
            return _checked(value)
        case _:
            raise ValueError


def _value(node: ast.expr, values: dict[str, Floats]) -> Floats:
    match node:
        case ast.Name(id=name):
            return values[name]
        case ast.Constant(value=number):
            return np.asarray(number, dtype=np.float64)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, values)
        case ast.UnaryOp(operand=operand):
            return _value(operand, values)
        case ast.BinOp(left=left, op=op, right=right):
            return _combined(op, _value(left, values), _value(right, values))
        case ast.Call(args=[inner, ast.Constant(value=digits)]):
            return np.asarray(np.round(_value(inner, values), int(digits)))  # type: ignore[arg-type]
        case ast.Call(args=[inner]):
            return np.asarray(np.round(_value(inner, values)))
    raise AssertionError(ast.dump(node))


def _combined(op: ast.operator, left: Floats, right: Floats) -> Floats:
    match op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case _:
            return np.divide(left, right)
