"""What the commands print, and how they end."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from rich.console import Console
from rich.table import Table as RichTable

import bcd_implicit as bi
from bcd_implicit.cli.wording import in_options
from bcd_implicit.support.files import write_atomically
from bcd_implicit.support.importing import INTERRUPTED

if TYPE_CHECKING:
    from bcd_implicit.experiments.feature_selection import FeatureSelection

# Without markup: names of files and columns may hold square brackets.
console = Console(markup=False, highlight=False)
notes = Console(markup=False, highlight=False, stderr=True)


def fail(error: Exception | str, code: int) -> None:
    """End with the error in one line."""
    click.echo(f"Error: {' '.join(in_options(error).split())}", err=True)
    sys.exit(code)


def print_warning(message: Warning | str, category: type[Warning], *rest: Any) -> None:
    """A warning in one line, on standard error."""
    notes.print(f"Warning: {in_options(message)}", soft_wrap=True)


def print_note(text: str) -> None:
    """What a person should know, in one line on standard error."""
    notes.print(f"Note: {text}", soft_wrap=True)


@contextmanager
def one_warning() -> Iterator[None]:
    """One line in place of the many warnings of a long run."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", bi.ConvergenceWarning)
        yield
    stops = [w for w in caught if issubclass(w.category, bi.ConvergenceWarning)]
    for other in caught:
        if other not in stops:
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    if len(stops) > 1:
        print_warning(
            f"{len(stops)} warnings that something ended short of its tolerance, so its numbers are approximate; "
            f"the last: {stops[-1].message}",
            bi.ConvergenceWarning,
        )
    elif stops:
        print_warning(stops[0].message, bi.ConvergenceWarning)


@contextmanager
def to_the_end(status: bi.Status) -> Iterator[None]:
    """What is printed and written here is, whatever happens; then comes how the work ended.

    A first Ctrl-C waits until all is written.
    """
    from bcd_implicit.support.interruption import anyone_left_alone, stoppable

    with stoppable() as limits:
        yield
    if bi.Status.INTERRUPTED.name in (status.name, limits.reached):
        cut_short = status.cut_short
        end = "what is written is what was reached by then" if cut_short else "all had been done, and is written"
        notes.print(f"Interrupted: {end}.", soft_wrap=True)
        leave(INTERRUPTED)
    if status.cut_short:
        notes.print("The time is over: what is written is what was reached by then.", soft_wrap=True)
    if anyone_left_alone():
        leave(0)


def leave(code: int) -> NoReturn:
    """End with an exit status."""
    from bcd_implicit.support.interruption import anyone_left_alone

    if anyone_left_alone():
        # Python would wait for a solver that may have long to go.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def check_apart(**files: Path | None) -> None:
    """Raise an error if two options name the same file, of which one would overwrite the other."""
    seen: dict[Path, str] = {}
    for option, path in files.items():
        if path is None:
            continue
        if (other := seen.setdefault(path.resolve(), option)) != option:
            raise bi.InvalidInputError(option, f"{path} is the file of {other} as well", "Give another name")


def check_writable(directory: Path) -> None:
    """Make the folder before the long work, not after it; the command's end removes it if nothing came into it."""
    made = [folder for folder in (directory, *directory.parents) if not os.path.exists(folder)]
    click.get_current_context().call_on_close(partial(_remove_empty, made))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        write_atomically(directory / ".writable", lambda file: None).unlink()
    except OSError as error:
        raise bi.InvalidInputError(
            "output", f"{directory} cannot be written to ({error.strerror})", "Choose another folder"
        ) from None


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def present(run: FeatureSelection, output: Path, stem: str = "") -> None:
    """Print a run of the experiment and write its files."""
    from bcd_implicit.experiments import report

    with to_the_end(run.status):
        console.print(run.title, soft_wrap=True)
        console.print(report.summary(run))
        console.print(report.scores(run))
        console.print(report.verdict(run), soft_wrap=True)
        for path in report.write(run, output, stem):
            console.print(f"wrote {path}", soft_wrap=True)


def count(number: int, noun: str) -> str:
    """Such as "1 row" or "2 rows"."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def print_facts(title: str, facts: dict[str, str]) -> None:
    """Print a table of two columns under a title."""
    console.print(title, soft_wrap=True)
    table = RichTable(show_header=False)
    for name, value in facts.items():
        table.add_row(name, value)
    console.print(table)
