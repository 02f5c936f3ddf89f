# ruff: noqa: D301 (click's mark for "do not wrap" is a real backspace, so these docstrings are not raw)
"""``bcd-implicit check``: a model's norms, its margin, and how fast its states are found."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import click

import bcd_implicit as bi
from bcd_implicit.cli.console import print_facts
from bcd_implicit.model.fixed_point import NEWTON
from bcd_implicit.model.matrices import used_columns


@click.command()
@click.argument("model_path", metavar="MODEL", type=click.Path(path_type=Path))
def check(model_path: Path) -> None:
    """Print a model's norms, its margin, and how fast its states are found.

    The exit status is 1 when it is not well-posed.

    \b
    Example:
      bcd-implicit check m.npz
    """
    model = bi.ImplicitModel.load(model_path)
    structure = model.structure()
    norm, radius, well_posed = model.norm_inf(), model.spectral_radius(), model.is_well_posed()
    # ||A||_inf times the largest slope has to stay below 1.
    limit = 1 / model.activation.max_slope
    facts = {
        "hidden features, inputs, outputs": f"{model.n_hidden}, {model.B.shape[1]}, {model.C.shape[0]}",
        "activation": model.activation.name,
        "scale of the outputs": model.link,
        "||A||_inf": f"{norm:.6g}",
        f"margin {limit:g} - ||A||_inf": f"{limit - norm:.6g}",
        "spectral radius of |A|": f"{radius:.6g}",
    }
    if structure.acyclic and norm > 0:
        facts["states"] = f"one sweep of {structure.depth} stages: no state depends on itself"
    elif well_posed and limit > 0:
        factor = model.contraction()
        facts["Picard: error after a step"] = f"at most {factor:.4g} of the error before" if factor else "none: A = 0"
        facts["Picard: bound on the error"] = f"{factor / (1 - factor):.4g} x last change" if factor else "0"
        steps = math.ceil(math.log(1e-6) / math.log(factor)) if factor else 1
        # The states' solver goes over to Newton's method where that costs less.
        facts["Picard: steps for 6 digits"] = f"at most {steps}" + (", or a few of Newton's" if steps > NEWTON else "")
    used = used_columns(model.B)
    facts["inputs used in B"] = f"{int(used.sum())} of {len(used)}"
    facts["well-posed"] = (
        f"yes: ||A||_inf < {limit:g}"
        if norm < limit
        else "yes: no state depends on itself"
        if structure.acyclic
        else "yes, by the Perron-Frobenius test only"
        if well_posed
        else f"NO: the spectral radius of |A| is {limit:g} or more, so an equilibrium need not exist"
    )
    print_facts(str(model_path), facts)
    sys.exit(0 if well_posed else 1)
