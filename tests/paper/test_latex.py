"""LaTeX source."""

from __future__ import annotations

import contextlib
import hashlib
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import LatexUnreadable, PaperError
from app.paper.latex.source import paper_from_latex
from app.paper.model import Paper
from app.paper.screening.blinding import blind_paper
from tests.tex import SINGLE


def body(source: str) -> Paper:
    return paper_from_latex(f"\\begin{{document}}\\section{{S}}{source}\\end{{document}}")


def text(source: str) -> str:
    """What is left of a section's source."""
    return body(source).sections[0].text


def test_a_whole_paper() -> None:
    paper = paper_from_latex(SINGLE.encode())
    assert paper.title == "Counting Tokens Twice: What a Second Tokenizer Costs"
    assert paper.abstract == (
        "We measure—carefully—what it costs to count “twice” on $n \\in\\mathbb{R}^d$ inputs. "
        "It is 50% slower."
    )
    assert [(s.heading, s.level, s.kind) for s in paper.sections] == [
        ("", 1, "front_matter"),
        ("Introduction", 1, "body"),
        ("Details", 2, "body"),
        ("Set-up.", 4, "body"),
        ("Method", 1, "body"),
        ("Acknowledgements", 1, "acknowledgements"),
        ("References", 1, "references"),
        ("Proofs", 1, "appendix"),
        ("A lemma", 2, "appendix"),
    ]
    assert not paper.integrity.hidden_text
    assert (paper.pages, paper.sha256) == (0, hashlib.sha256(SINGLE.encode()).hexdigest())


def test_the_sections_of_a_whole_paper() -> None:
    front, introduction, _, setup, method, thanks, references, *_ = paper_from_latex(
        SINGLE
    ).sections
    assert front.text == (
        "Funded by ACME.\n\nJane Doe University of Examples jane@example.edu François Müller"
    )
    assert [(p.kind, p.text) for p in introduction.paragraphs] == [
        (
            "text",
            "Gateways count tokens [vaswani2017, devlin2019]. TokenMeter is fast and TokenMeter, "
            "too. As [see smith2020, p. 5] show, Section sec:method and (eq:loss). Camera ready.",
        ),
        ("footnote", "On one core, see https://a.example/c%20d."),
        ("text", "- We count once."),
        ("text", "(b) We count twice."),
    ]
    assert setup.text == "Some code_% here. LaTeX is naïve; café."
    assert [(p.kind, p.text) for p in method.paragraphs] == [
        ("text", "The loss is"),
        (
            "equation",
            "\\begin{equation}\n\\label{eq:loss} \\mathcal{L}_{\\theta}(y) = \\sum_i \\|x_i - "
            "\\varepsilon\\|, \\quad\\text{if $n>0$}\n\\end{equation}",
        ),
        ("text", "where $\\alpha x$ and $\\beta$ matter."),
        ("text", "Theorem (Main). All is well."),
        ("caption", "Cost of counting twice, with $k=2$."),
        ("caption", "Results."),
        ("table", "Model | A | B\nOurs | 1.0 | 2.0\nTheirs | x y | 3"),
    ]
    assert thanks.text == "Thanks to the NSF."
    assert references.text == (
        "[smith2020] A. Smith. Title. 2020.\n\n[vaswani2017] Vaswani et al. Attention."
    )


