"""Converts a paper's source to the form in the store, and back."""

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
    """A source as it is stored. ``blob_sha256`` is the hash of ``data``; both are None for
    links.
    """

    kind: SourceKind
    name: str
    blob_sha256: str | None = None
    data: bytes | None = field(default=None, repr=False)

    @property
    def sha256(self) -> str:
        """The file's hash; empty for a text, and for a link that has not been fetched yet."""
        return self.blob_sha256 or "" if self.kind == "file" else ""


def store_source(source: Source, papers: PaperFiles | None, *, durable: bool) -> StoredSource:
    """Write the source into ``papers`` (unless None). Blocking: call it in a thread.

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
    """Read a review's source from the store. Blocking: call it in a thread.

    Raises:
        PaperNotStored: the paper is missing in the folder.
        StoreUnavailable: the folder can't be read.
        StoredRequestUnreadable: another version wrote it in a form that this one can't read.
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
            "The stored text of the paper can't be read: another version of the service wrote it. "
            "Send the request again."
        ) from error
