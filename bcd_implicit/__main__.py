"""The program ``bcd-implicit``, which is ``python -m bcd_implicit`` too."""

from bcd_implicit.support.importing import importing


def main() -> None:
    """Import the command line and run it."""
    with importing():
        from bcd_implicit.cli import main as command_line
    command_line()


if __name__ == "__main__":
    main()
