"""Warnings that stand work in several threads."""

import threading
import warnings

import pytest

from bcd_implicit import ConvergenceWarning
from bcd_implicit.support.notices import collected, ignored, told_once, warn_convergence


def _finish(thread):
    thread.start()
    thread.join()


def test_what_is_collected_is_not_given_and_only_in_this_thread():
    with collected() as outer:
        warn_convergence("one")
        with collected() as inner:
            warn_convergence("two")
        warn_convergence("three")
    assert (outer, inner) == (["one", "three"], ["two"])
    thread = threading.Thread(target=warn_convergence, args=("from a thread",))
    with collected() as here, pytest.warns(ConvergenceWarning, match="from a thread"):
        _finish(thread)
    assert here == []
    with pytest.warns(ConvergenceWarning, match="again") as caught:
        warn_convergence("again")
    assert caught[0].filename == __file__


def test_what_differs_in_numbers_alone_is_told_once():
    def work():
        with told_once():
            for gap in ("1e-03", "inf", "0.5"):
                warn_convergence(f"block 'state': gap {gap}, cycle 7.")
            warn_convergence("block 'hidden': gap 1.")

    with pytest.warns(ConvergenceWarning) as caught:
        work()
    assert [warning.message.args[0] for warning in caught] == [
        "block 'state': gap 0.5, cycle 7. (3 times in this run; the numbers are the last.)",
        "block 'hidden': gap 1.",
    ]
    assert all(warning.filename == __file__ for warning in caught)
    with collected() as messages:
        work()
    assert len(messages) == 2


def test_filters_are_shared_by_those_who_ask_and_gone_after_the_last():
    before = [*warnings.filters]
    one, other = ignored("as said"), ignored("as said", "this too")
    with one:
        other.__enter__()
        assert len(warnings.filters) == len(before) + 2
    warnings.warn("as said so often", UserWarning, stacklevel=1)
    other.__exit__(None, None, None)
    assert warnings.filters == before
    with pytest.warns(UserWarning, match="as said"):
        warnings.warn("as said so often", UserWarning, stacklevel=1)


def test_filters_are_gone_though_someone_else_exchanged_the_list():
    before, others = [*warnings.filters], warnings.catch_warnings()
    with ignored("as said"):
        others.__enter__()
    assert warnings.filters == before
    others.__exit__(None, None, None)
    assert warnings.filters == before
