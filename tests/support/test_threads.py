"""One BLAS thread while solving, and the old number after."""

from problems import at, random_problem
from threadpoolctl import threadpool_info, threadpool_limits

from bcd_implicit import solve_block
from bcd_implicit.certificates.output import output_certificate


def test_one_blas_thread_while_solving_and_the_old_number_after(monkeypatch):
    problem = random_problem((3, 4, 2, 30))
    it = at(problem, "output")
    during = []

    def certificate(*arguments):
        during.extend(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")
        return output_certificate(*arguments)

    monkeypatch.setattr("bcd_implicit.blocks.output.output_certificate", certificate)
    with threadpool_limits(2, "blas"):
        before = threadpool_info()
        solve_block(problem, it, "output")
        assert threadpool_info() == before
    assert during
    assert set(during) == {1}
