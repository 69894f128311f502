"""Wraps openreview-py, which retries by itself, and translates its errors."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from training.errors import InputMissing

INSTALL = "pip install --no-deps -r requirements/training.txt"
USERNAME, PASSWORD = "OPENREVIEW_USERNAME", "OPENREVIEW_PASSWORD"
_A_PAGE = (b"<!doctype", b"<html")


class NotAvailable(Exception):
    """The PDF of one paper, or the list of its revisions, can't be downloaded."""


class Client:
    """A client. All downloaded PDFs are kept in the folder ``downloads``."""

    def __init__(self, url: str, downloads: Path) -> None:
        try:
            import openreview
        except ImportError as error:
            raise InputMissing(f"openreview-py is not installed: {INSTALL}") from error
        self._url = url
        self._downloads = downloads
        # Invalid JSON gives a ValueError, network failures an OSError.
        self._failures = (openreview.OpenReviewException, OSError, ValueError, KeyError)
        try:
            self._client = openreview.Client(url)
        except self._failures as error:
            raise InputMissing(
                f"OpenReview ({url}) refuses the login with {USERNAME} and {PASSWORD}: "
                f"{_line(error)}"
            ) from error

    def submissions(self, venue: str) -> list[Any]:
        """The notes of a venue's submissions with their replies in ``details``, sorted by id.

        Raises:
            InputMissing: OpenReview can't be reached, requires a login, or has no such venue.
        """
        try:
            notes: list[Any] = self._called(
                self._client.get_all_notes,
                invitation=f"{venue}/-/Blind_Submission",
                details="directReplies",
            )
        except NotAvailable as error:
            raise InputMissing(str(error)) from error
        if not notes:
            raise InputMissing(
                f"{self._url} lists no submissions to {venue}; it has ICLR up to 2023"
            )
        return sorted(notes, key=lambda note: str(note.id))

    def submitted_revision(self, note: Any, before: int | None) -> str | None:
        """The id of the last revision with a PDF before the time ``before`` (milliseconds since the
        epoch), or of the first revision if ``before`` is None; None if there is no such revision.

        Raises:
            NotAvailable: the list of revisions can't be downloaded.
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
        """The PDF of a revision.

        Raises:
            NotAvailable: it can't be downloaded, or the answer is a web page.
        """
        kept = self._downloads / f"{revision}.pdf"
        if kept.is_file():
            return kept.read_bytes()
        data: bytes = self._called(self._client.get_pdf, revision, is_reference=True)
        if data[:20].lstrip().lower().startswith(_A_PAGE):
            raise NotAvailable(self._wants_login())
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
            message = self._wants_login() if page else f"OpenReview ({self._url}): {_line(error)}"
            raise NotAvailable(message) from error

    def _wants_login(self) -> str:
        missing = [name for name in (USERNAME, PASSWORD) if not os.environ.get(name)]
        remedy = (
            f"set {' and '.join(missing)} to those of an account"
            if missing
            else "log in to this account in a browser once, to show that you are human"
        )
        return (
            f"OpenReview ({self._url}) answers with a web page instead of data, as it does without "
            f"a login: {remedy}"
        )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
