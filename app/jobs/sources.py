"""A paper as the store keeps it, and back."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from app.errors import PaperNotStored, StoredRequestUnreadable
from app.paper.model import Paper
from app.paper.sources import File, Link, Source
from app.store.papers import PaperFiles, sha256_of
from app.store.records import SourceKind
from app.store.tables import ReviewRow


@dataclass(frozen=True, slots=True)
class StoredSource:
    """``blob_sha256`` is the hash of ``data``; both are None for a link."""

    kind: SourceKind
    name: str
    blob_sha256: str | None = None
    data: bytes | None = field(default=None, repr=False)

    @property
    def sha256(self) -> str:
        """Of a file; empty for a text, and for a link, which has not been fetched yet."""
        return self.blob_sha256 or "" if self.kind == "file" else ""


def store_source(source: Source, papers: PaperFiles | None, *, durable: bool) -> StoredSource:
    """Write it into ``papers``, unless None. Takes a while for a large file: not for the loop.

    Raises:
        StorageFull: the disk is full.
        StoreUnavailable: the folder can't be written to.
    """
    stored = _stored_form(source)
    if papers and stored.blob_sha256 and stored.data is not None:
        papers.save(stored.blob_sha256, stored.data, durable=durable)
    return stored


def _stored_form(source: Source) -> StoredSource:
    match source:
        case File(data=data, name=name):
            return StoredSource("file", name.replace("\0", ""), sha256_of(data), data)
        case Paper():
            data = msgspec.json.encode(source)
            return StoredSource("text", "", sha256_of(data), data)
        case Link(url=url):
            return StoredSource("link", url.replace("\0", ""))


def read_source(row: ReviewRow, papers: PaperFiles) -> Source:
    """Blocking.

    Raises:
        PaperNotStored: the folder of papers has lost it.
        StoreUnavailable: the folder can't be read.
        StoredRequestUnreadable: another version of this code wrote it in another form.
    """
    if row.source == "link":
        return Link(row.name)
    data = papers.load(row.blob_sha256) if row.blob_sha256 else None
    if data is None:
        raise PaperNotStored("The paper of this review is no longer in the data folder.")
    if row.source == "file":
        return File(data, row.name)
    try:
        return msgspec.json.decode(data, type=Paper)
    except msgspec.MsgspecError as error:
        raise StoredRequestUnreadable(
            "The paper's text can't be read any more: another version of the service wrote it. "
            "Send the request again."
        ) from error
