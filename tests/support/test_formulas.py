"""Formulas in LaTeX and as text."""

import pytest

from bcd_implicit.support.formulas import number, plain, written


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"\frac{1}{120} \sum_{k=1}^{120} \ell(f_k, y_k)", "1/120 sum_{k=1}^120 l(f_k, y_k)"),
        (r"\tfrac{a + b}{2}\,x", "(a + b)/2 x"),
        (r"\|A\|_\infty = \max_i \sum_j |A_{ij}| \le 0.5", "||A||_inf = max_i sum_j |A_ij| <= 0.5"),
        (r"e_i^\top B \ne \bar{x}_k \text{ for every } i", "e_i' B != xbar_k for every i"),
        (r"\kappa_{A,ij} (g^{\star})'", "kappa_{A,ij} (g^*)'"),
        (r"(I - \Phi_k)^{-1}", "(I - Phi_k)^{-1}"),
    ],
)
def test_latex_as_text(latex, text):
    assert plain(latex) == text


@pytest.mark.parametrize("text", ["norm_bound", "5% & {x}_y $^~\\", "box(B).lower", "a b", "", "größer"])
def test_any_text_is_written_and_read_again(text):
    latex = written(text)
    assert plain(latex) == text
    # No special character by itself, in or out of \text.
    for special in "_%&$#":
        assert latex.count(special) == latex.count("\\" + special)


def test_numbers():
    assert [number(x) for x in (0.1, 1e-5, 2.5e-7, 123456.0, float("inf"), -3.0)] == [
        "0.1", "10^{-5}", r"2.5 \cdot 10^{-7}", r"1.235 \cdot 10^{5}", r"\infty", "-3",
    ]  # fmt: skip
