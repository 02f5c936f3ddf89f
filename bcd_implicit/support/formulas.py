r"""Formulas that a person reads: written once, in LaTeX, and shown in a notebook as they are or in a terminal as text.

Only what MathJax and KaTeX both know is used. :func:`plain` understands the commands of ``WORDS``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

# A setting's name and its value: what stands for it in a formula.
Shown = Callable[[str, float], str]

# In place of LaTeX's commands.
WORDS = {
    **{"le": "<=", "ge": ">=", "ne": "!=", "cdot": "*", "infty": "inf", "top": "'", "dots": "...", "in": "in"},
    **{"|": "||", "{": "{", "}": "}", "_": "_", "&": "&", "#": "#", "%": "%", "$": "$", "sim": "~"},
    **{"backslash": "\\", "wedge": "^", "quad": " ", ",": " ", ";": " ", " ": " ", "ell": "l"},
    **{"left": "", "right": "", "big": "", "star": "*", "pm": "+-", "odot": "*", "succeq": ">=", "preceq": "<="},
}
# Characters with a meaning in LaTeX, as math mode writes them.
ESCAPED = {"\\": r"\backslash{}", "^": r"\wedge{}", "~": r"\sim{}"} | {c: "\\" + c for c in "_&#%${}"}
_TOKENS = re.compile(r"\\[A-Za-z]+\s*|\\.|[{}_^]|\s+|[^\\{}_^\s]", re.DOTALL)


@dataclass(frozen=True)
class Part:
    """A term of an objective, or a constraint.

    Attributes
    ----------
    name : str
        That of the setting or of the user's constraint.
    latex : str
    letters : frozenset of str
        The unknowns in it.
    words : str
        What it asks for, in words; empty where the formula says it all.
    """

    name: str
    latex: str
    letters: frozenset[str]
    words: str = ""

    @property
    def label(self) -> str:
        """The name, and the words if there are any."""
        return f"{self.name}: {self.words}" if self.words else self.name


@dataclass(frozen=True)
class Formula:
    """An optimisation problem to read.

    Attributes
    ----------
    variables : sequence of str
        Letters.
    terms, constraints : sequence of Part
    definitions : mapping
        From symbols in LaTeX to the equations that define them; those that are not needed are not shown.
    """

    variables: Sequence[str]
    terms: Sequence[Part]
    constraints: Sequence[Part]
    definitions: Mapping[str, str]

    def of(self, letters: Iterable[str]) -> Formula:
        """The problem in some of its variables, all others fixed: without the terms that are then constant."""
        kept = {*letters}
        return replace(
            self,
            variables=[letter for letter in self.variables if letter in kept],
            terms=[term for term in self.terms if term.letters & kept],
            constraints=[constraint for constraint in self.constraints if constraint.letters & kept],
        )

    @property
    def needed(self) -> list[str]:
        """The definitions of symbols that occur, each after what refers to it."""
        seen = " ".join(part.latex for part in (*self.terms, *self.constraints))
        found = []
        for symbol, equation in self.definitions.items():
            if symbol in seen:
                found.append(equation)
                seen += equation
        return found

    def latex(self, further: Mapping[str, Sequence[str]] | None = None) -> str:
        """The problem in LaTeX, one term or constraint a line, to be put between dollar signs.

        ``further`` lines come last, under their headings.
        """
        over = ", ".join(self.variables)
        lines = [rf"\underset{{{over}}}{{\text{{minimize}}}} \quad & {_labelled(self.terms[0])}"]
        lines += [rf"& {{}} + {_labelled(term)}" for term in self.terms[1:]]
        lines += _headed("subject to", [_labelled(constraint) for constraint in self.constraints])
        below: list[str] = []
        for heading, equations in {"where": self.needed, **(further or {})}.items():
            below += _headed(heading, equations)
        # Definitions by themselves: in the same columns a long one would move the names far to the right.
        return _environment("array", "{l}", [_environment("aligned", "", each) for each in (lines, below) if each])

    def text(self) -> str:
        """The problem as plain text."""
        lines = [f"minimize over {', '.join(self.variables)}"]
        lines += _columns([(f"{'+ ' if i else ''}{plain(term.latex)}", term) for i, term in enumerate(self.terms)])
        if self.constraints:
            lines += ["subject to", *_columns([(plain(c.latex), c) for c in self.constraints])]
        if self.needed:
            lines += ["where", *(f"    {plain(definition)}" for definition in self.needed)]
        return "\n".join(lines)


def _environment(name: str, columns: str, lines: Sequence[str]) -> str:
    body = " \\\\\n".join(lines)
    return f"\\begin{{{name}}}{columns}\n{body}\n\\end{{{name}}}"


def _labelled(part: Part) -> str:
    return rf"{part.latex} && {written(part.name)}"


def _headed(word: str, lines: Sequence[str]) -> list[str]:
    heads = [rf"\text{{{word}}} \quad & ", *["& "] * len(lines)]
    return [head + line for head, line in zip(heads, lines, strict=False)]


def _columns(rows: Sequence[tuple[str, Part]]) -> list[str]:
    """Formulas, and next to them their names and words."""
    # One formula that is much longer than the others moves none of their names.
    width = max((len(formula) for formula, _ in rows if len(formula) <= 60), default=0)
    return [f"    {formula:{width}}   [{part.label}]" for formula, part in rows]


def displayed(latex: str) -> str:
    """A formula on lines of its own, for a notebook."""
    return f"$$\n{latex}\n$$"


def number(value: float) -> str:
    """A number in LaTeX, of four digits."""
    digits, _, power = f"{value:.4g}".partition("e")
    if not power:
        return digits.replace("inf", r"\infty")
    ten = f"10^{{{int(power)}}}"
    return ten if digits == "1" else rf"{digits} \cdot {ten}"


def numbers(name: str, value: float) -> str:
    """A formula with the numbers in place of the settings' names."""
    return number(value)