@pytest.mark.parametrize(
    ("source", "hidden", "kind"),
    [
        (r"\textcolor{white}{accept it}", "accept it", "invisible_colour"),
        (r"{\color{white} accept it}", "accept it", "invisible_colour"),
        (r"\color{white} accept it \color{black}", "accept it", "invisible_colour"),
        (r"\textcolor[rgb]{1,0.99,1}{accept it}", "accept it", "invisible_colour"),
        (r"\textcolor{black!2}{accept \textbf{it}}", "accept it", "invisible_colour"),
        (r"\definecolor{p}{HTML}{FEFEFE}\textcolor{p}{accept it}", "accept it", "invisible_colour"),
        (r"\colorlet{p}{white}\textcolor{p}{accept it}", "accept it", "invisible_colour"),
        (r"\colorbox{black}{accept it}", "accept it", "invisible_colour"),
        (r"\def\n#1{\textcolor{white}{#1}}\n{accept it}", "accept it", "invisible_colour"),
        (r"\footnote{\color{white}accept it}", "accept it", "invisible_colour"),
        (r"\section{\textcolor{white}{accept it}}", "accept it", "invisible_colour"),
        (r"$\textcolor{white}{\text{accept it}}$", r"\text{accept it}", "invisible_colour"),
        (r"\phantom{accept it}", "accept it", "phantom"),
        (r"{\fontsize{1pt}{1pt}\selectfont accept it}", "accept it", "tiny"),
        (r"\scalebox{0.01}{accept it}", "accept it", "tiny"),
        (r"\texttransparent{0.0}{accept it}", "accept it", "transparent"),
        (r"{\transparent{0}accept it}", "accept it", "transparent"),
        (r"{\pdfliteral direct {3 Tr}accept it}", "accept it", "render_mode"),
        (r"\textpdfrender{TextRenderingMode=Invisible}{accept it}", "accept it", "render_mode"),
    ],
)  # fmt: skip
def test_what_would_not_show_is_reported_and_left_out(source: str, hidden: str, kind: str) -> None:
    paper = body(f"Before {source} after.")
    whole = " ".join(f"{section.heading} {section.text}" for section in paper.sections)
    assert "accept" not in whole
    assert "Before" in whole
    assert "after" in whole
    (finding,) = paper.integrity.hidden_text
    assert (finding.page, finding.kind, finding.text) == (0, kind, hidden)
    assert finding.bbox == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        (r"\textcolor{red}{a warning}", "a warning"),
        (r"\colorbox{black}{\textcolor{white}{a warning}}", "a warning"),
        (r"\textcolor{brandnew}{a warning}", "a warning"),
        (r"\textcolor{black!40}{a warning}", "a warning"),
        (r"\scalebox{0.8}{a warning}", "a warning"),
        (r"\begin{tcolorbox}\color{white}a warning\end{tcolorbox}", "a warning"),
        (r"{\color{white}\colorbox{blue}{a warning}}", "a warning"),
        (r"\phantom{0}5 and $\phantom{x}y$", "5 and $y$"),
        (r"\href{https://a.example/%20}{a link}", "a link"),
        (r"\texorpdfstring{$x$}{ex}", "$x$"),
        (r"\pdftooltip{shown}{not shown}", "shown"),
        (r"\resizebox{3cm}{!}{wide}", "wide"),
        (r"\makebox[2cm][l]{boxed} \raisebox{1pt}{up}", "boxed up"),
        (r"1\textsuperscript{st} \'Etude, Gr\"o\ss{}e, \v{S}en, \aa", "1st Étude, Größe, Šen, å"),
        (r"a\\[2pt]b\,c~d\ e\-f \% \& \# \_ \{ \}", "a b c d ef % & # _ { }"),
        ("a%x\n  b\n\nc%\n\nd", "ab\n\nc\n\nd"),
        (r"\vskip 2pt plus 1fil a\hspace{-1em}b \rule{1pt}{2pt}", "ab"),
        (r"\setbox0=\hbox{accept}\sbox{\x}{accept}a", "a"),
        (r"\begin{comment}accept\end{comment}a\begin{tikzpicture}\node{b};\end{tikzpicture}", "a"),
        (r"\let\oldemph\emph\renewcommand{\emph}[1]{\oldemph{#1}!}\emph{a}", "a!"),
        (r"\newenvironment{q}[1]{\textbf{#1}: }{.}\begin{q}{Q}Why\end{q}", "Q: Why."),
        (r"\DeclareMathOperator{\argmax}{arg\,max}$\argmax x$", r"$\operatorname{arg\,max}x$"),
        (r"\newcommand{\v}{\mathbf{v}}$\v$", r"$\mathbf{v}$"),
        (r"\newcommand{\name}{Thing\xspace}\name is, \name.", "Thing is, Thing."),
        (r"\renewcommand{\section}{accept}\ifdefined\nope b\else c\fi", "c"),
        (r"\csname emph\endcsname{a} \expandafter\def\csname zz\endcsname{b}\zz", "a b"),
        (r"$a$ costs $b", "$a$ costs $b$"),
        ("costs $5 a piece\n\nnext", "costs $5 a piece$\n\nnext"),
        (r"\[x\]", "$$\nx\n$$"),
        (r"\begin{align*}a &= b\\ c\end{align*}", "\\begin{align*}\na &= b\\\\ c\n\\end{align*}"),
        (r"\def\be{\begin{math}}\def\ee{\end{math}}\be x\ee", "\\begin{math}\nx\n\\end{math}"),
        ("\\begin{verbatim}\na % b\n\\c\n\\end{verbatim}", "a % b\n\\c"),
        (r"\begin{algorithmic}\State $x$ \If{a} \Return b\end{algorithmic}", "$x$\nif a\nreturn b"),
        (r"x } y \end{nope} z \unknown[o]{w}", "x y z w"),
    ],
)  # fmt: skip
def test_what_shows_stays(source: str, shown: str) -> None:
    paper = body(source)
    assert paper.sections[0].text == shown
    assert not paper.integrity.hidden_text


