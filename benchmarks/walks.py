"""Random walks through each template's grammar with each vocabulary, to find dead ends.

    python -m benchmarks.walks [--walks 20000] [--vocabulary gemma] [--template default]

No model is used. A walk is good if it ends in a complete review: exact headings and verdict, no
special token, whole characters, and no more tokens than the limit.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter

import xgrammar
from transformers import AutoTokenizer

from app.engine.models import SMOLLM2, locate
from app.review.templates import own_templates
from app.settings import Settings
from benchmarks.report import report
from tests import vocabularies
from tests.review.walks import DeadEnd, Vocabulary, Walker

NAMES = ("gemma", "qwen", "smollm2", "made_up")


def vocabulary(name: str) -> Vocabulary:
    cache_dir = Settings().cache_dir
    match name:
        case "gemma":
            return Vocabulary(vocabularies.gemma(cache_dir / "vocabularies"))
        case "qwen":
            return Vocabulary(vocabularies.qwen(cache_dir / "vocabularies"))
        case "smollm2":
            return Vocabulary(AutoTokenizer.from_pretrained(locate(SMOLLM2, cache_dir)))
    return Vocabulary(vocabularies.made_up())


def counted(walker: Walker, walks: int) -> Counter[str]:
    rng = random.Random(walker.template.name)  # noqa: S311
    came: Counter[str] = Counter()
    for _ in range(walks):
        try:
            walker.check(walker.walk(rng))
            came["good"] += 1
        except DeadEnd:
            came["dead"] += 1
        except (AssertionError, UnicodeDecodeError):
            came["wrong"] += 1
    return came


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--walks", type=int, default=20_000)
    parser.add_argument("--vocabulary", choices=NAMES, action="append")
    parser.add_argument("--template", choices=list(own_templates()), action="append")
    asked = parser.parse_args()
    rows = []
    for name in asked.vocabulary or NAMES:
        words = vocabulary(name)
        compiler = xgrammar.GrammarCompiler(words.info, max_threads=2)
        for template in asked.template or own_templates():
            came = counted(Walker(words, own_templates()[template], compiler), asked.walks)
            kinds = {kind: came[kind] for kind in ("good", "dead", "wrong")}
            rows.append({"vocabulary": name, "template": template, **kinds})
            print(rows[-1], file=sys.stderr)
    report("walks", f"{asked.walks} walks a pair", rows)


if __name__ == "__main__":
    main()
