"""The package's messages in the words of the command line: options instead of the arguments of functions."""

from __future__ import annotations

import re

import click

import bcd_implicit as bi

# Arguments that an option calls otherwise.
RENAMED = {"random_state": "seed", "constraints": "constraint", "kappa_A": "kappa_a"}
# What stands in quotes is a person's own: a name of a column, or a value. Names of files have slashes or endings.
QUOTED, BEFORE, AFTER = r"'[^']*'|\"[^\"]*\"", r"(?<![\w./-])", r"(?![\w/-]|\.\w)"


def options() -> dict[str, str]:
    """The options of the command that runs, by the names of arguments that they stand for."""
    context = click.get_current_context(silent=True)
    command = context.command if context else None
    if isinstance(command, click.Group) and context and context.invoked_subcommand:
        command = command.get_command(context, context.invoked_subcommand)
    declared = [option for parameter in command.params for option in parameter.opts] if command else []
    found = {option[2:].replace("-", "_"): option for option in declared if option.startswith("--")}
    return found | {name: found[option] for name, option in RENAMED.items() if option in found}


def in_options(message: object) -> str:
    """The message with the command's options for names of arguments.

    Those with an underscore, and tol, which are no English words; others only where an error is about that argument.
    """
    known = options()
    if isinstance(message, bi.InvalidInputError):
        # A name may be followed by the value that it is about.
        name, *value = message.argument.split(" ", 1)
        argument = " ".join([known.get(name, name), *value])
        return str(bi.InvalidInputError(argument, in_options(message.cause), in_options(message.remedy)))
    names = [name for name in known if "_" in name or name == "tol"]
    if not names:
        return str(message)
    pattern = re.compile(f"{QUOTED}|{BEFORE}(?:{'|'.join(names)}){AFTER}")
    return pattern.sub(lambda found: known.get(found[0], found[0]), str(message))
