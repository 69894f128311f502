"""LaTeX papers for the tests: one in a single file, one in many."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping

SINGLE = r"""
\documentclass[conference]{article}
\usepackage[utf8]{inputenc}
\usepackage{amsmath,xcolor}
\newcommand{\method}{\textsc{TokenMeter}\xspace}
\newcommand{\R}{\mathbb{R}}
\newcommand{\loss}[2][x]{\mathcal{L}_{#1}(#2)}
\def\eps{\varepsilon}
\newtheorem{thm}{Theorem}
\newif\ifanon \anonfalse
\title{Counting Tokens Twice:\\ What a \emph{Second} Tokenizer Costs\thanks{Funded by ACME.}}
\author{Jane Doe \\ University of Examples \\ \texttt{jane@example.edu} \and Fran\c{c}ois M\"uller}
\date{May 2026}
\begin{document}
\maketitle
\begin{abstract}
We measure---carefully---what it costs % a secret comment
to count ``twice'' on $n \in \R^d$ inputs. It is 50\% slower.
\end{abstract}
\section{Introduction}\label{sec:intro}
Gateways count tokens~\cite{vaswani2017,devlin2019}. \method is
fast\footnote{On one core, see \url{https://a.example/c%20d}.} and \method, too.
As \citet[see][p.~5]{smith2020} show, Section~\ref{sec:method} and \eqref{eq:loss}.
\iffalse This never shows. \ifx\a\b neither \fi \fi
\ifanon Hidden authors. \else Camera ready. \fi

% A line that is all comment
\begin{itemize}
  \item We count once.
  \item[(b)] We count \textbf{twice}.
\end{itemize}
\subsection*{Details}
\paragraph{Set-up.} Some \verb|code_%| here. \LaTeX{} is na\"{\i}ve; caf\'e.
\section{Method}\label{sec:method}
The loss is
\begin{equation}\label{eq:loss}
  \loss[\theta]{y} = \sum_i \|x_i - \eps\|, \quad \text{if $n>0$}
\end{equation}
where $\alpha x$ and \(\beta\) matter.
\begin{thm}[Main] All is \emph{well}.\end{thm}
\begin{figure}[t]
  \centering\includegraphics[width=\linewidth]{fig.pdf}
  \caption[short]{Cost of counting {\bf twice}, with $k=2$.}\label{fig:a}
\end{figure}
\begin{table}
  \caption{Results.}
  \begin{tabular}{l|rr}
    \toprule
    Model & A & B \\ \midrule
    \rowcolor{black}\textcolor{white}{Ours} & 1.0 & \multicolumn{1}{c}{2.0} \\
    Theirs & \begin{tabular}{c}x\\y\end{tabular} & 3\\[2pt]
    \bottomrule
  \end{tabular}
\end{table}
\section*{Acknowledgements}
Thanks to the NSF.
\begin{thebibliography}{9}
\bibitem[Smith(2020)]{smith2020} A. Smith. \newblock Title. 2020.
\bibitem{vaswani2017} Vaswani et al. Attention.
\end{thebibliography}
\appendix
\section{Proofs}
See $x$.
\subsection{A lemma}
It holds.
\end{document}
Nothing after the end.
"""

FILES = {
    "paper/ms.tex": rb"""
\documentclass{icml}
\input{macros}
\begin{document}
\twocolumn[
\icmltitle{Many Files, One Paper}
\begin{icmlauthorlist}
\icmlauthor{Jane Doe}{uni}
\end{icmlauthorlist}
\icmlaffiliation{uni}{University of Examples, Town}
\icmlcorrespondingauthor{Jane Doe}{jane@example.edu}
]
\printAffiliationsAndNotice{\icmlEqualContribution}
\begin{abstract}
\name reads many files.
\end{abstract}
\include{sections/intro}
\input sections/method.tex
\begin{ack}
The NSF paid.
\end{ack}
\bibliography{refs}
\bibliographystyle{icml}
\newpage
\appendix
\subfile{sections/extra}
\end{document}
""",
    "paper/macros.tex": rb"\newcommand{\name}{FileReader\xspace}\newcommand{\bx}{\mathbf{x}}",
    "paper/sections/intro.tex": rb"""
\section{Introduction}
\name is here.\input{sections/intro}
""",
    "paper/sections/method.tex": "\\section{Méthode}\nWe take $\\bx$.\n\\input{../../etc/passwd}"
    "\\input{/etc/passwd}\n".encode(),
    "paper/sections/extra.tex": rb"""
\documentclass[../ms.tex]{subfiles}
\begin{document}
\section{Further Results}
More.
\end{document}
Nothing.
""",
    "paper/ms.bbl": rb"""
\begin{thebibliography}{1}
\providecommand{\natexlab}[1]{#1}
\bibitem[{Doe(2020{\natexlab{a}})}]{doe}
Doe, J.
\newblock A thing.
\end{thebibliography}
""",
    "paper/refs.bib": b"@article{doe, title={A thing}}",
    "paper/fig.pdf": b"%PDF-1.4 not read",
    "paper/icml.cls": rb"\documentclass \begin{document} not read",
    "paper/rebuttal.tex": rb"\documentclass{article}\begin{document}Dear reviewers\end{document}",
}


def tar(files: Mapping[str, bytes], kind: int = tarfile.PAX_FORMAT, packed: str = "gz") -> bytes:
    """A tar file, gzipped unless ``packed`` is empty."""
    buffer = io.BytesIO()
    headers = {"comment": "as git's"} if kind == tarfile.PAX_FORMAT else None
    with tarfile.open(
        fileobj=buffer, mode=f"w:{packed}", format=kind, pax_headers=headers
    ) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()
