# ruff: noqa: D301 (click's mark for "do not wrap" is a real backspace, so these docstrings are not raw)
"""``bcd-implicit check``: a model's norms, its margin, and how fast its states are found."""

from __future__ import annotations

import math
import sys
from pathlib import Path

from cloup import option_group

import bcd_implicit as bi
from bcd_implicit.cli.console import for_programs, print_facts
from bcd_implicit.cli.options import command, json_option, model_argument
from bcd_implicit.support.files import check_is_file
from bcd_implicit.support.importing import importing


@command
@model_argument
@option_group("Output", json_option)
def check(model_path: Path) -> None:
    """Check that MODEL is well-posed.

    Well-posed means that each input has exactly one state. Prints the norms that prove it, and how fast the states are
    found. The exit status is 1 if the model is not well-posed.

    \b
    Examples:
      bcd-implicit check m.npz
      bcd-implicit check m.npz --json | jq .well_posed
    """
    # Before the imports, which take longer than the check.
    check_is_file(model_path)
    with importing():
        from bcd_implicit.model.fixed_point import NEWTON
        from bcd_implicit.model.inputs import used_inputs
        from bcd_implicit.model.matrices import used_columns
        from bcd_implicit.model.well_posedness import contraction

    model = bi.ImplicitModel.load(model_path)
    structure = model.structure()
    norm, well_posed = model.norm_inf(), model.is_well_posed()
    slope = model.activation.max_slope
    facts = {
        "hidden features, inputs, outputs": f"{model.n_hidden}, {model.B.shape[1]}, {model.C.shape[0]}",
        "activation": model.activation.name,
        "largest slope L": f"{slope:g}",
        "scale of the outputs": model.link,
        "||A||_inf": f"{norm:.6g}",
    }
    # With a margin the norm is enough; without, components with a cycle decide, and the norm says nothing.
    if norm * slope < 1:
        facts[f"margin {1 / slope:g} - ||A||_inf"] = f"{1 / slope - norm:.6g}"
    damped = structure.held_back.any()
    if damped:
        facts["mu_inf(A)"] = f"{model.measure_inf():.6g}"
    facts["spectral radius of |A|"] = f"{model.spectral_radius():.6g}"
    factor = None
    if structure.acyclic and norm > 0:
        facts["states"] = f"one sweep of {structure.depth} stages: no state depends on itself"
    elif well_posed:
        cycles = [stage.cycle for stage in structure.stages if stage.cycle is not None]
        factor = max((contraction(cycle.gains, cycle.weights) for cycle in cycles), default=0.0)
        name = "forward-backward" if damped else "Picard"
        facts[f"{name}: error after a step"] = (
            f"at most {factor:.4g} of the previous error" if factor else "none: A = 0"
        )
        facts[f"{name}: bound on the error"] = f"{factor / (1 - factor):.4g} x last change" if factor else "0"
        steps = math.ceil(math.log(1e-6) / math.log(factor)) if factor else 1
        # The states' solver goes over to Newton's method where that costs less.
        facts[f"{name}: steps for 6 digits"] = f"at most {steps}" + (", or a few of Newton's" if steps > NEWTON else "")
    used = [int(inputs.sum()) for inputs in (used_inputs(model), used_columns(model.B), used_columns(model.D))]
    facts["inputs used"] = f"{used[0]} of {model.B.shape[1]}: {used[1]} in B, {used[2]} in D"
    facts["well-posed"] = f"{'yes' if well_posed else 'NO'}: {structure.why}"
    print_facts(str(model_path), facts)
    for_programs(
        {
            "model": str(model_path),
            "well_posed": well_posed,
            "why": structure.why,
            "n_hidden": model.n_hidden,
            "inputs": model.input_names,
            "outputs": model.output_names,
            "activation": model.activation.name,
            "max_slope": slope,
            "link": model.link,
            "norm_inf": norm,
            "measure_inf": model.measure_inf(),
            "spectral_radius": model.spectral_radius(),
            "contraction": factor,
            "inputs_used": [
                name for name, is_used in zip(model.input_names, used_inputs(model), strict=True) if is_used
            ],
        }
    )
    sys.exit(0 if well_posed else 1)
