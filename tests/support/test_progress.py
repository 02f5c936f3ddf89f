"""Progress is shown where it is asked for, in terminals, logs and notebooks, and nothing of it is left behind."""

import logging
import os
import re
import sys
import threading
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from problems import random_problem

import bcd_implicit as bi
from bcd_implicit.support.progress import between, show_progress

pytestmark = pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")


@pytest.fixture(scope="module")
def path():
    return bi.kappa_path(random_problem((1, 3, 1, 30)), kappas=[0.01, 0.1], max_cycles=4)


def everything(path, **options):
    """All long work that can show progress."""
    bi.solve(path.problem, max_cycles=4, tol=0.0, **options)
    bi.kappa_path(path.problem, n_kappas=3, max_cycles=4, **options)
    path.select("min", n_folds=2, ridges=[1e-4, 1e-2], max_cycles=4, tol=0.2, **options)
    path.ranking(n_subsamples=2, **options)


def test_nothing_is_shown_by_default(path, capfd):
    everything(path)
    assert capfd.readouterr() == ("", "")


def test_a_function_gets_shares_that_end_with_one(path):
    told = []
    everything(path, progress=lambda share, text: told.append((share, text)))
    shares = np.array([share for share, _ in told])
    ends = np.flatnonzero(np.diff(shares, append=0) < 0)
    assert len(ends) == 4  # four pieces of work, each upwards
    assert shares[ends].tolist() == [1.0] * 4
    assert told[0][0] == 0.25
    assert re.fullmatch(r"cycle 1, objective [\d.e-]+", told[0][1])
    assert told[-1][1] == "2 of 2"
    assert any(re.fullmatch(r"kappa [\d.e-]+: \d of 3 inputs", text) for _, text in told)
    assert "chosen" in [text for _, text in told]


def test_a_path_that_ends_early_is_done():
    told = []
    with pytest.warns(UserWarning, match="no input is in even at the first kappa"):
        bi.kappa_path(random_problem((2, 3, 1, 30)), kappas=[1e6, 2e6], progress=lambda share, text: told.append(share))
    assert told == sorted(told)
    assert told[0] < 1.0  # within the kappa, cycle by cycle
    assert told[-1] == 1.0


def test_shares_follow_the_change_where_few_cycles_will_do():
    """A loop that ends after 8 of 100 cycles is not at 8 % until then."""
    told, changes = [], []
    problem = random_problem((4, 3, 2, 40))
    result = bi.solve(problem, tol=1e-2, progress=lambda share, text: told.append(share))
    changes = result.history["change"].to_numpy()
    assert result.n_cycles < 50
    assert told == sorted(told)
    nearness = np.clip(np.log(changes) / np.log(1e-2), 0, 0.95)
    assert_allclose(told[:-1], np.maximum.accumulate(np.maximum(nearness, np.arange(1, len(changes) + 1) / 100)))
    assert told[-1] == 1.0


def test_the_search_for_the_scale_of_kappa_is_told():
    told = []
    bi.kappa_path(
        random_problem((2, 3, 1, 30)), 3, max_cycles=4, progress=lambda share, text: told.append((share, text))
    )
    search = [(share, text) for share, text in told if text.startswith("looking for the scale of kappa")]
    assert len(search) >= 3
    assert "cycle 1, objective" in search[1][1]
    assert all(share <= 0.05 for share, _ in search)


def test_the_logger_is_silent_and_has_a_line_a_cycle(path, caplog, capfd):
    caplog.set_level(logging.INFO, "bcd_implicit")
    result = bi.solve(path.problem, max_cycles=4, tol=0.0, callback=lambda cycle, *_: cycle == 3)
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(",")[0] for line in lines[:3]] == [f"prox-linear: cycle {k}" for k in (1, 2, 3)]
    assert lines[3] == f"prox-linear: stopped by the callback; 3 cycles, objective {result.objective:.6g}"
    caplog.clear()
    bi.kappa_path(path.problem, kappas=[0.1, 0.2], max_cycles=4)
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(",")[0] for line in lines] == ["kappa path: kappa 0.1", "kappa path: kappa 0.2"]
    assert capfd.readouterr() == ("", "")
    assert all(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("bcd_implicit").handlers[:1])


