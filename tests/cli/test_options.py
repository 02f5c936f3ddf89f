"""Help as people expect it, and errors that name the option as it is typed."""

from pathlib import Path

import click
import pytest
from command_line import fail, make_table, run, succeed

from bcd_implicit.cli import main

COMMANDS = ["fit", "select", "predict", "check", "demo", "network", "convergence"]
ENOUGH = {
    "fit": ["data.csv", "--target", "y", "--model", "x.npz"],
    "select": ["data.csv", "--target", "y"],
    "predict": ["m.npz", "data.csv", "--output", "p.csv"],
    "network": ["lstm"],
}
BAD = {"--sep": "ab", "--decimal": "x", "--encoding": "x", "--constraint": "positive(B)", "--n-jobs": "0"}


def options_of(name):
    with click.Context(main) as context:
        command = main.get_command(context, name)
    return [o for o in command.params if isinstance(o, click.Option) and not o.is_flag and "--help" not in o.opts]


def bad_values(option):
    flag, kind = option.opts[0], option.type
    if flag in BAD:
        return [BAD[flag]]
    if option.metavar == "COLUMN":
        return ["nobody"]
    if isinstance(kind, click.Path):
        return ["-"]
    if isinstance(kind, click.Choice):
        return ["x", ""]
    return ["x", "-2"] if isinstance(kind, (click.IntRange, type(click.INT))) else ["x", "-2", "nan"]


@pytest.mark.parametrize("name", COMMANDS)
def test_an_error_names_the_option_as_it_is_typed(here, name):
    make_table().drop(columns="id").to_csv("data.csv", index=False)
    for option in options_of(name):
        for value in bad_values(option):
            if name == "predict" and option.metavar == "FILE":
                continue  # it takes - and any name
            line = fail(name, *ENOUGH.get(name, []), option.opts[0], value)
            assert line.startswith((f"Error: {option.opts[0]}: ", f"Error: {option.opts[0]} {value}: "))
    assert not Path("x.npz").exists()


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_help_is_never_wider_than_the_terminal_or_80_columns(monkeypatch, capsys, name, width):
    monkeypatch.setenv("COLUMNS", str(width))
    # click's runner would make it 80.
    main([*([name] if name else []), "--help"], standalone_mode=False)
    shown = capsys.readouterr().out
    head, _, options = shown.partition("Positional arguments:")
    # Commands can be copied from the examples: those are not wrapped.
    prose = [line for line in head.splitlines() if not line.startswith("    ")]
    assert max(map(len, head.splitlines())) <= 80
    assert max(map(len, prose + options.splitlines())) <= min(width, 80)


def test_options_stand_in_groups_and_those_that_are_needed_come_first():
    lines = succeed("fit", "-h").stdout.splitlines()
    titles = ["Positional arguments:", "Data:", "Output:", "Model:", "Training:", "Other options:"]
    assert [line for line in lines if line in titles] == titles
    needed = [line.split()[0] for line in lines if line.endswith("[required]")]
    assert needed == ["--target", "--model"]
    for title, option in (("Data:", "  --target"), ("Output:", "  --model"), ("Training:", "  --test-share")):
        assert lines[lines.index(title) + 1].startswith(option)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["fot"], "Error: No such command 'fot'. Did you mean 'fit'? See main --help."),
        (["--nope"], "Error: No such option '--nope'. See main --help."),
        (["fit", "--target"], "Error: Option '--target' requires an argument. See main fit --help."),
        (["check", "a", "b"], "Error: Got unexpected extra argument (b). See main check --help."),
        (["network", "x"], "Error: NAME: 'x' is not one of 'lenet5', 'mlp', 'rnn', 'lstm'. See main network --help."),
    ],
)
def test_wrong_use_is_one_line(arguments, line):
    assert fail(*arguments) == line


def test_without_a_command_there_is_help():
    outcome = run()
    assert outcome.exit_code == 2
    assert outcome.stderr.startswith("Usage: main [OPTIONS] COMMAND")