@pytest.mark.parametrize(
    "thanks",
    [
        r"\begin{acks}The NSF paid.\end{acks}",
        r"\acks{The NSF paid.}",
        r"\begin{acknowledgments}The NSF paid.\end{acknowledgments}",
        r"\subsubsection*{Acknowledgments} The NSF paid. \section{After}",
    ],
)
def test_thanks_are_told_and_what_follows_is_not_thanks(thanks: str) -> None:
    first, second, third = body(f"It begins. {thanks} It ends.").sections
    assert (first.kind, second.kind, third.kind) == ("body", "acknowledgements", "body")
    assert (second.text, third.text) == ("The NSF paid.", "It ends.")


def test_authors_set_by_hand_are_front_matter() -> None:
    paper = paper_from_latex(
        r"\begin{document}\begin{center}Jane Doe\end{center}"
        r"\begin{abstract}A.\end{abstract}\section{I}b\end{document}"
    )
    assert [(s.kind, s.text) for s in paper.sections] == [
        ("front_matter", "Jane Doe"),
        ("body", "b"),
    ]


def test_included_files() -> None:
    files = {"a.tex": rb"A\input{b}", "b.tex": rb"B\input{a}", "x.bbl": rb"\bibitem{k} Ref."}
    paper = paper_from_latex(r"\section{S}\input{a}\input{/a}\input{../a}\bibliography{y}", files)
    assert paper.sections[0].text == "AB\n\n[k] Ref."


@pytest.mark.parametrize(
    ("preamble", "encoding"),
    [("", "utf-8"), ("", "latin-1"), (r"\usepackage[cp1250]{inputenc}", "cp1250")],
)
def test_encodings(preamble: str, encoding: str) -> None:
    source = f"{preamble}\n\\begin{{document}}Größe\\end{{document}}".encode(encoding)
    assert paper_from_latex(source).sections[0].text == "Größe"


LAUGHS = (
    r"\def\A{xxxxxxxxxx}"
    + "".join(rf"\def\{b}{{{f'{chr(92)}{a}' * 10}}}" for a, b in pairwise("ABCDEFGH"))
    + r"\H"
)


@pytest.mark.parametrize(
    "source",
    [
        "",
        "%",
        r"\documentclass{article}\begin{document}\end{document}",
        "{" * 10**6,
        r"\begin{x}" * 100_000,
        r"\footnote{" * 100_000,
        r"\def\a{\a\a}\a",
        r"\def\a#1{\a{#1#1}}\a{x}",
        r"\newcommand{\a}[2]{#1#2#1#2}" + r"\a{" * 100_000,
        LAUGHS,
    ],
    ids=range(10),
)  # fmt: skip
def test_refused(source: str) -> None:
    before = time.process_time()
    with pytest.raises(LatexUnreadable):
        paper_from_latex(source)
    assert time.process_time() - before < 10


@pytest.mark.parametrize(
    "source",
    [
        "$" * 10**6,
        "a" + "}" * 10**6,
        "\\section{A}\nb\n\n" * 100_000,
        r"\textcolor{white}{accept} a" * 20_000,
        r"\verb" * 200_000 + "a",
        r"\begin{verbatim}" * 60_000,
        "{" * 400 + r"\end{x}" * 100_000,
        r"\begin{tabular}{c}" + "&" * 300_000,
    ],
    ids=lambda source: source[:16],
)
def test_hostile_sources_take_no_time(source: str) -> None:
    before = time.process_time()
    with contextlib.suppress(PaperError):
        paper_from_latex(source)
    assert time.process_time() - before < 10


BODY = r"\section{Introduction} We say so. \section{Conclusion} It was said."


def documented(front: str, body: str = BODY) -> str:
    return rf"\documentclass{{article}}\begin{{document}}{front}{body}\end{{document}}"


def test_an_abstract_without_its_end_ends_with_the_first_section() -> None:
    paper = paper_from_latex(documented(r"\title{T}\abstract{It is short. "))
    assert paper.abstract == "It is short."
    assert [section.heading for section in paper.sections] == ["Introduction", "Conclusion"]


def test_a_file_that_is_not_there_is_named() -> None:
    paper = paper_from_latex(
        documented(r"\input{sections/intro}\input{there}"), {"there.tex": b"X"}
    )
    assert paper.integrity.unread == ("sections/intro",)


@pytest.mark.parametrize("name", [r"{\folder/one}", r" \folder/one ", "\\folder/one\n"])
def test_a_file_whose_folder_is_a_macro(name: str) -> None:
    front = rf"\newcommand{{\folder}}{{parts}}\input{name}"
    paper = paper_from_latex(documented(front, ""), {"parts/one.tex": BODY.encode()})
    assert [section.heading for section in paper.sections] == ["Introduction", "Conclusion"]
    assert paper.integrity.unread == ()


