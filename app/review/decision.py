"""Finds the decision that a review's text states, and texts that refuse to review. Never guesses.

**The verdict line**, "I recommend this paper for ACCEPTANCE." (or REJECTION), counts anywhere in
the text, in any case, in bold or in quotes, with or without its full stop. It does not count if
its own clause negates or weakens it ("I cannot say that", "should", "whether"), if its sentence
sets a condition ("if the authors", "provided that"), if the other label follows ("ACCEPTANCE or
REJECTION"), if it is part of a question, or if the label is cut off ("for ACCEPT").

**Prose** counts only if no such line does, and only in the final recommendation's section and in
the text's last paragraph:

- a label: "Recommendation: Reject", "Decision: weak accept (6/10)"; in the section also "Reject"
  alone;
- the reviewer's own statement: "I lean towards acceptance", "I vote to reject", "Recommend
  rejection.", "my recommendation is to accept";
- "this paper should be accepted", "deserves to be rejected".

Only plain statements count: the words before it in its clause, and right after it, must be words
that are known not to change its meaning. "I would recommend acceptance" is a hypothesis and does
not count, and a negated decision is not read as the opposite one.

Several statements of one decision give that decision; statements of both are a contradiction.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from app.review.template import ACCEPTANCE, REJECTION, VERDICT_LEAD

Decision = Literal["accept", "reject"]

_CONTEXT = 500
"""Characters on each side of the line within which its sentence must begin and end."""
_LARGEST_PROSE = 20_000
"""Characters of prose that are searched for a decision, counted from the end."""

_LINE = re.compile(
    rf"[*_\"'“‘`>\[]{{0,4}}{VERDICT_LEAD}\s{{1,5}}[*_\"'“‘`\[]{{0,4}}"
    rf"(?P<label>{ACCEPTANCE}|{REJECTION})\b",
    re.IGNORECASE,
)
# A sentence ends before one that begins with a capital, at a blank line, at a heading, and at a
# line that ends with a punctuation mark. A line without such a mark may continue in the next line.
_BORDER = re.compile(
    r"(?<!\bal\.)(?<!\bFig\.)(?<!\bSec\.)(?<!\bEq\.)(?<!\bvs\.)(?<!e\.g\.)(?<!i\.e\.)"
    r"(?<=[.!?])[\"'”’)*_`]{0,4}\s+(?=[\"'“‘(*_`>#-]{0,4}[A-Z])"
    r"|\n\s*\n|(?<=[.!?:*_\"”)`>])\s*\n|(?:\A|\n)[ \t]*#[^\n]*\n"
)
_CLAUSE = re.compile(
    r"[,;—–]|\b(?:but|yet|so|and|therefore|thus|hence|however|still|nevertheless|nonetheless)\b",
    re.IGNORECASE,
)
_DENIAL = re.compile(
    r"n['’]t\b|\b(?:not|never|cannot|no|nor|neither|without|would|could|might|may|should|must|if|"
    r"unless|whether|either|until|instead|rather|were|had|hardly|unable|example|e\.g|such|say|"
    r"says|said|saying|write|writing|end|ends|line|because)\b",
    re.IGNORECASE,
)
_CONDITION = (
    r"(?:if|unless|provided|providing|assuming|once|until|were|had|should|when|suppose|supposing|"
    r"in case|contingent|subject to|conditional|conditioned|pending|as long as|so long as)\b"
)
_CONDITION_BEFORE = re.compile(
    rf"(?:^[\W_]*|[,;:—–(]\s*|\b(?:and|but|or|so|then|only|that)\s+){_CONDITION}", re.IGNORECASE
)
_CONDITION_AFTER = re.compile(rf"(?<!even )\b(?:only\b|{_CONDITION})", re.IGNORECASE)
_OTHER_LABEL = re.compile(
    r"(?:/|\b(?:or|and|vs|versus|nor)\b)\W{0,5}(?:\w+\W{1,3}){0,3}(?:accept|reject)", re.IGNORECASE
)
_GOES_ON = re.compile(
    r"[*_\"'”’`)\]]{0,5}(?:$|[.!,;:)]|\n|\s*[(—–]|\s+-\s|\s+(?:to|at|in|as|with|because|since|due|"
    r"given|based|but|for|on|under|and|after|by)\b|\s+$|\s*\n)"
)

_PAPER = r"(?:this|the) (?:paper|submission|manuscript|work|article)"
_DEGREE = (
    r"(?:(?:a|an|to|for|be|weak|weakly|strong|strongly|clear|borderline|marginal|lean|leaning) )"
)
_VALUE = r"(?P<value>accept(?:ance|ed|ing)?|reject(?:ion|ed|ing)?)\b"
_ADVERBS = (
    r"(?:(?:also|therefore|thus|hence|strongly|weakly|tentatively|currently|fully|still|hereby|"
    r"ultimately|overall|cautiously|reluctantly|must|do|am|have to|slightly) )"
)
_GAP = (
    r"(?:(?:this|that|the|paper|submission|manuscript|work|article|it|be|is|should|for|to|toward|"
    r"towards|of|in|favor|favour|a|an|weak|strong|clear|borderline|its) )"
)
_VERB = r"(?:recommend|vote|lean|leaning|inclined|advocate|in favou?r)"
_STATEMENTS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b(?:I|we)(?:['’]m)? {_ADVERBS}{{0,3}}{_VERB} {_GAP}{{0,8}}{_VALUE}",
        rf"^(?:strongly |weakly )?recommend {_GAP}{{0,8}}{_VALUE}",
        r"\b(?:my|the|our) (?:final |overall )?(?:recommendation|decision|verdict|vote) is "
        rf"{_GAP}{{0,6}}{_DEGREE}{{0,2}}{_VALUE}",
        rf"\b{_PAPER} (?:clearly |therefore |thus |strongly )?(?:should|must|ought to|deserves|"
        rf"merits|warrants) (?:to )?(?:be )?{_VALUE}",
    )
)
_LABEL = re.compile(
    r"(?:[-•>] |\(?\d{1,2}[.)] )?"
    r"(?:(?:my|the|final|overall|acceptance|paper|reviewer['’]?s?) ){0,3}"
    rf"(?:recommendation|decision|verdict|vote) ?(?:[:=–—-]|is:?) ?{_DEGREE}{{0,3}}{_VALUE}",
    re.IGNORECASE,
)
_BARE = re.compile(
    r"(?:[-•>] )?(?:(?:weak|weakly|strong|strongly|clear|borderline|marginal|leaning) ){0,2}"
    rf"{_VALUE}(?=$|[.!:]| ?\(| [–—-] |,? (?:as|because|since|due to|with) )",
    re.IGNORECASE,
)
_OBJECT = re.compile(rf" (?:of )?{_PAPER}\b| it\b", re.IGNORECASE)
_HARMLESS = re.compile(
    r"(?:overall|in|summary|conclu(?:sion|de)|sum|short|my|our|opinion|view|judge?ment|i|we|think|"
    r"believe|feel|that|as|such|consequently|accordingly|based|on|the|above|given|these|those|"
    r"reasons?|for|this|all|and|but|to|up|final|recommendation|decision|verdict|justification|"
    r"therefore|thus|hence|so|however|never?theless|nonetheless|still|yet|of|considering|points|"
    r"strengths|weaknesses|concerns|issues|current|form|present|state|is|it|being|said|yes|\W)*",
    re.IGNORECASE,
)
_CONCESSION = re.compile(
    r"(?:although|though|while|despite|given|because|since|due|considering|based on|even|taking|"
    r"weighing|on balance)\b",
    re.IGNORECASE,
)

_REFUSAL = re.compile(
    r"\bI(?:['’]m| am) (?:(?:very|really|so|deeply) )?sorry,?(?: but)? I (?:can|am|will|won)|"
    r"\b(?:I|we) must (?:respectfully )?decline\b|"
    r"\b(?:I|we)(?:['’]m| am| are)? (?:can(?:not|['’]t| not)|won['’]t|will not|decline to|"
    r"refuse to|unable to|not able to|(?:do not|don['’]t) have the ability to) (?:be able to )?"
    r"(?:help|assist|review|provide|complete|fulfil+|comply|do that|access|read|open|write|produce|"
    r"generate|evaluate)\b",
    re.IGNORECASE,
)
_REFUSAL_WITHIN = 400
_LONGEST_REFUSAL = 1500
"""Characters. A longer text is not a refusal."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decisions of all verdict lines, and the offset of the first such line."""

    decisions: frozenset[Decision]
    at: int | None


