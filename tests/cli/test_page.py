"""docs/command_line.md shows what the commands print."""

import importlib.util
import re
from pathlib import Path

import pytest

from bcd_implicit.cli import main
from bcd_implicit.cli.app import COMMANDS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "command_line.md").read_text()


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_the_page_has_the_help_as_it_is(monkeypatch, capsys, command):
    monkeypatch.setenv("COLUMNS", "80")
    main([*command.split(), "--help"], prog_name="bcd-implicit", standalone_mode=False)
    call = " ".join(["$ bcd-implicit", *command.split(), "--help"])
    assert f"```console\n{call}\n{capsys.readouterr().out}```" in PAGE, "run docs/refresh_command_line.py"


@pytest.mark.slow
def test_the_session_is_as_it_is():
    spec = importlib.util.spec_from_file_location("refresh", DOCS / "refresh_command_line.py")
    refresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(refresh)
    assert in_words(refresh.refreshed(PAGE)) == in_words(PAGE), "run docs/refresh_command_line.py"


def in_words(text):
    """Without numbers, which times and processors change, and the lines of tables, which they move."""
    return re.sub(r"[-+]?\d[\d.e+-]*|[\s┏┓┗┛┡┩┳┻╇┌┐└┘├┤┬┴┼─━│┃]+", " ", text).split()