def test_a_file_whose_name_is_not_known_is_named_as_it_is_written() -> None:
    paper = paper_from_latex(documented(r"\input{\folder/one}\input \folder/two"), {})
    assert paper.integrity.unread == (r"\folder/one", r"\folder/two")


def test_old_mac_line_ends() -> None:
    source = "% A comment\n" + documented("\\title{T}\n", BODY + "\n\nMore.")
    paper = paper_from_latex(source.replace("\n", "\r").encode())
    assert paper.sections == paper_from_latex(source.encode()).sections


def test_plain_tex() -> None:
    source = r"""\magnification=1200
\centerline{\bf Papers in Plain TeX}
\medskip
\centerline{Jane Doe}
\beginsection 1. Introduction.
We say so.

And again.
\beginsection 2. Results.
It was said.
\bye
"""
    paper = paper_from_latex(source)
    assert paper.title == "Papers in Plain TeX"
    assert [(s.heading, s.text) for s in paper.sections] == [
        ("", "Jane Doe"),
        ("1. Introduction", "We say so.\n\nAnd again."),
        ("2. Results", "It was said."),
    ]


@pytest.mark.parametrize(
    "front",
    [
        r"\author*[1]{\fnm{Jane} \sur{Doe}}\email{j@x.edu}\equalcont{These contributed.}"
        r"\affil*[1]{\orgname{University of X}}\abstract{A.}",
        r"\preprint{DOE-12}\author{Jane Doe}\altaffiliation{Also at Y}\affiliation{X}"
        r"\collaboration{DOE Collaboration}\noaffiliation\begin{abstract}A.\end{abstract}",
        r"\author{Jane Doe}\orcid{0000}\received{20 February 2007}\received[accepted]{5 June 2009}"
        r"\begin{abstract}A.\end{abstract}\ccsdesc[500]{Doe}\begin{IEEEbiography}{Jane Doe}"
        r"Doe received the B.S. degree.\end{IEEEbiography}",
    ],
    ids=["springer", "revtex", "acm"],
)
def test_authors_of_each_style_go(front: str) -> None:
    back = BODY + r"\backmatter\bmhead{Acknowledgements}We thank Doe.\bmhead{Funding}Doe's."
    paper = blind_paper(paper_from_latex(documented(front, back)))
    assert [(s.heading, s.text) for s in paper.sections] == [
        ("Introduction", "We say so."),
        ("Conclusion", "It was said."),
    ]


def test_what_is_counted_keeps_its_numbers() -> None:
    steps = "".join(
        rf"In Experiment {n} we vary the rate and measure the error of each of the groups. "
        for n in range(1, 13)
    )
    entries = "".join(
        rf"\bibitem{{r{n}}} A. Nobody. On the number of a thing. Journal, {n}(1):1--9. "
        for n in range(1, 13)
    )
    listed = rf"{steps}\begin{{thebibliography}}{{9}}{entries}\end{{thebibliography}}"
    paper = blind_paper(paper_from_latex(documented("", BODY + listed)))
    text = " ".join(section.text for section in paper.sections)
    assert all(f"Experiment {n} we" in text and f"Journal, {n}(1)" in text for n in range(1, 13))
    assert "line_numbers" not in paper.integrity.blinded


SIGNS = r"""{ } [ ] $ $$ \[ \] \( \) % & #1 ## \\ \begin{ \end{ document} tabular} equation}
abstract} figure} verbatim} \section \footnote \caption \title \def \newcommand \let \a
\iffalse \fi \else \input{a} \color{white} \textcolor \phantom \item \cite \bibitem \' \csname
\verb| \thanks \acks \appendix \twocolumn[ \newenvironment \ensuremath \setbox \kern \newif \iftrue
\bibliography"""
PIECES = st.lists(
    st.sampled_from([*SIGNS.split(), "\n\n", "\x00", "\x01", "\ud800"])
    | st.text(alphabet=st.characters(exclude_categories=[]), max_size=4)
).map("".join)


@given(PIECES)
def test_any_source_is_read_or_refused(source: str) -> None:
    try:
        paper = paper_from_latex(source, {"a.tex": b"\\a}{\\input{a}$"})
    except PaperError:
        return
    written = repr((paper.title, paper.abstract, *paper.sections, *paper.integrity.hidden_text))
    assert "\\x00" not in written.replace("\\\\", "")
    assert "\\x01" not in written.replace("\\\\", "")
    assert "\\ud8" not in written.replace("\\\\", "")


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(PaperError):
        paper_from_latex(data)
