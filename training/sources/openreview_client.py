"""openreview-py, its errors in this package's words. It waits and retries by itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from training.errors import InputMissing

INSTALL = "pip install --no-deps -r requirements/training.txt"
USERNAME, PASSWORD = "OPENREVIEW_USERNAME", "OPENREVIEW_PASSWORD"
_A_PAGE = (b"<!doctype", b"<html")


class NotHad(Exception):
    """One paper's PDF, or the list of its revisions, can't be had."""


class Client:
    """``downloads`` is a folder that keeps every PDF that was fetched."""

    def __init__(self, url: str, downloads: Path) -> None:
        try:
            import openreview
        except ImportError as error:
            raise InputMissing(f"openreview-py is not installed: {INSTALL}") from error
        self._url = url
        self._downloads = downloads
        # What is no JSON is a ValueError; what the network does, an OSError.
        self._failures = (openreview.OpenReviewException, OSError, ValueError, KeyError)
        try:
            self._client = openreview.Client(url)
        except self._failures as error:
            raise InputMissing(
                f"OpenReview ({url}) refuses the login by {USERNAME} and {PASSWORD}: {_line(error)}"
            ) from error

    def submissions(self, venue: str) -> list[Any]:
        """The notes of a venue's submissions, their replies in ``details``, by their ids.

        Raises:
            InputMissing: OpenReview can't be reached, wants a login, or has no such venue.
        """
        try:
            notes: list[Any] = self._called(
                self._client.get_all_notes,
                invitation=f"{venue}/-/Blind_Submission",
                details="directReplies",
            )
        except NotHad as error:
            raise InputMissing(str(error)) from error
        if not notes:
            raise InputMissing(
                f"{self._url} lists no submissions of {venue}; ICLR's are there up to 2023"
            )
        return sorted(notes, key=lambda note: str(note.id))

    def submitted_revision(self, note: Any, before: int | None) -> str | None:
        """The id of the last revision with a PDF before that time (milliseconds of the epoch), of
        the first one where there is no time; None where there is none.

        Raises:
            NotHad: the list of revisions can't be had.
        """
        found = self._called(self._client.get_references, referent=note.id, original=True)
        revisions = sorted(
            (revision.tcdate or revision.cdate or 0, str(revision.id))
            for revision in found
            if (revision.content or {}).get("pdf")
        )
        if before is None:
            return revisions[0][1] if revisions else None
        earlier = [name for time, name in revisions if time < before]
        return earlier[-1] if earlier else None

    def pdf(self, revision: str) -> bytes:
        """
        Raises:
            NotHad: it can't be fetched, or a web page came in its place.
        """
        kept = self._downloads / f"{revision}.pdf"
        if kept.is_file():
            return kept.read_bytes()
        data: bytes = self._called(self._client.get_pdf, revision, is_reference=True)
        if data[:20].lstrip().lower().startswith(_A_PAGE):
            raise NotHad(self._wants_login())
        self._downloads.mkdir(exist_ok=True)
        scratch = kept.with_suffix(".part")
        scratch.write_bytes(data)
        scratch.replace(kept)
        return data

    def _called(self, function: Callable[..., Any], *args: Any, **named: Any) -> Any:
        try:
            return function(*args, **named)
        except self._failures as error:
            text = str(error)
            page = isinstance(error, ValueError) or "<html" in text.lower()
            told = self._wants_login() if page else f"OpenReview ({self._url}): {_line(error)}"
            raise NotHad(told) from error

    def _wants_login(self) -> str:
        lacking = [name for name in (USERNAME, PASSWORD) if not os.environ.get(name)]
        what = (
            f"set {' and '.join(lacking)} to an account's"
            if lacking
            else "it does not take this account for a person's: log in with a browser once"
        )
        return (
            f"OpenReview ({self._url}) answers with a web page in place of data, as it does to who "
            f"has not logged in: {what}"
        )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