def verdict_lines(text: str) -> Verdict:
    """Find the verdict lines of a text."""
    stated = [match for match in _LINE.finditer(text) if _is_stated(match)]
    return Verdict(
        frozenset(_decision(match["label"]) for match in stated),
        stated[0].start() if stated else None,
    )


def prose_decisions(final: str, text: str) -> frozenset[Decision]:
    """The decisions stated in the final recommendation's section and the text's last paragraph."""
    tail = text.rstrip()[-_LARGEST_PROSE:]
    last = re.split(r"\n[ \t]*\n", tail)[-1]
    return frozenset(
        [
            *_stated_in_prose(final[-_LARGEST_PROSE:], bare=True),
            *_stated_in_prose(last, bare=False),
        ]
    )


def is_refusal(text: str) -> bool:
    """Whether the text is short and begins with a refusal to review."""
    text = text.strip()
    return len(text) < _LONGEST_REFUSAL and bool(_REFUSAL.search(text[:_REFUSAL_WITHIN]))


def _decision(label: str) -> Decision:
    return "accept" if label.lower().startswith("accept") else "reject"


def _is_stated(match: re.Match[str]) -> bool:
    text = match.string
    context = text[max(0, match.start() - _CONTEXT) : match.end()]
    after = text[match.end() : match.end() + _CONTEXT]
    sentence = _BORDER.split(context)[-1][: -len(match[0])]
    if len(sentence) == _CONTEXT:
        return False
    clause = _CLAUSE.split(sentence)[-1]
    if _DENIAL.search(clause) or _CONDITION_BEFORE.search(sentence):
        return False
    return _stays(after)


