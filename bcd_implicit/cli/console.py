"""What the commands print, and how they end."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from rich.console import Console, RenderableType
from rich.table import Table as RichTable

import bcd_implicit as bi
from bcd_implicit.cli.wording import in_options
from bcd_implicit.support.files import write_atomically
from bcd_implicit.support.importing import INTERRUPTED

if TYPE_CHECKING:
    from bcd_implicit.experiments.feature_selection_result import FeatureSelection

# Where a command's context keeps the object that --json prints.
JSON = f"{__name__}.json"
# Without markup: names of files and columns may hold square brackets.
console = Console(markup=False, highlight=False)
notes = Console(markup=False, highlight=False, stderr=True)


def fail(error: Exception | str, code: int) -> None:
    """End with the error in one line, and in a second one where it is explained."""
    click.echo(f"Error: {' '.join(in_options(error).split())}", err=True)
    for note in getattr(error, "__notes__", []):
        click.echo(note, err=True)
    sys.exit(code)


def misused(error: click.UsageError) -> None:
    """End with a wrong use of the command line in one line: the option, what is wrong, and where help is."""
    parameter = getattr(error, "param", None)
    # The last of the names of an argument is that of Python's.
    name = parameter and (parameter.metavar if isinstance(parameter, click.Argument) else parameter.opts[0])
    if isinstance(error, click.MissingParameter):
        text = f"{name} is missing."
    elif isinstance(error, click.BadParameter) and name:
        text = f"{name}: {error.message}"
    else:
        text = error.format_message()
    if not text.endswith((".", "?", "?)")):
        text += "."
    context = error.ctx or click.get_current_context()
    # Where a command's options cannot be told apart, click knows the group alone.
    command = context.invoked_subcommand if error.ctx is None and context.invoked_subcommand else ""
    fail(f"{text} See {' '.join([context.command_path, *command.split()])} --help.", 2)


def ask_for_json(context: click.Context, parameter: click.Parameter, asked: bool) -> None:
    """Print nothing for a person if --json is given, and one object for programs when the command ends."""
    if asked:
        context.meta[JSON] = {}


def asked_for_json() -> bool:
    """Whether --json was given."""
    return JSON in click.get_current_context().meta


def for_programs(record: Mapping[str, Any]) -> None:
    """Add to the object that --json prints."""
    if asked_for_json():
        click.get_current_context().meta[JSON].update(record)


def print_json() -> None:
    """Print the object if --json was given and there is something to tell."""
    # After an error there is nothing, and NumPy need not be imported.
    if known := click.get_current_context().meta.pop(JSON, None):
        from bcd_implicit.support.json_text import json_text

        click.echo(json_text(known))


def say(*parts: RenderableType) -> None:
    """Print for a person, text in lines that are not wrapped; nothing with --json."""
    if not asked_for_json():
        for part in parts:
            console.print(part, soft_wrap=isinstance(part, str))


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
            f"{len(stops)} warnings that a tolerance was not met, so the numbers are approximate; "
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
        end = "the results so far are written" if cut_short else "all work was done, and the results are written"
        notes.print(f"Interrupted: {end}.", soft_wrap=True)
        leave(INTERRUPTED)
    if status.cut_short:
        notes.print("The time limit was reached: the results so far are written.", soft_wrap=True)
    if anyone_left_alone():
        leave(0)


def leave(code: int) -> NoReturn:
    """End with an exit status."""
    from bcd_implicit.support.interruption import anyone_left_alone

    if anyone_left_alone():
        # Python would wait for a solver that may have long to go.
        print_json()
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


def present(run: FeatureSelection, output: Path, stem: str = "", key: str | None = None) -> None:
    """Write a run of the experiment and print it; for programs its report, with the files, under ``key`` if given."""
    from bcd_implicit.experiments import report

    with to_the_end(run.status):
        # Before anything is printed, which ends the command where nobody reads on, as before "| head".
        files = report.write(run, output, stem)
        record = run.report | {"files": [str(path) for path in files]}
        for_programs(record if key is None else {key: record})
        say(run.title, report.summary(run), report.scores(run), report.verdict(run))
        say(*(f"wrote {path}" for path in files))


def count(number: int, noun: str) -> str:
    """Such as "1 row" or "2 rows"."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def print_facts(title: str, facts: dict[str, str]) -> None:
    """Print a table of two columns under a title."""
    table = RichTable(show_header=False)
    for name, value in facts.items():
        table.add_row(name, value)
    say(title, table)
