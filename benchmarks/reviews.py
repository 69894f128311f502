"""What the reviews of models are like: whole, repetitive, supported by the paper, copied from it.

    python -m benchmarks.reviews MODEL ... [--papers FOLDER] [--first N] [--out reviews.jsonl]

Every MODEL (an alias, a folder, a TOML file) reviews the first N PDFs of FOLDER, by default the
shared papers beside the checkout, with the service's defaults, one after the other. A row is
printed as soon as its review ends, and kept in the file; the same command goes on where it ended.

whole          all sections are written, none was cut by its token limit, and there is a decision
repeated       points that say again what an earlier point of the review said: those that the
               service itself left out, and listed ones, eight of ten content words of which an
               earlier point has
praise         weaknesses with a word of praise and none of doubt or lack; such a rule errs, so
               they are printed, to be read
evidence       points for which the service found a passage
unsupported    points that name what the paper does not contain
copied         sentences of eight words or more that stand in the paper word for word
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx

from app.paper.pdf.extract import ExtractOptions, extract_paper
from app.paper.sentences import sentence_ends
from benchmarks.report import Value, report
from benchmarks.resumed import reviewer_and_rows, rows_of
from tests.conftest import SHARED

WHOLE = ("summary", "strengths", "weaknesses", "technical_soundness", "clarity", "significance")
SAME_FROM, LEAST_WORDS, TIMEOUT_S = 0.8, 8, 1800
_PRAISE = re.compile(
    r"\b(strong|well[- ](?:written|structured|organi[sz]ed|motivated|designed)|clear(?:ly)?|novel|"
    r"effective(?:ly)?|thorough(?:ly)?|robust|impressive|excellent|valuable|comprehensive|"
    r"innovative|significant(?:ly)? (?:improve|contribut)\w*|outperforms?)\b",
    re.IGNORECASE,
)
_DOUBT = re.compile(
    r"\b(no|not|n't|lacks?|lacking|lack|limit\w*|miss\w*|only|without|however|but|unclear|insuffic\w*|"
    r"could|may|might|should|would|more|further|fails?|few|little|narrow|weak\w*|difficult\w*|"
    r"hard|challeng\w*|although|while|despite|depend\w*|assum\w*|cost\w*|expensive|complex\w*|"
    r"sensitiv\w*|potential(?:ly)?|absen\w*|need\w*|requir\w*|less|rather|vague|brief\w*)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]{4,}|\d+")


def words_of(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)}


def repeats(text: str, earlier: Sequence[str]) -> bool:
    words = words_of(text)
    return bool(words) and any(
        len(words & words_of(one)) >= SAME_FROM * len(words) for one in earlier
    )


def is_praise(weakness: str) -> bool:
    return bool(_PRAISE.search(weakness)) and not _DOUBT.search(weakness)


def plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def sentences(text: str) -> Iterator[str]:
    """Those of a review's Markdown, without headings and list marks."""
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        begin = 0
        for end in sentence_ends(line):
            yield line[begin:end].strip(" -*")
            begin = end


def measured(model: str, name: str, review: dict[str, Any], paper: str) -> dict[str, Any]:
    parts, verdict = review["review"], review["verdict"]
    points = [*parts["strengths"], *parts["weaknesses"]]
    texts = [point["text"] for point in points]
    listed = sum(repeats(text, texts[:number]) for number, text in enumerate(texts))
    left_out = review["integrity"]["repeated_points"]
    long = [s for s in sentences(review["text"]) if len(plain(s).split()) >= LEAST_WORDS]
    return {
        "model": model,
        "paper": name,
        "whole": all(parts[field] for field in WHOLE)
        and not review["integrity"]["cut_sections"]
        and verdict["decision"] is not None,
        "points": len(points) + left_out,
        "repeated": listed + left_out,
        "weaknesses": len(parts["weaknesses"]),
        "praise": [p["text"] for p in parts["weaknesses"] if is_praise(p["text"])],
        "listed": len(points),
        "evidence": sum(bool(point["evidence"]) for point in points),
        "unsupported": sum(bool(point["unsupported"]) for point in points),
        "sentences": len(long),
        "copied": sum(plain(sentence) in paper for sentence in long),
        "probability": verdict["probability"],
        "seconds": round(sum(review["timings"].values()), 1),
        "prompt": review["usage"]["prompt_tokens"],
        "written": review["usage"]["completion_tokens"],
        "text": review["text"],
    }


def review_all(model: str, papers: Sequence[Path], out: Path) -> None:
    """Append a row for each paper that has none yet."""
    done = {(row["model"], row["paper"]) for row in rows_of(out)}
    left = [path for path in papers if (model, path.name) not in done]
    if not left:
        return
    with reviewer_and_rows(model, out) as (service, rows):
        for path in left:
            data = path.read_bytes()
            answer = httpx.post(
                f"{service.url}/v1/reviews", files={"file": (path.name, data)}, timeout=TIMEOUT_S
            )
            paper = extract_paper(data, ExtractOptions(max_pages=200, detect_hidden=False))
            text = plain(" ".join([paper.abstract, *(s.text for s in paper.sections)]))
            row = measured(model, path.name, answer.raise_for_status().json(), text)
            rows.append(row)
            print({key: row[key] for key in row if key != "text"}, file=sys.stderr, flush=True)


def summary(model: str, rows: Sequence[dict[str, Any]]) -> dict[str, Value]:
    def total(field: str) -> int:
        return sum(row[field] for row in rows)

    def share(field: str, of: str) -> str:
        return f"{total(field)}/{total(of)} = {total(field) / max(total(of), 1):.1%}"

    return {
        "model": Path(model).name,
        "reviews": len(rows),
        "whole": total("whole"),
        "repeated": share("repeated", "points"),
        "praise": f"{sum(len(row['praise']) for row in rows)}/{total('weaknesses')}",
        "evidence": share("evidence", "listed"),
        "unsupported": share("unsupported", "listed"),
        "copied": share("copied", "sentences"),
        "median s": sorted(row["seconds"] for row in rows)[len(rows) // 2],
        "tokens": round(total("written") / len(rows)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", nargs="+")
    parser.add_argument("--papers", type=Path, default=SHARED / "pdfs" / "papers")
    parser.add_argument("--first", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("reviews.jsonl"))
    asked = parser.parse_args()
    papers = sorted(asked.papers.glob("*.pdf"))[: asked.first]
    for model in asked.model:
        review_all(model, papers, asked.out)
    names = {path.name for path in papers}
    kept = [row for row in rows_of(asked.out) if row["paper"] in names]
    rows = [summary(model, [r for r in kept if r["model"] == model]) for model in asked.model]
    for row in kept:
        for text in row["praise"]:
            print(f"{Path(row['model']).name}: {row['paper']}: a weakness? {text}")
    report("reviews", f"{len(papers)} papers, default settings", rows)


if __name__ == "__main__":
    main()
