"""Text of strangers on the terminal: shown as it is, obeyed never."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook
from rich.segment import Segment

# Control characters start escape sequences; the others turn the reading direction or break a line.
_ACTIVE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def inert(text: str) -> str:
    """The text with a replacement character for each that a terminal would obey; line ends and tabs stay."""
    return _ACTIVE.sub("\N{REPLACEMENT CHARACTER}", text)


def inert_console(*, stderr: bool = False) -> Console:
    """A console that obeys neither escape sequences nor rich's own [markup] in what it is given."""
    console = Console(stderr=stderr, markup=False, emoji=False)
    console.push_render_hook(_Hook())
    return console


class _Hook(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Inert(item) for item in renderables]


@dataclass(frozen=True)
class _Inert:
    content: ConsoleRenderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self.content, options):
            # What rich itself tells the terminal, such as to move the cursor.
            yield segment if segment.control else Segment(inert(segment.text), segment.style)
