"""Finds visible text that addresses a reviewing system and not the reader.

It is only flagged and not removed, as papers on prompt injection quote such phrases.
"""

from __future__ import annotations

import re
import unicodedata

_MACHINE = "(?:llms?|ai|gpt|chatgpt|gemini|claude|(?:large )?language models?|chatbots?)"
_RATING = "(?:review|score|rating|assessment|evaluation|recommendation|feedback)s?"
_VERDICT = "(?:review|score|rating|assessment|evaluation|recommendation)s?"
"""Without "feedback", which papers mention and give in other contexts."""
_PRAISE = "(?:positive|favou?rable|glowing|highest|excellent|perfect|outstanding)"
_FAULTS = "(?:negatives?|negative points?|weakness(?:es)?|flaws?|shortcomings?)"
_DISCARD = "(?:ignore|disregard|forget|override)"
_EARLIER = "(?:previous|prior|preceding|earlier|above|former)"
_ORDERS = "(?:instruct[a-z]+|prompts?|guidelines|directions|commands)"
_SUBMISSION = "(?:paper|manuscript|submission|work)"
_PHRASES = (
    f"{_DISCARD} (?:(?:all|any|every|the|your|of|these|my) ){{0,3}}{_EARLIER} "
    f"(?:(?:system|reviewer|review) )?{_ORDERS}",
    f"(?:give|write|provide|produce|return|output|generate|submit|assign|leave) "
    f"(?:(?:us|me|it|this|{_SUBMISSION}|an?|the|very|overall|only) ){{0,5}}{_PRAISE} "
    f"(?:W )?{_VERDICT}",
    f"{_PRAISE} {_RATING} only",
    "(?:do not|don t|never|refrain from) "
    "(?:highlight|mention|list|raise|report|discuss|critici[sz]e|point out)(?:ing)? "
    f"(?:(?:any|the|its|of|this|paper|s) ){{0,4}}{_FAULTS}",
    f"as an? (?:W ){{0,2}}{_MACHINE} (?:W ){{0,2}}you (?:must|should|have|need|are|will)",
    f"if you (?:are|re) (?:an?|the) (?:W ){{0,2}}{_MACHINE}",
    f"(?:note|message|instructions?|attention) (?:(?:to|for|all|any|the) ){{0,3}}"
    f"{_MACHINE} (?:reviewers?|assistants?|systems?|agents?)",
    f"{_MACHINE} reviewers? (?:must|should|please|are (?:asked|instructed|required|to))",
    "you (?:must|should|have to|need to|are to) (?:W ){0,2}"
    f"(?:recommend|endorse|praise|accept) (?:W ){{0,4}}(?:accept[a-z]*|{_SUBMISSION})",
    "(?:recommend|vote for|argue for) (?:(?:strong|clear|a|an|the|its|for) ){0,3}"
    f"accept(?:ance)? (?:of |for )?(?:this|the) {_SUBMISSION}",
    f"(?:this|the) {_SUBMISSION} (?:must|should) be (?:strongly )?(?:recommended for )?"
    "accept[a-z]+",
)
_STEMS = (
    *("ignore", "disregard", "forget", "override", "positive", "favo", "glowing", "highest"),
    *("excellent", "perfect", "outstanding", "negativ", "weakness", "flaw", "shortcoming"),
    *("llm", "gpt", "gemini", "claude", "language", "chatbot", "recommend", "endorse", "praise"),
    *("accept", "vote for", "argue for", "if you", "as an ai", "for ai", "ai review"),
)
"""Each phrase contains one of these. Searching for them first saves most of the time."""
# Words and separators have no character in common, and are bounded, so matching takes linear time.
_INSTRUCTION = re.compile(
    "(?<![a-z0-9])(?:"
    + "|".join(_PHRASES).replace("W", "[a-z0-9]{1,30}").replace(" ", "[^a-z0-9]{1,9}")
    + ")(?![a-z0-9])"
)
_SPACED_OUT = re.compile("(?<![a-z0-9])[a-z](?:[^a-z0-9]{1,9}[a-z](?![a-z0-9])){11,}")
_RUN_TOGETHER = re.compile(
    f"{_DISCARD}(?:all|any|every|the|your|of)*{_EARLIER}{_ORDERS}"
    f"|{_PRAISE}{_RATING}only|donot(?:highlight|mention)(?:any|the)?{_FAULTS}"
    f"|recommendaccept|{_MACHINE.replace(' ', '')}reviewer"
)
_LOOKALIKES = str.maketrans(
    "абвгдеикмнорстухіјѕԁԛԝһαβεηικνορτυχ", "abbrdeukmhopctyxijsdqwhabenikvoptux"
)
_LOOKALIKES |= {
    code: plain
    for code in (*range(0xC0, 0x250), *range(0x1E00, 0x1F00))
    if (plain := unicodedata.normalize("NFD", chr(code))[0]).isascii()
}
# Only with these characters does folding change the length of a text.
_FOLDS = re.compile(
    "[\u00ad\u0130\u0300-\u036f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufb00-\ufb06"
    "\ufeff\uff01-\uff5e\U0001d400-\U0001d7ff\U000e0000-\U000e007f]"
)


def find_instructions(text: str) -> list[tuple[int, int]]:
    """Start and end of each phrase that addresses a reviewing system, in order.

    Case, accents, invisible characters, similar letters of other scripts, and spaces between
    letters are ignored.
    """
    plain, places = _folded(text)
    found = []
    if any(stem in plain for stem in _STEMS):
        found += [match.span() for match in _INSTRUCTION.finditer(plain)]
    found += [
        match.span()
        for match in _SPACED_OUT.finditer(plain)
        if _RUN_TOGETHER.search(re.sub("[^a-z]", "", match[0]))
    ]
    if places is not None:
        found = [(places[start], places[end - 1] + 1) for start, end in found]
    return sorted(found)


def _folded(text: str) -> tuple[str, list[int] | None]:
    """The text in plain lower case, and the original offset of each character if they differ."""
    if text.isascii():
        return text.lower(), None
    if not _FOLDS.search(text):
        return text.lower().translate(_LOOKALIKES), None
    letters: list[str] = []
    places: list[int] = []
    for place, char in enumerate(text):
        folded = unicodedata.normalize("NFKD", char).casefold().translate(_LOOKALIKES)
        kept = [part for part in folded if unicodedata.category(part) not in ("Cf", "Mn")]
        letters += kept
        places += [place] * len(kept)
    return "".join(letters), places