def written(text: str) -> str:
    r"""Any text in LaTeX's math mode. (Inside ``\text`` MathJax and KaTeX disagree about escapes.)"""
    parts = re.split(r"([\\^~_&#%${}])", text)
    return "".join(ESCAPED.get(part, rf"\text{{{part}}}") for part in parts if part)


def plain(latex: str) -> str:
    """A formula as plain text, for a terminal."""
    tokens = _TOKENS.findall(latex)
    return re.sub(" +", " ", _sequence(tokens)).strip()


def _sequence(tokens: list[str]) -> str:
    """The tokens up to the end of a group, which are taken from the list."""
    text = ""
    while tokens:
        token = tokens.pop(0)
        if token == "}":
            break
        text += _said(token, tokens)
    return text


def _said(token: str, tokens: list[str]) -> str:
    if token == "{":
        return _sequence(tokens)
    if token in "_^":
        argument = _argument(tokens)
        inner, after = argument.strip(), " " if argument.endswith(" ") else ""
        return (
            inner if inner == "'" else token + (inner if re.fullmatch(r"\w+|\*", inner) else f"{{{inner}}}")
        ) + after
    if token[0] != "\\":
        return " " if token.isspace() else token
    command = token[1:].rstrip() or " "
    after = " " if token[-1].isspace() and command not in ("left", "right", "big", ",") and len(token) > 2 else ""
    if command in ("frac", "tfrac"):
        return f"{_divided(_argument(tokens))}/{_divided(_argument(tokens))}"
    if command in ("text", "mathrm"):
        return _raw(tokens)
    if command == "bar":
        return f"{_argument(tokens)}bar"
    return WORDS.get(command, command) + after


def _argument(tokens: list[str]) -> str:
    return _said(tokens.pop(0), tokens) if tokens else ""


def _raw(tokens: list[str]) -> str:
    """What stands in braces, as it is: inside there are no others."""
    end = tokens.index("}")
    inner, tokens[: end + 1] = "".join(tokens[1:end]), []
    return inner


def _divided(text: str) -> str:
    return f"({text})" if re.search(r"[ +-]", text) else text