def _stays(after: str) -> bool:
    """Whether the rest of the sentence leaves the decision as it is."""
    if not _GOES_ON.match(after):
        return False
    border = _BORDER.search(after)
    rest = after[: border.end()] if border else after
    rest = re.split(r"\n(?=\W*[A-Z])", rest)[0]
    if "?" in rest or _CONDITION_AFTER.search(rest):
        return False
    return _OTHER_LABEL.search(rest) is None


def _stated_in_prose(text: str, *, bare: bool) -> Iterator[Decision]:
    prose: list[str] = []
    for line in text.split("\n"):
        plain = " ".join(re.sub(r"[*_`\"“”#]", " ", line).split())
        plain = re.sub(r" (?=[.,:;!?)])", "", plain)
        label = _LABEL.match(plain) or (_BARE.match(plain) if bare else None)
        if label and _stays_in_prose(plain, label):
            yield _decision(label["value"])
        elif not label:
            prose.append(plain)
    for sentence in _BORDER.split("\n".join(prose)):
        # Verdict lines have been handled in verdict_lines.
        if not _LINE.search(sentence):
            yield from _stated_in_sentence(" ".join(sentence.split()))


def _stated_in_sentence(sentence: str) -> Iterator[Decision]:
    found = [match for pattern in _STATEMENTS for match in pattern.finditer(sentence)]
    decisions = {_decision(match["value"]) for match in found}
    if len(decisions) == 1 and any(
        _is_outright(sentence, match) and _stays_in_prose(sentence, match) for match in found
    ):
        yield from decisions


def _is_outright(sentence: str, match: re.Match[str]) -> bool:
    """Whether the words before a statement leave its meaning unchanged."""
    before = sentence[: match.start()]
    *earlier, clause = _CLAUSE.split(before)
    if not _is_harmless(clause) or _CONDITION_BEFORE.search(before):
        return False
    if re.match(r"(?:I|we|my)\b", match[0], re.IGNORECASE):
        return True
    # Without "I" or "my" the opinion may be someone else's.
    return all(_is_harmless(part) or _CONCESSION.match(part.strip()) for part in earlier)


def _is_harmless(clause: str) -> bool:
    return all(_HARMLESS.fullmatch(word) for word in clause.split())


def _stays_in_prose(sentence: str, match: re.Match[str]) -> bool:
    after = sentence[match.end() :]
    if not after and re.search(r"\bfor (?:accept|reject)$", sentence, re.IGNORECASE):
        # "for ACCEPT": cut off.
        return False
    thing = _OBJECT.match(after)
    after = after[thing.end() :] if thing else after
    return _stays(after) and not re.search(r"\bor\b", after.split(". ")[0], re.IGNORECASE)
