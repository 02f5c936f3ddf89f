"""What is imported when, and that names which are imported late are the same everywhere."""

import pickle
import pydoc
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import bcd_implicit as bi
from bcd_implicit.experiments.feature_selection import FAMILIES
from bcd_implicit.networks.known import KNOWN
from bcd_implicit.selection.rules import RULES
from bcd_implicit.support import choices
from bcd_implicit.terms.penalties import GROUP_FORMS
from bcd_implicit.terms.row_sets import WELL_POSEDNESS

HEAVY = ("numpy", "scipy", "pandas", "sklearn", "cvxpy", "matplotlib", "joblib", "pyarrow", "torch")


def loaded(code):
    """The packages among the heavy ones that a fresh process has loaded after the code, and what it printed before."""
    lines = [code, "import sys", f"print([name for name in {HEAVY} if name in sys.modules])"]
    run = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    return eval(run.stdout.splitlines()[-1])


# As they are when tests are collected: some tests add to them.
KNOWN_NAMES = {
    "METHODS": tuple(bi.METHODS),
    "SOLVERS": tuple(bi.SOLVERS),
    "ACTIVATIONS": tuple(bi.ACTIVATIONS),
    "LOSSES": tuple(bi.LOSSES),
    "GROUP_FORMS": tuple(GROUP_FORMS),
    "WELL_POSEDNESS": tuple(WELL_POSEDNESS),
    "RULES": tuple(RULES),
    "NETWORKS": tuple(KNOWN),
    "FAMILIES": tuple(FAMILIES),
}


@pytest.mark.parametrize("kind", KNOWN_NAMES)
def test_the_names_that_the_command_line_offers_are_those_of_the_mappings(kind):
    assert KNOWN_NAMES[kind] == getattr(choices, kind)


def test_importing_the_package_and_its_errors_loads_nothing_heavy():
    code = "import bcd_implicit as bi\ndir(bi)\nstr(bi.InvalidInputError('a', 'is wrong'))"
    assert loaded(code) == []


def test_help_and_errors_of_arguments_load_nothing_heavy():
    commands = [
        *("--version", "--help", "fit --help", "select --help", "fit", "nonsense", "fit x.csv --loss nonsense"),
        *("fit gone.csv --target y --model m.npz", "predict gone.npz gone.csv --output p.csv", "check gone.npz"),
    ]
    code = f"""
from contextlib import suppress
from bcd_implicit.cli import main
for command in {commands}:
    with suppress(SystemExit):
        main(command.split())
"""
    assert loaded(code) == []


def test_a_column_that_does_not_exist_is_told_before_models_are_imported(tmp_path):
    (tmp_path / "d.csv").write_text("x,y\n1,2\n2,3\n3,5\n")
    arguments = ["fit", str(tmp_path / "d.csv"), "--target", "z", "--model", "m.npz"]
    code = f"""
from contextlib import suppress
from bcd_implicit.cli import main
with suppress(SystemExit):
    main({arguments})
"""
    assert not {"scipy", "sklearn", "cvxpy", "matplotlib"} & {*loaded(code)}


def test_threads_that_use_a_name_first_get_the_same_object_and_native_solves_load_little():
    code = """
import warnings
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
import numpy as np, bcd_implicit as bi
together = Barrier(16)
def use(i):
    together.wait()
    return [bi.solve, bi.ImplicitModel, bi.LOSSES][i % 3], bi.TrainingProblem
with ThreadPoolExecutor(16) as threads:
    assert len(set(map(id, sum(threads.map(use, range(16)), ())))) == 4
warnings.simplefilter("ignore")
U = np.random.default_rng(0).normal(size=(20, 3))
problem = bi.TrainingProblem(U, U[:, :1], n_hidden=2)
for method in bi.METHODS:
    bi.solve(problem, method, "native", max_cycles=2)
"""
    assert not {"cvxpy", "sklearn", "matplotlib", "torch"} & {*loaded(code)}


@pytest.mark.slow
def test_threads_that_use_cvxpy_first_get_the_same_classes():
    code = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from bcd_implicit.support import cvxpy as cp
together = Barrier(16)
with ThreadPoolExecutor(16) as threads:
    assert len({*threads.map(lambda _: (together.wait(), cp.Variable)[1], range(16))}) == 1
"""
    assert "cvxpy" in loaded(code)


def test_names_are_pickled_starred_and_helped_as_ever():
    assert pickle.loads(pickle.dumps(bi.solve)) is bi.solve
    names = {}
    exec("from bcd_implicit import *", names)
    assert set(dir(bi)) <= names.keys()
    with pytest.raises(AttributeError, match="nonsense"):
        bi.nonsense  # noqa: B018


def test_help_shows_the_names_with_their_documentation():
    text = pydoc.render_doc(bi, renderer=pydoc.plaintext)
    assert "solve(problem" in text
    assert "class TrainingProblem" in text


def test_the_version_and_the_repository_are_the_same_everywhere():
    root = Path(__file__).parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text())
    citation = (root / "CITATION.cff").read_text()
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "bcd_implicit.__version__"}
    assert re.findall(r"^version: (.*)$", citation, re.MULTILINE) == [bi.__version__]
    source = project["project"]["urls"]["Source"]
    assert re.findall(r'^repository-code: "(.*)"$', citation, re.MULTILINE) == [source]
    assert all(url.startswith(source) for url in project["project"]["urls"].values())
