"""What does not fit into memory is computed anew."""

import pytest
from problems import TOL, at, random_problem

from bcd_implicit import solve_block


def test_what_does_not_fit_into_memory_is_computed_anew(monkeypatch):
    problem = random_problem((5, 8, 20, 40))
    it = at(problem, "prox-linear")
    kept = solve_block(problem, it, "prox-linear", "native")
    for module in ("certificates.responses", "blocks.linearisation"):
        monkeypatch.setattr(f"bcd_implicit.{module}.LARGEST_KEPT", 0)
    monkeypatch.setattr("bcd_implicit.support.parts.PART", 7 * 25)  # seven samples at a time
    anew = solve_block(problem, it, "prox-linear", "native")
    assert anew.objective == pytest.approx(kept.objective, rel=1e-9)
    assert anew.certificate.holds(TOL)
