"""One BLAS thread while solving, and the old number after; also where several threads solve at once."""

import warnings
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from problems import at, random_problem
from threadpoolctl import threadpool_info, threadpool_limits

import bcd_implicit as bi
from bcd_implicit import solve_block
from bcd_implicit.certificates.output import output_certificate
from bcd_implicit.support.threads import one_blas_thread


def blas_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_one_blas_thread_while_solving_and_the_old_number_after(monkeypatch):
    problem = random_problem((3, 4, 2, 30))
    it = at(problem, "output")
    during = []

    def certificate(*arguments):
        during.extend(blas_threads())
        return output_certificate(*arguments)

    monkeypatch.setattr("bcd_implicit.blocks.output.output_certificate", certificate)
    with threadpool_limits(2, "blas"):
        before = threadpool_info()
        solve_block(problem, it, "output")
        assert threadpool_info() == before
    assert during
    assert set(during) == {1}


def test_the_last_thread_lifts_the_limit():
    with threadpool_limits(2, "blas"):
        before = blas_threads()
        first, second = one_blas_thread(), one_blas_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert set(blas_threads()) == {1}
        second.__exit__(None, None, None)
        assert blas_threads() == before


def runs(problem, solver, together):
    """Two solves of different length at once."""

    def run(max_cycles):
        together.wait()
        return bi.solve(problem, solver=solver, max_cycles=max_cycles, tol=0.0, callback=lambda c, *_: c == max_cycles)

    return run


@pytest.mark.parametrize("solver", ["native", pytest.param("CLARABEL", marks=pytest.mark.slow)])
def test_eight_rounds_of_two_threads_leave_limits_and_filters_and_give_the_same_models(solver):
    problem = random_problem((2, 3, 1, 20), kappa=0.05)
    run, cycles = runs(problem, solver, Barrier(1)), (1, 2)
    alone = [run(n) for n in cycles]
    with threadpool_limits(2, "blas"), ThreadPoolExecutor(2) as pool:
        limits, filters, standing = threadpool_info(), [*warnings.filters], warnings.filters
        for _ in range(8):
            found = list(pool.map(runs(problem, solver, Barrier(2)), cycles))
            assert threadpool_info() == limits
            assert warnings.filters is standing
            assert warnings.filters == filters
            for one, other in zip(found, alone, strict=True):
                for letter in "ABbCDdX":
                    expected = getattr(other.iterate, letter)
                    np.testing.assert_allclose(getattr(one.iterate, letter), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_paths_in_two_threads_leave_limits_and_filters():
    data = bi.datasets.make_column_sparse(60, 4, 2, 2, 1, noise=0.1, random_state=0)
    problem = bi.TrainingProblem(data.U, data.Y, 1, pass_through=False)
    filters = [*warnings.filters]

    def run(seed):
        return bi.kappa_path(problem, 3, random_state=seed).select(grow_hidden=False, ridges=[1e-4], tol=0.2)

    alone = [run(seed).model.B for seed in (0, 1)]
    with threadpool_limits(2, "blas"), ThreadPoolExecutor(2) as pool:
        limits = threadpool_info()
        for one, other in zip(pool.map(run, (0, 1)), alone, strict=True):
            np.testing.assert_allclose(one.model.B, other, rtol=1e-9, atol=1e-9)
        assert threadpool_info() == limits
    assert warnings.filters == filters
