"""``python -m bcd_implicit`` is the command line."""

from bcd_implicit.cli import main

main()
