"""The HTML that notebooks show: well formed, escaped, without colours or scripts, and with the objects' own numbers."""

from html.parser import HTMLParser

import numpy as np
import pytest

import bcd_implicit as bi
from bcd_implicit.support.display import MOST_NAMES, facts_table, names_of

pytestmark = pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
NASTY = ["<script>alert(1)</script>", 'a & "b"', "c > d"]


class Tables(HTMLParser):
    """Checks that tags close in order, and keeps the text of all cells, row by row."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.rows, self.caption = [], set(), [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "caption" in self.open:
            self.caption += data
        elif self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data
        elif self.open == ["div"]:  # the formula of a problem
            self.formula = data
        else:
            assert not data.strip(), f"text outside of a cell: {data!r}"

    @property
    def facts(self):
        return {row[0]: row[1] for row in self.rows if len(row) == 2}


@pytest.fixture(scope="module")
def result():
    rng = np.random.default_rng(0)
    U = rng.standard_normal((60, 3))
    Y = np.maximum(U[:, :1], 0) @ np.ones((1, 2)) + 0.01 * rng.standard_normal((60, 2))
    problem = bi.TrainingProblem(
        U, Y, 2, kappa=0.1, norm_bound=0.4, pass_through=False, input_names=NASTY, output_names=["<i>", "y"]
    )
    return bi.solve(problem)


@pytest.fixture(scope="module")
def path(result):
    return bi.kappa_path(result.problem, kappas=[0.01, 0.1, 0.3])


@pytest.fixture(scope="module")
def shown(result, path):
    """Everything that a notebook shows as a table."""
    chosen = path.select(n_folds=2, grow_hidden=False, ridges=[1e-4])
    things = [result, result.problem, result.model, path, chosen, *result.certificates.values()]
    return {type(thing).__name__: (thing, thing._repr_html_()) for thing in things}


@pytest.mark.parametrize(
    "name", ["BcdResult", "TrainingProblem", "ImplicitModel", "PathResult", "Selection", "Certificate"]
)
def test_the_html_is_well_formed_and_takes_the_notebooks_colours(shown, name):
    html = shown[name][1]
    tables = Tables(html)
    assert tables.caption == name
    assert tables.tags <= {"div", "table", "caption", "b", "thead", "tbody", "tr", "th", "td"}  # no script or name
    assert "color" not in html
    assert all(cell.strip() for row in tables.rows for cell in row)


def test_a_result_shows_its_status_with_the_advice_and_its_numbers(shown):
    result, html = shown["BcdResult"]
    facts = Tables(html).facts
    assert facts["status"] == result.status.value
    assert facts["method"] == "prox-linear, solver auto"
    assert facts["cycles"].startswith(f"{len(result.history)}, ")
    assert float(facts["objective (T)"]) == pytest.approx(result.history["objective"].iloc[-1], rel=1e-4)
    norm, bound = facts["||A||_inf"].split(", at most ")
    assert float(norm) == pytest.approx(np.abs(result.iterate.A).sum(axis=1).max(), rel=1e-3)
    assert float(bound) == 0.4
    assert facts["inputs used"] == f"1 of 3: {NASTY[0]}"
    for block in ("output", "prox-linear"):
        certificate = result.certificates[block]
        numbers = [part.rsplit(" ", 1) for part in facts[f"{block} block"].split(", ")]
        assert [name for name, _ in numbers] == ["relative gap", "KKT residual", "violation"]
        expected = [certificate.gap / certificate.scale, certificate.kkt_residual, certificate.violation]
        np.testing.assert_allclose([float(number) for _, number in numbers], expected, rtol=1e-2)


def test_inputs_that_pass_through_D_are_used_though_the_lasso_did_not_select_them(result):
    through = bi.solve(result.problem.replace(pass_through=True))
    facts = Tables(through._repr_html_()).facts
    assert facts["inputs used"].startswith("3 of 3: ")
    n_selected = int(through.problem.selected(through.iterate).sum())
    assert n_selected < 3
    assert facts["inputs selected"].startswith(f"{n_selected} of 3")


def test_a_run_that_stops_short_says_what_to_do(result):
    stopped = bi.solve(result.problem, max_cycles=1, tol=0.0)
    assert "raise max_cycles or tol" in Tables(stopped._repr_html_()).facts["status"]


def test_a_problem_shows_shapes_and_settings(shown):
    problem, html = shown["TrainingProblem"]
    facts = Tables(html).facts
    assert facts["samples"] == "60"
    assert facts["inputs"] == "3: " + ", ".join(NASTY)
    assert facts["outputs"] == "2: <i>, y"
    assert facts["hidden features"] == "2, relu"
    assert facts["||A||_inf"] == "at most 0.4"
    assert facts["group lasso"] == "kappa = 0.1, a weight; each input by itself"
    assert facts["ridge"] == "0.01 on C and D, 0.0001 on A and B"
    assert facts["intercepts b and d"] == "free"
    assert facts["pass-through D"] == "fixed at 0"
    assert facts["your own constraints"] == "none"
    other = problem.replace(
        group_form="constraint", groups=["a", "a", "b"], fit_intercept=False, constraints=[lambda v: v["A"] >= 0]
    )
    facts = Tables(other._repr_html_()).facts
    assert facts["group lasso"] == "kappa = 0.1, a bound; groups=2, group_norm=2, group_over='B'"
    assert facts["intercepts b and d"] == "fixed at 0"
    assert facts["your own constraints"] == "1: constraints[0]"


@pytest.mark.parametrize(
    ("A", "words"),
    [
        ([[0.0, -0.5], [0.25, 0.0]], "well-posed: L ||A||_inf is 0.5, below 1, on its states"),
        ([[0.0, 2.0], [0.125, 0.0]], "well-posed: the spectral radius of L |A| is 0.5, below 1, on its states"),
        (
            [[0.0, 2.0], [2.0, 0.0]],
            "not known to be well-posed: the spectral radius of L |A| is 2, not below 1, on its states",
        ),
        ([[0.0, 2.0], [0.0, 0.0]], "well-posed: no state depends on itself, whatever the activation functions"),
    ],
)
def test_a_model_shows_its_norm_against_the_bound(A, words):
    B = [[0.0, 1.0, 0.0], [0.0, 2.0, -1.0]]
    model = bi.ImplicitModel(A, B, None, [[1.0, 0.0]], input_names=NASTY)
    facts = Tables(model._repr_html_()).facts
    assert facts["||A||_inf"] == f"{np.abs(A).sum(axis=1).max():.4g}"
    assert facts["verdict"] == words
    assert facts["inputs in B"] == f"2 of 3: {NASTY[1]}, {NASTY[2]}"
    assert facts["inputs in D"] == "0 of 3"
    assert facts["outputs"] == "1: y0"


def test_a_path_shows_its_table(shown):
    path, html = shown["PathResult"]
    assert "cut short" not in html
    tables = Tables(html)
    header, *rows = tables.rows[-len(path.results) - 1 :]
    assert header == list(path.table.columns)
    for row, expected in zip(rows, path.table.itertuples(index=False), strict=True):
        assert int(row[1]) == expected.n_selected
        np.testing.assert_allclose([float(row[0]), float(row[2])], [expected.kappa, expected.objective], rtol=1e-3)
        assert row[-1] == expected.status
    assert tables.facts["samples, inputs, outputs"] == "60, 3, 2"


def test_a_choice_shows_its_inputs(shown):
    chosen, html = shown["Selection"]
    assert "cut short" not in html
    facts = Tables(html).facts
    assert facts["inputs selected"] == f"1 of 3: {NASTY[0]}"
    assert facts["rule"] == "min"
    assert float(facts["kappa"]) == pytest.approx(chosen.kappa, rel=1e-3)
    assert facts["its status"] == chosen.result.status.value
    assert float(facts["its objective"]) == pytest.approx(chosen.result.objective, rel=1e-5)


def test_a_certificate_says_what_it_does_not_know():
    facts = Tables(bi.Certificate(np.inf, 2.0, np.inf, 1e-9)._repr_html_()).facts
    assert facts == {
        "relative gap": "unknown", "KKT residual": "unknown", "violation": "1.00e-09", "gap": "unknown",
        "scale": "2.00e+00",
    }  # fmt: skip


def test_many_names_are_cut():
    names = [f"u{j}" for j in range(50)]
    assert names_of(names) == "50: " + ", ".join(names[:MOST_NAMES]) + " and 30 more"
    assert names_of(names, np.arange(50) < 2) == "2 of 50: u0, u1"
    assert names_of(names[:MOST_NAMES]).endswith(f", u{MOST_NAMES - 1}")


def test_titles_and_facts_are_escaped():
    html = facts_table("<t>", {"<k>": "<v>"})
    assert "&lt;t&gt;" in html
    tables = Tables(html)
    assert (tables.caption, tables.facts) == ("<t>", {"<k>": "<v>"})


def test_the_text_reprs_stay(result):
    assert repr(result).startswith("BcdResult(method='prox-linear', status=CONVERGED, n_cycles=")
    assert repr(result.certificates["output"]).startswith("Certificate(relative_gap=")
