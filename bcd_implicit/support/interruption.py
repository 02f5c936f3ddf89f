"""Ctrl-C and time limits: a long call ends with what it has.

A long call runs within :func:`stoppable`. There neither the first Ctrl-C nor the end of the time breaks in: loops ask
:func:`check_stop` at every step, and it raises :class:`Stop`, which the call catches to return the best that it has.
Steps take well under a second. An exception out of the signal handler would be quicker, but it could leave state half
changed, a lock held or a file half written; only :func:`waiting` for other processes, where nobody asks, is broken off
like that.

Calls within calls are one: the outermost takes the signal, and all obey the earliest time limit. What runs in other
threads or processes on behalf of a call does so too (:func:`limits_in_force`).
"""

from __future__ import annotations

import contextvars
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from typing import Any, TypeVar

from bcd_implicit.errors import NothingYetError
from bcd_implicit.support.checks import check_number

INTERRUPTED, TIME_LIMIT = "INTERRUPTED", "TIME_LIMIT"
# Whoever presses Ctrl-C twice within so many seconds wants the program to end, whatever calls these were.
TWICE = 3.0
# How often a thread that waits looks up, in seconds. Each look takes the interpreter away from what runs in Python; on
# a busy machine that costs milliseconds.
PAUSE = 0.05
# While a solver works, which needs no interpreter: a Ctrl-C that another thread gets before, in SCS's set-up, is lost.
SOLVER_PAUSE = 0.002
# What is to be finished whatever happens, but is not as quick as it should be, is waited for so many seconds more.
GRACE = 1.0
Answer = TypeVar("Answer")


class Stop(KeyboardInterrupt):
    """The work has to end now. It never leaves this package; whatever lets a KeyboardInterrupt through lets it through.

    Attributes
    ----------
    status : str
        "INTERRUPTED" or "TIME_LIMIT".
    """

    def __init__(self, status: str) -> None:
        self.status = status
        super().__init__(status)


@dataclass
class _CtrlC:
    """Whether Ctrl-C was pressed in the outermost call.

    Also whether it comes to this module at all, and whether it may be told by an exception at once.
    """

    pressed: bool = False
    listening: bool = False
    waiting: bool = False


@dataclass(frozen=True)
class Limits:
    """What ends a call.

    Attributes
    ----------
    until : float
        On the wall clock, the only one that other machines have as well.
    outermost : bool
        Whether no other call is around this one: then it tells how it ended.
    """

    ctrl_c: _CtrlC
    until: float = math.inf
    outermost: bool = True

    def __reduce__(self) -> tuple:
        # Another process has its own Ctrl-C, which it does not see: this one ends it.
        return Limits, (_CtrlC(), self.until, False)

    @property
    def reached(self) -> str | None:
        """The status with which the call has to end, if it has to."""
        if self.ctrl_c.pressed:
            return INTERRUPTED
        return TIME_LIMIT if time.time() > self.until else None


class _Here(threading.local):
    limits: Limits | None = None
    # Whether stops are put off.
    finishing: bool = False


_here = _Here()
_last_pressed = -math.inf


def check_max_seconds(max_seconds: Any) -> float | None:
    """Return the number of seconds, or None for no limit, or raise an error that names the argument.

    Raises
    ------
    InvalidInputError
        Anything but a positive number.
    """
    remedy = "Give a positive number of seconds, or None for no limit"
    return (
        max_seconds
        if max_seconds is None
        else check_number("max_seconds", max_seconds, 0, boundaries="neither", remedy=remedy)
    )


@contextmanager
def stoppable(max_seconds: float | None = None) -> Iterator[Limits]:
    """A long call: within it the first Ctrl-C, and the end of the time, make :func:`check_stop` raise Stop.

    Raises
    ------
    InvalidInputError
        A time that is no positive number.
    KeyboardInterrupt, NothingYetError
        In place of a Stop that the outermost call let through, having nothing to return.
    """
    seconds = check_max_seconds(max_seconds)
    before = _here.limits
    until = math.inf if seconds is None else time.time() + seconds
    here = Limits(_CtrlC(), until) if before is None else Limits(before.ctrl_c, min(until, before.until), False)
    try:
        with _listening(here.ctrl_c) if before is None else nullcontext(), limits_in_force(here):
            yield here
    except Stop as stop:
        if before is not None:
            raise
        if stop.status == INTERRUPTED:
            raise KeyboardInterrupt from None
        raise NothingYetError(
            f"max_seconds={max_seconds:g} passed before there was a result. Allow more time."
        ) from None


@contextmanager
def _listening(ctrl_c: _CtrlC) -> Iterator[None]:
    """Note the first Ctrl-C instead of raising KeyboardInterrupt. A program's own handler stays in place."""
    usual = signal.default_int_handler
    # Only the main thread may set a handler, and only there one runs.
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is not usual:
        yield
        return

    def note(signum: int, frame: Any) -> None:
        press(ctrl_c)

    signal.signal(signal.SIGINT, note)
    ctrl_c.listening = True
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


