"""Run the commands that docs/command_line.md shows, and write what they print into the page.

    python docs/refresh_command_line.py

Each console block of the page is one or more commands, after ``$``, with what follows them. All run from top to bottom
in one empty folder, at 80 columns. Lines of progress, which a terminal shows as a bar that goes away, are left out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HOME = Path(__file__).parents[1]
PAGE = HOME / "docs" / "command_line.md"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (.*(?:\n> .*)*)$", re.MULTILINE)
PROGRESS = re.compile(r"^\S.*: \d+ %, .*\n", re.MULTILINE)


def commands_of(block: str) -> list[str]:
    """The commands of a console block."""
    return [command.replace("\n> ", "\n") for command in COMMAND.findall(block)]


def output_of(command: str, folder: Path) -> str:
    """What a command prints in a folder."""
    program = folder / ".bin" / "bcd-implicit"
    if not program.exists():
        program.parent.mkdir()
        program.write_text(f"#!{sys.executable}\nfrom bcd_implicit.__main__ import main\nmain()\n")
        program.chmod(0o755)
    paths = {"PATH": [program.parent, Path(sys.executable).parent], "PYTHONPATH": [HOME]}
    extended = {
        name: os.pathsep.join([*map(str, first), *filter(None, [os.environ.get(name)])])
        for name, first in paths.items()
    }
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=os.environ | extended | {"COLUMNS": "80"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return PROGRESS.sub("", done.stdout)


def refreshed(text: str) -> str:
    """The page with what its commands print now."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def anew(block: re.Match[str]) -> str:
            shown = ""
            for command in commands_of(block[1]):
                shown += "$ " + command.replace("\n", "\n> ") + "\n" + output_of(command, folder)
            return f"```console\n{shown}```"

        return BLOCK.sub(anew, text)


if __name__ == "__main__":
    PAGE.write_text(refreshed(PAGE.read_text()))
