"""Help, version and the module's entry point."""

import runpy
import subprocess
import sys

import pytest
from command_line import succeed

from bcd_implicit import __version__


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
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("bcd_implicit", run_name="__main__", alter_sys=True)
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {command} " in shown for command in ("check", "demo", "fit", "predict", "select"))
    module = [sys.executable, "-m", "bcd_implicit"]
    refused = subprocess.run([*module, "check", "gone.npz"], capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "Error: gone.npz: no such file. Check the path.\n"