@pytest.mark.parametrize("spelt", [1, np.True_, np.int64(2)])
def test_numbers_count_as_verbose_does(spelt, capfd):
    with show_progress(spelt, "work") as tell:
        tell(1.0, "done")
    assert capfd.readouterr().err == "work: 100 %, done\n"
    with show_progress(0, "work") as tell:
        tell(1.0, "done")
    assert capfd.readouterr().err == ""
    with pytest.raises(bi.InvalidInputError, match="verbose: is not an argument of solve. Perhaps progress was meant"):
        bi.solve(random_problem((2, 3, 1, 30)), verbose=1)


def test_parts_make_a_whole():
    told = []
    for low, high in ((0.0, 0.5), (0.5, 1.0)):
        tell = between(lambda share, text: told.append((share, text)), low, high, "fold")
        tell(0.5, "1 of 2")
        tell(1.0, "2 of 2")
    assert told == [(0.25, "fold 1 of 2"), (0.5, "fold 2 of 2"), (0.75, "fold 1 of 2"), (1.0, "fold 2 of 2")]


def test_a_log_gets_a_line_for_every_tenth(path, capfd):
    everything(path, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[0].startswith("training: 20 %, cycle 1, objective ")
    for title in ("training", "kappa path", "select", "subsamples"):
        tenths = [int(re.match(r".*: (\d+)0 %, ", line)[1]) for line in lines if line.startswith(title + ": ")]
        assert tenths == sorted(set(tenths))
        assert tenths[-1] == 10
    assert "\x1b" not in err


@pytest.mark.parametrize("wrong", ["yes", 1.5, None])
def test_what_is_neither_a_bool_nor_a_function_is_refused(path, wrong):
    message = f"progress: got {wrong!r}. Give True, False, or a function of (share, text)."
    for call in (lambda **o: bi.solve(path.problem, **o), lambda **o: bi.kappa_path(path.problem, **o), path.select):
        with pytest.raises(bi.InvalidInputError) as error:
            call(progress=wrong)
        assert str(error.value) == message


# In a terminal ----------------------------------------------------------------------------------------------------


class Terminal:
    """A pseudo-terminal in the place of standard error; ``written`` is what went there."""

    def __init__(self, monkeypatch):
        self.master, slave = os.openpty()
        self.parts = []
        self.reader = threading.Thread(target=self._read)
        self.stream = os.fdopen(slave, "w", encoding="utf-8")
        self.reader.start()
        for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", "120")
        monkeypatch.setattr(sys, "stderr", self.stream)

    def _read(self):
        while True:
            try:
                part = os.read(self.master, 4096)
            except OSError:  # the other end is closed
                return
            if not part:
                return
            self.parts.append(part)

    def written(self):
        self.stream.close()
        self.reader.join(timeout=10)
        return b"".join(self.parts).decode()


def screen(written):
    """What stands on the screen after all that was written: the few controls that the bar uses."""
    rows, row = [""], 0
    for token in re.findall(r"\x1b\[[\d;?]*[a-zA-Z]|\r|\n|[^\x1b\r\n]+", written):
        if token == "\n":
            row += 1
            rows += [""] * (row == len(rows))
        elif token.endswith("A") and token.startswith("\x1b"):
            row -= int(token[2:-1])
        elif token == "\x1b[2K":
            rows[row] = ""
        elif not token.startswith("\x1b") and token != "\r":
            rows[row] += token
    return "\n".join(rows)


def test_the_small_screen_knows_the_controls():
    assert screen("one\r\ntwo\r\n\x1b[1A\x1b[2Kthree\x1b[1m!\x1b[0m") == "one\nthree!\n"


def test_a_terminal_gets_a_bar_that_goes_when_the_work_ends(monkeypatch):
    terminal = Terminal(monkeypatch)
    with show_progress(True, "data [1].csv") as tell:  # brackets are no markup
        tell(0.5, "cycle [b]3[/b]")
        threading.Event().wait(0.3)  # the bar is drawn ten times a second
    print("afterwards", file=sys.stderr)
    written = terminal.written()
    assert "data [1].csv" in written
    assert "cycle [b]3[/b]" in written
    assert "50%" in written
    assert "━" in written
    assert screen(written).strip() == "afterwards"
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h") == 1  # the cursor is back


@pytest.mark.slow
@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_error_or_an_interrupt_leaves_no_bar(path, monkeypatch, error):
    terminal = Terminal(monkeypatch)

    def breaks(cycle, objective, iterate):
        threading.Event().wait(0.3)
        if cycle == 2:
            raise error

    with pytest.raises(error):
        bi.solve(path.problem, progress=True, callback=breaks)
    written = terminal.written()
    assert "cycle 1, objective" in written
    assert screen(written).strip() == ""
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h") == 1


def test_a_dumb_terminal_gets_lines(monkeypatch):
    terminal = Terminal(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")
    with show_progress(True, "work") as tell:
        tell(0.25, "a quarter")
    assert terminal.written() == "work: 20 %, a quarter\r\n"


# In a notebook ----------------------------------------------------------------------------------------------------


START = """
import sys, warnings
import numpy as np
import bcd_implicit as bi
warnings.simplefilter("error")
warnings.simplefilter("ignore", bi.ConvergenceWarning)
sys.modules["ipywidgets"] = None  # the bar needs none
rng = np.random.default_rng(0)
problem = bi.TrainingProblem(rng.standard_normal((30, 3)), rng.standard_normal(30), 2)
"""


@pytest.fixture(scope="module")
def notebook():
    """A notebook whose cells end well, by an error, by an interrupt; and one without a bar."""
    import nbformat  # here: only slow tests need these two, and loading them takes a while
    from nbclient import NotebookClient

    class Watched(NotebookClient):
        """Keeps every message of the kernel."""

        def __init__(self, *cells):
            notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
            super().__init__(notebook, timeout=120, kernel_name="python3", allow_errors=True)
            self.seen = []

        def process_message(self, message, cell, cell_index):
            self.seen.append((cell_index, message["msg_type"], message["content"]))
            return super().process_message(message, cell, cell_index)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the client's own
        client = Watched(
            START,
            "result = bi.solve(problem, progress=True, max_cycles=4, tol=0.0)",
            "bi.solve(problem, progress=True, callback=lambda *_: 1 / 0)",
            "def stop(*_):\n    raise KeyboardInterrupt\nbi.solve(problem, progress=True, callback=stop)",
            "path = bi.kappa_path(problem, 3, progress=True)\nchosen = path.select(n_folds=2, progress=True)",
            "from bcd_implicit.support.progress import show_progress\n"
            "with show_progress(True, '<b>') as tell:\n    tell(0.25, 'a < b & c')",
            "result = bi.solve(problem, max_cycles=4)",
        )
        client.execute()
    return client


def shown(client, cell):
    kinds = ("display_data", "update_display_data")
    return [content["data"] for i, kind, content in client.seen if i == cell and kind in kinds]


@pytest.mark.slow
def test_a_notebook_gets_a_bar_of_html(notebook):
    first, *moves, last = shown(notebook, 1)
    assert '<progress max="1" value="0.000"></progress>' in first["text/html"]
    assert any(re.search(r"25% cycle 1, objective [\d.]+</div>", move["text/html"]) for move in moves)
    assert last == {"text/plain": "", "text/html": ""}
    assert notebook.nb.cells[1].outputs[0]["data"] == {"text/plain": "", "text/html": ""}
    assert len(notebook.nb.cells[1].outputs) == 1  # no warning, nothing on standard error


@pytest.mark.slow
def test_texts_are_escaped_in_a_notebook(notebook):
    move = shown(notebook, 5)[1]
    assert move["text/html"].startswith("<div>&lt;b&gt; <progress")
    assert move["text/html"].endswith("25% a &lt; b &amp; c</div>")
    assert move["text/plain"] == "<b> 25% a < b & c"


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "name"), [(2, "ZeroDivisionError"), (3, "KeyboardInterrupt")])
def test_an_error_leaves_no_bar_in_a_notebook(notebook, cell, name):
    bar, error = notebook.nb.cells[cell].outputs
    assert len(shown(notebook, cell)) >= 3
    assert bar["data"]["text/html"] == ""
    assert error["ename"] == name


@pytest.mark.slow
def test_path_and_choice_have_a_bar_each(notebook):
    outputs = notebook.nb.cells[4].outputs
    assert [output["data"]["text/html"] for output in outputs] == ["", ""]
    titles = {re.match(r"<div>([a-z ]+) <", data["text/html"])[1] for data in shown(notebook, 4) if data["text/html"]}
    assert titles == {"kappa path", "select"}


@pytest.mark.slow
def test_a_notebook_is_silent_by_default(notebook):
    assert notebook.nb.cells[6].outputs == []


def test_a_share_below_one_told_before_is_told_as_that_one():
    from bcd_implicit.support.progress import never_back

    told = []
    tell = never_back(lambda share, text: told.append((share, text)))
    for share in (0.2, 0.6, 0.5, 0.7):
        tell(share, f"{share}")
    assert told == [(0.2, "0.2"), (0.6, "0.6"), (0.6, "0.5"), (0.7, "0.7")]
