"""Fixtures of all tests, and how the tests are spread; problems to test with are in problems.py."""

import gc
import os
import signal
import sys

import hypothesis
import pytest
from sizes import SIZES

# On matrices of these sizes a second BLAS thread costs more than it brings, most of all where another process of the
# tests wants the same core. Read when NumPy is first imported; whoever sets it differently gets that.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# A shell starts what is to run in the background so that it ignores Ctrl-C, and so would all programs that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# The same examples each time: what a change has not broken must not fail it. Who looks for faults draws new ones, with
# --hypothesis-profile "new draws". A busy machine misses any deadline of an example.
hypothesis.settings.register_profile("same draws", deadline=None, derandomize=True)
hypothesis.settings.register_profile("new draws", deadline=None, max_examples=1000)
hypothesis.settings.load_profile("same draws")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give each worker neighbouring tests, which share fixtures and solutions, and let the idle ones steal the rest."""
    if config.getvalue("dist") != "load":
        return None
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


def pytest_collection_finish():
    """Take what stands now, modules and tests, out of garbage collection, which would look at it again and again."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items):
    """Put files whose tests start processes first: one worker gets them all, and starts and loads these once."""
    files = {item.path for item in items if item.get_closest_marker("processes")}
    items.sort(key=lambda item: item.path not in files)


@pytest.fixture(autouse=True)
def no_open_figures():
    """Close what a test, or the code of a page, has drawn on: the next one's current axes are new."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture(params=SIZES, ids=lambda s: "n{}-p{}-q{}-m{}".format(*s))
def size(request):
    return request.param


@pytest.fixture
def plain_choice(monkeypatch):
    """A selection chooses no ridge and adds no hidden features: for tests of what stands around it."""
    monkeypatch.setattr("bcd_implicit.selection.choose.RIDGE_FACTORS", (1,))
    monkeypatch.setattr("bcd_implicit.selection.adjustment.MOST_DOUBLINGS", 0)
