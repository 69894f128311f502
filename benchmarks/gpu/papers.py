"""Papers of given lengths. Their content does not affect the engine's speed."""

from __future__ import annotations

import random
from itertools import accumulate
from typing import Any

from app.engine.base import Message, Tokenizer
from app.paper.text import paper_from_text
from app.review.packing import pack
from app.review.templates import published
from benchmarks.gpu.shape import Shape
from tests.papers import typeset

Body = dict[str, Any]

_WORDS = """
model method result paper token layer graph learning policy loss state reward bound proof sample
noise prior agent network training gradient search language image feature vector matrix kernel
sparse dense deep wide small large fast slow linear convex random greedy we show that this the a
of in with for over under from which each most both never often
"""
_HEADINGS = ("Introduction", "Related Work", "Method", "Experiments", "Discussion", "Conclusion")
_ABSTRACT = "We measure how long a review takes, and what it is made of."


class Papers:
    """The same bodies in each phase, with different titles, so none is in the prefix cache."""

    def __init__(self, shape: Shape, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        generator = random.Random(0)  # noqa: S311
        fixed = self._tokens(self._request("warm-up", 0, ""))
        steps = max(shape.papers - 1, 1)
        between = shape.longest - shape.shortest
        lengths = [shape.shortest + between * at // steps for at in range(shape.papers)]
        generator.shuffle(lengths)
        self._bodies = [self._body(length - fixed, generator) for length in lengths]

    def requests(self, phase: str, count: int) -> list[Body]:
        """As ``POST /v1/reviews`` takes them."""
        return [
            self._request(phase, at, self._bodies[at % len(self._bodies)]) for at in range(count)
        ]

    def messages(self, request: Body) -> tuple[Message, ...]:
        """The chat that the service makes of it; every paper fits whole."""
        paper = paper_from_text(request["title"], request["abstract"], request["body"])
        return pack(paper, self._tokenizer, 10**6, published()).messages

    def prompt(self, request: Body) -> list[int]:
        """The same as token ids."""
        return self._tokenizer.encode(self._tokenizer.render(self.messages(request)))

    def _tokens(self, request: Body) -> int:
        return len(self.prompt({**request, "body": request["body"] or "Nothing."}))

    def _request(self, phase: str, at: int, body: str) -> Body:
        title = f"Paper {at:03d} of the Phase {phase}"
        return {"title": title, "abstract": _ABSTRACT, "body": body, "reuse": False}

    def _body(self, tokens: int, generator: random.Random) -> str:
        """Sections of about so many tokens together: to less than one sentence."""
        words = _WORDS.split()
        parts: list[str] = []
        for heading in _HEADINGS:
            left = tokens // len(_HEADINGS)
            # A sentence has more tokens than words.
            drawn = (" ".join(generator.choices(words, k=16)) for _ in range(left // 16 + 1))
            sentences = [f"# {heading}\n\n", *(f"{of.capitalize()}. " for of in drawn)]
            counts = accumulate(self._tokenizer.count_each(sentences))
            kept = [part for part, sum_ in zip(sentences, counts, strict=True) if sum_ <= left]
            parts.append("".join(kept).strip())
        return "\n\n".join(parts)


def as_pdf(request: Body) -> bytes:
    """The same paper typeset, in the calling process: about a second."""
    parts = [f"<h1>{request['title']}</h1><h2>Abstract</h2><p>{request['abstract']}</p>"]
    for part in request["body"].split("# ")[1:]:
        heading, _, text = part.partition("\n")
        parts.append(f"<h2>{heading}</h2><p>{text}</p>")
    return typeset("".join(parts))
