"""Where a paper is, as the store keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from app.errors import PaperNotStored, StoredRequestUnreadable
from app.paper.model import Paper
from app.paper.sources import File, Link, Source
from app.store.papers import PaperFiles, address
from app.store.records import SourceKind
from app.store.tables import ReviewRow


@dataclass(frozen=True, slots=True)
class StoredSource:
    """``content`` is the address of ``data``; both are None for a link."""

    kind: SourceKind
    name: str
    content: str | None = None
    data: bytes | None = field(default=None, repr=False)

    @property
    def sha256(self) -> str:
        """Of a file; empty for a text, and for a link, which is no file yet."""
        return self.content or "" if self.kind == "file" else ""


def stored(source: Source, papers: PaperFiles | None, *, durable: bool) -> StoredSource:
    """Put it into ``papers``, where these are kept. Takes a while for a large file: off the loop.

    Raises:
        StorageFull: the disk is full.
        StoreUnavailable: the folder can't be written to.
    """
    kept = _as_kept(source)
    if papers and kept.content and kept.data is not None:
        papers.save(kept.content, kept.data, durable=durable)
    return kept


def _as_kept(source: Source) -> StoredSource:
    match source:
        case File(data=data, name=name):
            return StoredSource("file", name.replace("\0", ""), address(data), data)
        case Paper():
            data = msgspec.json.encode(source)
            return StoredSource("text", "", address(data), data)
        case Link(url=url):
            return StoredSource("link", url.replace("\0", ""))


def restored(row: ReviewRow, papers: PaperFiles) -> Source:
    """Blocking.

    Raises:
        PaperNotStored: the folder of papers has lost it.
        StoreUnavailable: the folder can't be read.
        StoredRequestUnreadable: another version of this code wrote it in another form.
    """
    if row.source == "link":
        return Link(row.name)
    data = papers.load(row.content) if row.content else None
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
