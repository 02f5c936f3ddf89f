"""What a person sees of the package, and that old ways to it stay open."""

import importlib
import subprocess
import sys

import pytest

import bcd_implicit as bi
from bcd_implicit.old_paths import MOVED

PUBLIC = [
    "ACTIVATIONS",
    "BLOCKS",
    "LOSSES",
    "METHODS",
    "SOLVERS",
    "Activation",
    "ArchitecturePath",
    "BcdError",
    "BcdResult",
    "BlockSolution",
    "BlockSolveError",
    "Certificate",
    "Compression",
    "ConstraintError",
    "Continuation",
    "ConvergenceWarning",
    "DataWarning",
    "DualAscent",
    "HuberLoss",
    "ImplicitClassifier",
    "ImplicitFeatureSelector",
    "ImplicitModel",
    "ImplicitRegressor",
    "InvalidInputError",
    "Iterate",
    "Loss",
    "NotWellPosedError",
    "NothingYetError",
    "PathResult",
    "QuantileLoss",
    "RobustnessCurve",
    "Selection",
    "Status",
    "TrainingProblem",
    "architecture_path",
    "block_problem",
    "certified_accuracy",
    "compose",
    "compress",
    "constraints",
    "datasets",
    "experiments",
    "from_sklearn",
    "from_torch",
    "gradient",
    "kappa_path",
    "networks",
    "plots",
    "reference_kappa",
    "register_activation",
    "robustness_curve",
    "solve",
    "solve_block",
    "to_torch",
    "torch",
]

# Where version 0.1.0 had them.
OLD_MODULES = [
    "activations",
    "bcd",
    "blocks",
    "certificates",
    "constraints",
    "datasets",
    "errors",
    "estimators",
    "losses",
    "model",
    "path",
    "plots",
    "problem",
    "result",
    "selection",
    "solvers",
]


def test_the_public_names_are_these_and_no_others():
    assert dir(bi) == sorted(PUBLIC)
    assert sorted(bi.__all__) == sorted(PUBLIC)
    assert all(getattr(bi, name) is not None for name in PUBLIC)


def test_every_public_name_says_what_it_is():
    documented = [getattr(bi, name) for name in PUBLIC if not name.isupper()]
    assert all(thing.__doc__ for thing in documented)


@pytest.mark.parametrize("old", OLD_MODULES)
def test_old_import_paths_lead_to_the_same_objects(old):
    module = importlib.import_module(f"bcd_implicit.{old}")
    for name in MOVED.get(old, ()):
        assert getattr(module, name) is getattr(bi, name)
    assert getattr(bi, old) is module
    code = f"from bcd_implicit.{old} import {', '.join(n for n in vars(module) if n in PUBLIC) or '__doc__'}"
    exec(code, {})


def test_an_old_path_can_be_the_first_import_and_importing_the_package_leaves_matplotlib_and_torch_alone():
    lines = [
        "from bcd_implicit.path import kappa_path, reference_kappa; from bcd_implicit.result import BcdResult",
        "import sys, bcd_implicit, bcd_implicit.plots",
        "print([m for m in sys.modules if m.startswith(('matplotlib', 'torch'))])",
        "bcd_implicit.errors.InvalidInputError, bcd_implicit.estimators.ImplicitRegressor, bcd_implicit.bcd.solve",
    ]
    run = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
