"""What a person is told at the end."""

from __future__ import annotations

from rich.console import Console

from app.client.batch.counts import BINS, Tally

_LONGEST_BAR = 40


def show_summary(tally: Tally, out: Console) -> None:
    """How many, how they were decided, with which probabilities, and what failed."""
    for line in summary(tally):
        out.print(line, markup=False, highlight=False, soft_wrap=True)


def summary(tally: Tally) -> list[str]:
    of = tally.statuses
    parts = [f"{of['completed']} reviewed", f"{of['failed']} failed"]
    if of["duplicate"]:
        parts.append(f"{of['duplicate']} the same paper as another")
    if tally.told < tally.total:
        parts.append(f"{tally.total - tally.told} to do")
    lines = [f"{tally.total} papers: {', '.join(parts)}"]
    if tally.earlier:
        lines[0] += f" ({tally.earlier} of them in earlier runs)"
    if of["completed"]:
        lines += [_decisions(tally), *_histogram(tally)]
    if tally.failures:
        codes = (f"{code} {count}" for code, count in tally.failures.most_common())
        lines.append(f"Failures: {', '.join(codes)}")
    lines += [f"{count} reviews: {notice}" for notice, count in tally.notices.items()]
    return lines


def _decisions(tally: Tally) -> str:
    of = ", ".join(f"{count} {decision}" for decision, count in sorted(tally.decisions.items()))
    rate = "" if tally.accept_rate is None else f"; accept rate {tally.accept_rate:.1%}"
    return f"Decisions: {of}{rate}"


def _histogram(tally: Tally) -> list[str]:
    most = max(tally.histogram)
    if not most:
        return []
    lines = ["Probability of acceptance:"]
    for index, count in enumerate(tally.histogram):
        bar = "█" * -(-count * _LONGEST_BAR // most)
        lines.append(f"  {index / BINS:.1f}–{(index + 1) / BINS:.1f} {bar:{_LONGEST_BAR}} {count}")
    return lines
