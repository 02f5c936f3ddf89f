"""Ctrl-C and time limits as such; what long calls make of them is tested with these calls."""

import os
import pickle
import signal
import threading
import time

import pytest

from bcd_implicit.errors import BcdError, InvalidInputError, NothingYetError
from bcd_implicit.support import interruption
from bcd_implicit.support.interruption import (
    Stop,
    check_stop,
    finishing,
    in_background,
    limits_here,
    limits_in_force,
    press,
    seconds_left,
    stoppable,
    waiting,
)


@pytest.fixture(autouse=True)
def no_earlier_ctrl_c(monkeypatch):
    monkeypatch.setattr(interruption, "_last_pressed", -float("inf"))


def ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


def test_outside_of_long_calls_ctrl_c_is_what_it_always_is():
    check_stop()
    with pytest.raises(KeyboardInterrupt):
        ctrl_c()
    assert seconds_left() == float("inf")


def test_the_first_ctrl_c_is_noted_and_the_loop_ends_at_its_next_step():
    with stoppable() as limits:
        ctrl_c()
        assert limits.reached == "INTERRUPTED"
        with pytest.raises(Stop) as caught:
            check_stop()
        assert caught.value.status == "INTERRUPTED"
        with finishing():
            check_stop()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    check_stop()


def test_a_second_ctrl_c_raises():
    with stoppable():
        ctrl_c()
        with pytest.raises(KeyboardInterrupt) as caught:
            ctrl_c()
    assert not isinstance(caught.value, Stop)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_twice_within_seconds_raises_also_in_another_call(monkeypatch):
    with stoppable():
        ctrl_c()
    with pytest.raises(KeyboardInterrupt), stoppable():
        ctrl_c()
    monkeypatch.setattr(interruption, "_last_pressed", time.monotonic() - 2 * interruption.TWICE)
    with stoppable():
        ctrl_c()


def test_a_call_with_nothing_to_return_raises_what_a_person_knows():
    def call(work, max_seconds=None):
        with stoppable(max_seconds):
            work()
            check_stop()

    with pytest.raises(KeyboardInterrupt) as caught:
        call(ctrl_c)
    assert not isinstance(caught.value, Stop)
    message = "max_seconds=0.01 passed before there was a result. Allow more time"
    with pytest.raises(NothingYetError, match=message) as late:
        call(lambda: time.sleep(0.02), 0.01)
    assert isinstance(late.value, BcdError)


def test_calls_within_calls_obey_the_earliest_limit_and_one_ctrl_c():
    with stoppable(100) as outer:
        with stoppable(0.01) as inner:
            assert (outer.outermost, inner.outermost) == (True, False)
            time.sleep(0.02)
            with pytest.raises(Stop) as caught:
                check_stop()
            assert caught.value.status == "TIME_LIMIT"
        check_stop()
        assert 50 < seconds_left() < 100
        with stoppable(1000):
            assert seconds_left() < 100
            ctrl_c()
        with pytest.raises(Stop):
            check_stop()


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), "long", True])
def test_a_bad_time_is_named(seconds):
    with pytest.raises(InvalidInputError, match="max_seconds: "), stoppable(seconds):
        pass


def test_a_programs_own_handler_stays():
    heard = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append(1))
    try:
        with stoppable():
            ctrl_c()
            check_stop()
        assert heard == [1]
    finally:
        signal.signal(signal.SIGINT, before)


def test_while_waiting_the_first_ctrl_c_breaks_in():
    with stoppable():
        began = time.monotonic()
        threading.Timer(0.1, ctrl_c).start()
        with pytest.raises(Stop), waiting():
            time.sleep(30)
        assert time.monotonic() - began < 10
        with pytest.raises(Stop), waiting():
            pytest.fail("waits although it has to end")


def test_what_works_on_behalf_of_a_call_obeys_it_too():
    ends = []

    def job(limits):
        with limits_in_force(limits):
            try:
                check_stop()
            except Stop as stop:
                ends.append(stop.status)

    with stoppable(1000):
        ctrl_c()
        for limits in (limits_here(), pickle.loads(pickle.dumps(limits_here()))):
            thread = threading.Thread(target=job, args=(limits,))
            thread.start()
            thread.join()
        # Another process does not see this one's Ctrl-C, but its time, and is told of none as the outermost.
        assert ends == ["INTERRUPTED"]
        assert not limits.outermost
        assert limits.until == limits_here().until


def test_a_solver_that_asks_nobody_is_left_alone():
    ended = threading.Event()

    def works():
        time.sleep(1.0)
        ended.set()

    with stoppable(0.1):
        with pytest.raises(Stop):
            in_background(works)
        assert not ended.is_set()
    assert ended.wait(30)
    with stoppable():
        assert in_background(lambda: 3) == 3
        with pytest.raises(ZeroDivisionError):
            in_background(lambda: 1 / 0)


def test_a_handler_that_a_solver_puts_in_place_does_not_swallow_ctrl_c():
    began = time.monotonic()

    def works():
        # As ECOS and SCS do; only that C needs no main thread for it.
        time.sleep(2.0)

    with stoppable():
        ours = signal.getsignal(signal.SIGINT)
        threading.Timer(0.2, ctrl_c).start()
        with pytest.raises(Stop):
            in_background(works)
        assert signal.getsignal(signal.SIGINT) is ours
        assert time.monotonic() - began < 1.9
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_ctrl_c_that_a_solver_reports_counts():
    with pytest.raises(KeyboardInterrupt):
        press()
    interruption._last_pressed = -float("inf")
    with stoppable() as limits:
        press()
        assert limits.reached == "INTERRUPTED"
        with pytest.raises(KeyboardInterrupt):
            press()
