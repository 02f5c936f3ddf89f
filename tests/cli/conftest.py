"""Folders for the command line: one with a table and a model, and an empty one."""

import pytest
from command_line import QUICK, make_table, succeed


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder with a table and a model of its y from age, bmi, dose and noise."""
    folder = tmp_path_factory.mktemp("cli")
    make_table().to_csv(folder / "data.csv", index=False)
    succeed(
        *("fit", folder / "data.csv", "--target", "y", "--ignore", "id", "--ignore", "z"),
        *("--model", folder / "m.npz", *QUICK),
    )
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
