"""The states of a review, and every move between them. Nothing else changes a row's status.

                    accept (background)
                          |
                          v       claim
        +------------> queued -----------------> in_progress <---- accept (a client waits)
        |                 |                       |  |  |  |
        |                 | cancel         cancel |  |  |  +-- complete --> completed
        |                 +-------> cancelled <---+  |  +----- fail ------> failed
        |                                            |                        ^
        +---------------- requeue, expire -----------+----- expire -----------+

Who makes a move, and what it costs the review:

========  =====================================================================================
accept    The client's request. One that a client waits for is claimed at once by its process.
claim     A process with a free worker: ``owner``, ``lease_until`` and ``attempt`` are its claim.
          A suspect is claimed only by a process that tries it alone (``app.failures``).
complete  The claim's owner. Like all that an owner does it is void once the claim is.
fail      The claim's owner, where ``app.failures`` says that trying again is of no use, or after
          ``max_attempts`` failed attempts.
requeue   The claim's owner. A failed attempt where the failure may be the review's own; nothing
          where engine or store were away, the service stops, or the review is a new suspect.
cancel    The client, at any time; the owner, once no client waits for the review any more.
expire    Any process, once the owner is dead: all its leases have run out. A background review
          becomes a suspect; one that was a suspect has failed an attempt; one that a client
          waited for has failed with ``interrupted``.
========  =====================================================================================

A review is deleted in any state by its client; once it has ended, by ``retention``; and as soon as
it ends where the service keeps nothing (``discard``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["queued", "in_progress", "completed", "failed", "cancelled"]
UNFINISHED: tuple[Status, ...] = ("queued", "in_progress")
FINISHED: tuple[Status, ...] = ("completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Move:
    """From any of ``sources`` to ``target``."""

    sources: tuple[Status, ...]
    target: Status


CLAIM = Move(("queued",), "in_progress")
COMPLETE = Move(("in_progress",), "completed")
FAIL = Move(("in_progress",), "failed")
REQUEUE = Move(("in_progress",), "queued")
CANCEL = Move(UNFINISHED, "cancelled")
