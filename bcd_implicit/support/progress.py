"""Progress of long work: a bar in a terminal or a notebook, lines in a log, or a program's own function.

Terminals get rich's bar. In a notebook that would need ipywidgets and warn without them (tqdm's does likewise), and
leave an empty widget in the saved file; an updated display of plain HTML needs nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from html import escape

import numpy as np
from rich import progress as bars
from rich.console import Console

from bcd_implicit.errors import InvalidInputError, shown
from bcd_implicit.support.log import logger

# Called with the share of the work done (0 to 1) and a word about what goes on.
Progress = Callable[[float, str], None]
# A notebook's bar moves at most so often, in seconds: front ends drop messages that come too fast.
PAUSE = 0.1


def silent(share: float, text: str) -> None:
    """No progress shown."""


def between(tell: Progress, low: float, high: float, noun: str = "") -> Progress:
    """The progress of a part of the work, which goes from ``low`` to ``high`` of the whole."""
    return lambda share, text: tell(low + (high - low) * share, f"{noun} {text}".strip())


def never_back(tell: Progress) -> Progress:
    """The same, but that a share below one told before is told as that one."""
    furthest = 0.0

    def told(share: float, text: str) -> None:
        nonlocal furthest
        furthest = max(furthest, share)
        tell(furthest, text)

    return told


def show_progress(
    progress: bool | int | Progress, title: str, argument: str = "progress"
) -> AbstractContextManager[Progress]:
    """Show progress while a ``with`` block runs; it gives the function to call with the share done and a text.

    The bar is gone when the block ends, by an error or Ctrl-C as well.

    Parameters
    ----------
    progress : bool, int or callable
        True for a bar, on standard error: where that is no terminal (a log, say), a line whenever another tenth is
        done. False for nothing. Numbers count as scikit-learn's ``verbose``: all but 0 as True. A function
        ``progress(share, text)`` is called instead.
    title : str
        Stands before the bar.
    argument : str
        What messages call it.

    Raises
    ------
    InvalidInputError
        Anything else.
    """
    if callable(progress):
        return nullcontext(progress)
    if not isinstance(progress, (int, np.integer, np.bool_)):
        remedy = "Give True, False, or a function of (share, text)"
        if isinstance(progress, logging.Logger):
            remedy = f"Add a handler to logging.getLogger({logger.name!r}): all progress is logged there"
        raise InvalidInputError(argument, f"got {shown(progress)}", remedy)
    if not progress:
        return nullcontext(silent)
    # Without markup: titles and texts may hold square brackets.
    console = Console(stderr=True, markup=False, highlight=False)
    if console.is_jupyter:
        return _notebook_bar(title)
    return _terminal_bar(console, title) if console.is_interactive else _lines(console, title)


@contextmanager
def _terminal_bar(console: Console, title: str) -> Iterator[Progress]:
    columns = (
        bars.TextColumn("{task.fields[title]}", markup=False),
        bars.BarColumn(),
        bars.TaskProgressColumn(),
        bars.TimeElapsedColumn(),
        bars.TextColumn("{task.description}", markup=False),
    )
    with bars.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=1.0, title=title)
        yield lambda share, text: bar.update(task, completed=share, description=text)


@contextmanager
def _notebook_bar(title: str) -> Iterator[Progress]:
    from IPython.display import display

    shown_at = -PAUSE

    def content(share: float, text: str) -> dict[str, str]:
        plain = f"{title} {share:.0%} {text}"
        bar = f'<progress max="1" value="{share:.3f}"></progress>'
        return {"text/plain": plain, "text/html": f"<div>{escape(title)} {bar} {share:.0%} {escape(text)}</div>"}

    handle = display(content(0.0, ""), raw=True, display_id=True)

    def tell(share: float, text: str) -> None:
        nonlocal shown_at
        now = time.monotonic()
        if now - shown_at >= PAUSE:
            shown_at = now
            handle.update(content(share, text), raw=True)

    try:
        yield tell
    finally:
        handle.update({"text/plain": "", "text/html": ""}, raw=True)


@contextmanager
def _lines(console: Console, title: str) -> Iterator[Progress]:
    tenths = 0

    def tell(share: float, text: str) -> None:
        nonlocal tenths
        if int(10 * share) > tenths:
            tenths = int(10 * share)
            console.print(f"{title}: {tenths}0 %, {text}", soft_wrap=True)

    yield tell
