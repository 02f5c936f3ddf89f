"""Shell completion, which click brings, and the names of columns, which we add."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete, get_completion_class
from command_line import make_table

from bcd_implicit.cli import main
from bcd_implicit.cli.completion import BEGINNING

HOME = Path(__file__).parents[2]


def completed(*words):
    """Those of the last word after the others."""
    shell = BashComplete(main, {}, "bcd-implicit", "_BCD_IMPLICIT_COMPLETE")
    *before, incomplete = words
    return [item.value for item in shell.get_completions(before, incomplete)]


def kinds(*words):
    shell = BashComplete(main, {}, "bcd-implicit", "_BCD_IMPLICIT_COMPLETE")
    return [item.type for item in shell.get_completions(list(words[:-1]), words[-1])]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script(shell):
    if shell == "bash" and shutil.which("bash") is None:
        pytest.skip("click asks bash for its version")
    script = get_completion_class(shell)(main, {}, "bcd-implicit", "_BCD_IMPLICIT_COMPLETE").source()
    assert f"_BCD_IMPLICIT_COMPLETE={shell}_complete" in script


def test_commands_options_values_and_files():
    assert completed("") == ["demo", "fit", "predict", "check", "select", "network", "convergence"]
    assert completed("c") == ["check", "convergence"]
    assert set(completed("fit", "--n")) == {"--n-hidden", "--norm-bound", "--no-pass-through", "--no-standardize"}
    assert completed("fit", "--loss", "h") == ["huber"]
    assert completed("network", "l") == ["lenet5", "lstm"]
    assert kinds("fit", "") == ["file"]
    assert kinds("check", "") == ["file"]
    assert kinds("fit", "d.csv", "--model", "") == ["file"]
    assert kinds("select", "d.csv", "--output", "") == ["dir"]


def test_columns_of_the_file(here, capfd):
    table = make_table(2000)
    assert table.to_csv("d.csv", index=False, sep=";") is None
    assert Path("d.csv").stat().st_size > BEGINNING
    assert completed("fit", "d.csv", "--target", "") == ["age", "bmi", "dose", "noise", "y", "z", "id"]
    assert completed("select", "d.csv", "--sample-groups", "b") == ["bmi"]
    assert completed("fit", "d.csv", "--target", "y", "--ignore", "i") == ["id"]
    # Without a file, and with one that is none, there are none, and not a word.
    for arguments in (["--target", ""], ["gone.csv", "--target", ""], ["-", "--target", ""]):
        assert completed("fit", *arguments) == []
    Path("a.bin").write_bytes(b"\0\1\2")
    Path("t.csv").write_text("A title\na,y\n1,2\n3,4\n")
    assert completed("fit", "a.bin", "--target", "") == []
    assert completed("fit", "t.csv", "--target", "") == ["a", "y"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_in_a_real_shell(here):
    program = Path("bcd-implicit")
    # As pip installs it.
    program.write_text(f"#!{sys.executable}\nfrom bcd_implicit.__main__ import main\nmain()\n")
    program.chmod(0o755)
    script = """
        eval "$(_BCD_IMPLICIT_COMPLETE=bash_source bcd-implicit)"
        COMP_WORDS=(bcd-implicit se) COMP_CWORD=1
        _bcd_implicit_completion bcd-implicit
        echo "${COMPREPLY[@]}"
    """
    paths = {
        name: os.pathsep.join([str(folder), *filter(None, [os.environ.get(name)])])
        for name, folder in (("PATH", here), ("PYTHONPATH", HOME))
    }
    outcome = subprocess.run(
        ["bash", "-c", script], env=os.environ | paths, capture_output=True, text=True, check=False
    )
    assert (outcome.stdout, outcome.stderr) == ("select\n", "")
