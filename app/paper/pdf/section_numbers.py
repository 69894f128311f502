"""Tracks the numbers of sections, to decide which number may come next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(slots=True)
class Count:
    """The last section number.

    ``closed``: a list of references began before any number, so digits number its entries.
    ``outer``: the Roman number of the section whose subsections have letters. ``digits``: the last
    number in digits before letters, in case the letters were not those of appendices.
    """

    parts: tuple[int, ...] = ()
    style: str = ""
    outer: int = 0
    digits: tuple[int, ...] = ()
    closed: bool = False

    def end_text(self, *, is_list: bool) -> None:
        """Back matter begins; ``is_list`` if it is a list of references."""
        self.digits = ()
        self.closed = self.closed or (is_list and not self.style)

    def take(self, number: str) -> int | None:
        """The level of the number, which becomes the last one; None if it may not come next."""
        for style, parts in _readings(number):
            if self.closed and style == "digit":
                return None
            if style == "letter" and self.outer and self._lettered_subsection(parts):
                return 2
            if self._follows(style, parts) or self._goes_back(style, parts):
                if self.style == "digit" != style:
                    self.digits = self.parts
                self.parts, self.style = parts, style
                self.outer = parts[0] if style == "roman" else 0
                return len(parts)
        return None

    def _lettered_subsection(self, parts: tuple[int, ...]) -> bool:
        if len(parts) > 1 or (self.parts[1:] or (0,))[0] + 1 != parts[0]:
            return False
        self.parts = (self.outer, parts[0])
        return True

    def _goes_back(self, style: str, parts: tuple[int, ...]) -> bool:
        """Whether a number in digits continues the ones before the letters."""
        if style != "digit" or self.style != "letter" or not self.digits:
            return False
        outer = (_next(self.digits[:depth]) for depth in range(1, len(self.digits) + 1))
        return parts in ((*self.digits, 1), *outer)

    def _follows(self, style: str, parts: tuple[int, ...]) -> bool:
        if style != self.style:
            # Appendices have letters, after sections with digits.
            return parts[0] == 1 and (not self.style or style == "letter")
        depth = len(parts)
        if depth > len(self.parts) + 1:
            return False
        if parts[: depth - 1] != self.parts[: depth - 1]:
            return depth > 1 and parts[0] == self.parts[0] + 1 and set(parts[1:]) == {1}
        last = self.parts[depth - 1] if depth <= len(self.parts) else 0
        # One number may be missing, as its heading may be in an image.
        return last < parts[depth - 1] <= last + 2


def _next(parts: tuple[int, ...]) -> tuple[int, ...]:
    return (*parts[:-1], parts[-1] + 1)


def _readings(number: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The possible meanings of a number: I is a Roman numeral and also the ninth letter."""
    head, *tail = number.split(".")
    rest = tuple(int(part) for part in tail)
    if head.isdigit():
        yield "digit", (int(head), *rest)
        return
    if set(head) <= set("IVX"):
        yield "roman", (_roman(head), *rest)
    if len(head) == 1:
        yield "letter", (ord(head.upper()) - ord("A") + 1, *rest)


def _roman(numeral: str) -> int:
    values = [{"I": 1, "V": 5, "X": 10}[char] for char in numeral]
    return sum(
        -value if value < max(values[index + 1 :], default=0) else value
        for index, value in enumerate(values)
    )
