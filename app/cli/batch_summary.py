"""The summary at the end of a batch."""

from __future__ import annotations

from rich.console import Console

from app.cli.client.batch.counts import BINS, BatchCounts

_LONGEST_BAR = 40


def show_summary(counts: BatchCounts, out: Console) -> None:
    """How many, how they were decided, with which probabilities, and what failed."""
    for line in summary(counts):
        out.print(line, markup=False, highlight=False, soft_wrap=True)


def summary(counts: BatchCounts) -> list[str]:
    of = counts.statuses
    parts = [f"{of['completed']} reviewed", f"{of['failed']} failed"]
    if of["duplicate"]:
        parts.append(f"{of['duplicate']} the same paper as another")
    if counts.done < counts.total:
        parts.append(f"{counts.total - counts.done} to do")
    lines = [f"{counts.total} papers: {', '.join(parts)}"]
    if counts.earlier:
        lines[0] += f" ({counts.earlier} of them in earlier runs)"
    if of["completed"]:
        lines += [_decisions(counts), *_histogram(counts)]
    if counts.failures:
        codes = (f"{code} {count}" for code, count in counts.failures.most_common())
        lines.append(f"Failures: {', '.join(codes)}")
    lines += [f"{count} reviews: {notice}" for notice, count in counts.notices.items()]
    return lines


def _decisions(counts: BatchCounts) -> str:
    of = ", ".join(f"{count} {decision}" for decision, count in sorted(counts.decisions.items()))
    rate = "" if counts.accept_rate is None else f"; accept rate {counts.accept_rate:.1%}"
    return f"Decisions: {of}{rate}"


def _histogram(counts: BatchCounts) -> list[str]:
    most = max(counts.histogram)
    if not most:
        return []
    lines = ["Probability of acceptance:"]
    for index, count in enumerate(counts.histogram):
        bar = "█" * -(-count * _LONGEST_BAR // most)
        lines.append(f"  {index / BINS:.1f}–{(index + 1) / BINS:.1f} {bar:{_LONGEST_BAR}} {count}")
    return lines
