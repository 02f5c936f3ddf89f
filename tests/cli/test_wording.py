"""Messages name the options of the command that runs."""

import click
import pytest

import bcd_implicit as bi
from bcd_implicit.cli import main
from bcd_implicit.cli.wording import in_options


@pytest.fixture
def fit():
    with click.Context(main.get_command(None, "fit")):
        yield


@pytest.mark.usefixtures("fit")
@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("stopped before it came to tol; raise max_cycles or tol", "came to --tol; raise --max-cycles or --tol"),
        ("max_seconds=0.1 passed before", "--max-seconds=0.1 passed before"),
        ("check norm_bound, or another random_state.", "check --norm-bound, or another --seed."),
        # Words that are English, options of other commands, and what is a person's own.
        ("no solver met the target of kappa", "no solver met the target of kappa"),
        ("n_features=3 and max_n_hidden", "n_features=3 and max_n_hidden"),
        ("column 'my n_hidden', data/test_share.csv, n_hidden.npz", "column 'my n_hidden', data/test_share.csv, n_hid"),
    ],
)
def test_names_of_arguments_become_options(message, words):
    assert words in in_options(message)


@pytest.mark.usefixtures("fit")
@pytest.mark.parametrize(
    ("argument", "option"),
    [
        ("kappa", "--kappa"),
        ("test_share", "--test-share"),
        ("random_state", "--seed"),
        ("target", "--target"),
        ("n_folds", "n_folds"),
        ("data.csv", "data.csv"),
    ],
)
def test_an_error_is_about_an_option(argument, option):
    error = bi.InvalidInputError(argument, "got -1 for n_hidden=3", "Give more")
    assert in_options(error) == f"{option}: got -1 for --n-hidden=3. Give more."


def test_outside_of_a_command_messages_stay_as_they_are():
    assert in_options(bi.InvalidInputError("n_hidden", "got 0")) == "n_hidden: got 0."