def press(ctrl_c: _CtrlC | None = None) -> None:
    """Take note of a Ctrl-C: that of the signal handler, or one that a solver caught itself and reports.

    Raises
    ------
    KeyboardInterrupt
        The second, or outside of any long call.
    Stop
        While waiting.
    """
    global _last_pressed
    ctrl_c = ctrl_c or (_here.limits.ctrl_c if _here.limits else None)
    last, _last_pressed = _last_pressed, time.monotonic()
    if ctrl_c is None or ctrl_c.pressed or _last_pressed - last < TWICE:
        raise KeyboardInterrupt
    ctrl_c.pressed = True
    if ctrl_c.waiting:
        raise Stop(INTERRUPTED)


def check_stop() -> None:
    """Raise Stop if the work has to end. Cheap: ask in every loop whose steps are longer than a millisecond."""
    limits = _here.limits
    if _left_alone and limits is not None and limits.ctrl_c.listening:
        _listen_to_the_end()
    if limits is not None and not _here.finishing and (status := limits.reached):
        raise Stop(status)


def seconds_left() -> float:
    """Until the time limit; infinite without one."""
    return math.inf if _here.limits is None else max(_here.limits.until - time.time(), 0.0)


@contextmanager
def finishing() -> Iterator[None]:
    """What is done here is quick, and done whatever happens."""
    before, _here.finishing = _here.finishing, True
    try:
        yield
    finally:
        _here.finishing = before


@contextmanager
def waiting() -> Iterator[None]:
    """While other processes work, or there is nothing to keep: the first Ctrl-C raises Stop at once, as nobody asks."""
    ctrl_c = _here.limits.ctrl_c if _here.limits else _CtrlC()
    try:
        ctrl_c.waiting = True
        check_stop()
        yield
    finally:
        ctrl_c.waiting = False


def limits_here() -> Limits | None:
    """To pass to :func:`limits_in_force` in another thread or process."""
    return _here.limits


@contextmanager
def limits_in_force(limits: Limits | None) -> Iterator[None]:
    """Work here on behalf of the call with these limits."""
    before, _here.limits = _here.limits, limits
    try:
        yield
    finally:
        _here.limits = before


# Windows has none.
_HAS_MASKS = hasattr(signal, "pthread_sigmask")


@contextmanager
def without_ctrl_c(processes: bool = False) -> Iterator[None]:
    """Threads that start here, or ``processes``, never see Ctrl-C, which goes to all processes of a terminal.

    It is not lost: this thread gets it at the end.
    """
    if not _HAS_MASKS:
        yield
        return
    if processes:
        # Before the first process Python starts this one, and lets Ctrl-C through again.
        resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# Threads of solvers that nobody waits for any more.
_left_alone: list[threading.Thread] = []


def anyone_left_alone() -> bool:
    """Whether a solver still works for which nobody waits."""
    return any(thread.is_alive() for thread in _left_alone)


def _listen_to_the_end() -> None:
    """Take the place of handlers of solvers that were left alone."""
    _left_alone[:] = [thread for thread in _left_alone if thread.is_alive()]
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.getsignal(signal.SIGINT))


def _hear() -> None:
    """Take a Ctrl-C that is held back to our handler, past a solver's.

    ECOS and SCS have handlers of their own, and forget what comes during their set-up or in their last step. What the
    mask holds back from this thread no handler gets; what goes to another thread finds ours in its old place again.
    """
    signal.signal(signal.SIGINT, signal.getsignal(signal.SIGINT))
    if signal.SIGINT in signal.sigpending():
        signal.sigwait({signal.SIGINT})
        press()


@dataclass
class _Answer:
    value: Any = None
    error: BaseException | None = None
    ready: threading.Event = field(default_factory=threading.Event)


def in_background(function: Callable[..., Answer], pause: float = PAUSE) -> Answer:
    """The function's result; in a long call it is not waited for once the work has to end, or a moment later.

    For the work of other packages, which ask nobody: solvers, and CVXPY's compiling. One that is left alone works on to
    its own end, and the program waits for it before it ends: killed then, code in Rust aborts the process.
    """
    limits, finishing = _here.limits, _here.finishing
    if limits is None:
        return function()
    answer, context = _Answer(), contextvars.copy_context()

    def run() -> None:
        try:
            # What asks, although nobody waits any more, ends there too.
            with limits_in_force(None if finishing else limits):
                answer.value = context.run(function)
        # Whatever it is, it is raised where the result is wanted.
        except BaseException as error:
            answer.error = error
        answer.ready.set()

    ours = limits.ctrl_c.listening and threading.current_thread() is threading.main_thread() and _HAS_MASKS
    with without_ctrl_c() if ours else nullcontext():
        thread = threading.Thread(target=run, name="bcd_implicit solver")
        thread.start()
        noticed = time.monotonic()
        try:
            while not answer.ready.wait(pause):
                if ours:
                    _hear()
                check_stop()
                if not limits.reached:
                    noticed = time.monotonic()
                elif time.monotonic() - noticed > GRACE:
                    raise Stop(limits.reached)
            if ours:
                _hear()
        except Stop:
            _left_alone.append(thread)
            raise
    if answer.error is not None:
        raise answer.error
    return answer.value
