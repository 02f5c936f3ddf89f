"""Help, version and the module's entry point."""

import io
import os
import runpy
import signal
import subprocess
import sys

import pytest
from command_line import succeed

from bcd_implicit import ImplicitModel, __version__
from bcd_implicit.__main__ import main as program
from bcd_implicit.cli import main


@pytest.mark.parametrize("command", [None, "demo", "fit", "predict", "check", "select"])
def test_help(command):
    outcome = succeed(*([command] if command else []), "-h")
    assert "\\b" not in outcome.stdout
    assert "\b" not in outcome.stdout
    examples = [line for line in outcome.stdout.splitlines() if line.startswith("    bcd-implicit ")]
    assert examples  # one a line, not run together
    assert all(example.count("bcd-implicit") == 1 for example in examples)
    if command:
        assert all(f"bcd-implicit {command}" in example for example in examples)


def test_version_and_module_entry_point(monkeypatch, capsys):
    assert succeed("--version").stdout.strip().endswith(__version__)
    monkeypatch.setattr(sys, "argv", ["bcd_implicit", "--help"])
    monkeypatch.delitem(sys.modules, "bcd_implicit.__main__")  # runpy warns of a module that is there already
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("bcd_implicit", run_name="__main__", alter_sys=True)
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {command} " in shown for command in ("check", "demo", "fit", "predict", "select"))


def test_ctrl_c_while_the_package_is_imported_ends_the_program_without_a_traceback():
    # What each import takes is told as soon as it is done: here others, which take long, are yet to come.
    python = [sys.executable, "-X", "importtime", "-m", "bcd_implicit"]
    with subprocess.Popen([*python, "check", __file__], stderr=subprocess.PIPE, text=True) as program:
        assert any("numpy" in line for line in program.stderr)
        program.send_signal(signal.SIGINT)
        rest = program.stderr.read()
    assert program.returncode == 130
    assert "Traceback" not in rest
    assert "bcd_implicit.model\n" not in rest


def test_the_program_is_the_command_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bcd-implicit", "check", "gone.npz"])
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit) as ended:
        program()
    assert ended.value.code == 2
    assert capsys.readouterr() == ("", "Error: gone.npz: no such file. Check the path.\n")
    assert signal.getsignal(signal.SIGINT) == before


# A process of its own imports everything anew, which takes longer than all of the above together.
@pytest.mark.slow
def test_in_a_process_of_its_own_too():
    command = [sys.executable, "-m", "bcd_implicit", "check", "gone.npz"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "Error: gone.npz: no such file. Check the path.\n"


def test_names_that_the_terminal_cannot_show(here, monkeypatch):
    name = os.fsdecode(b"gr\xc3\xb6\xc3\x9fe \xff.npz")
    ImplicitModel([[0.5]], [[1.0]], None, [[1.0]]).save(name)
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii"))
    with pytest.raises(SystemExit) as ended:
        main(["check", name])
    sys.stdout.flush()
    assert ended.value.code == 0
    assert shown.getvalue().startswith(rb"gr\xf6\xdfe \udcff.npz")
