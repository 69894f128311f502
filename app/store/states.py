"""The states of a review, and all transitions between them.

                    accept (background)
                          |
                          v       claim
        +------------> queued -----------------> in_progress <---- accept (a client waits)
        |                 |                       |  |  |  |
        |                 | cancel         cancel |  |  |  +-- complete --> completed
        |                 +-------> cancelled <---+  |  +----- fail ------> failed
        |                                            |                        ^
        +---------------- requeue, expire -----------+----- expire -----------+

Who makes a transition, and what it costs the review:

========  =====================================================================================
accept    The client's request. If a client waits for it, it is claimed at once by its process.
claim     A process with a free worker: ``owner``, ``lease_until`` and ``attempt`` are its claim.
          A suspect is claimed only by a process that tries it alone (``app.failures``).
complete  The claim's owner. It has no effect once the claim is void, as all actions of an owner.
fail      The claim's owner, if ``app.failures`` says that trying again is of no use, or after
          ``max_attempts`` failed attempts.
requeue   The claim's owner. Costs a failed attempt if the review may be the cause; nothing if the
          engine or the store was unavailable, the service stops, or it becomes a suspect.
cancel    The client, at any time; the owner, once no client waits for the review any more.
expire    Any process, once the owner is dead (all its leases have expired). A background review
          becomes a suspect; for a suspect it costs a failed attempt; a review with a waiting
          client has failed with ``interrupted``.
========  =====================================================================================

A client can delete its review in any state. Finished reviews are also deleted by ``retention``, and
immediately if the service keeps no reviews (``discard``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["queued", "in_progress", "completed", "failed", "cancelled"]
UNFINISHED: tuple[Status, ...] = ("queued", "in_progress")
FINISHED: tuple[Status, ...] = ("completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Move:
    """A transition from any of ``sources`` to ``target``."""

    sources: tuple[Status, ...]
    target: Status


CLAIM = Move(("queued",), "in_progress")
COMPLETE = Move(("in_progress",), "completed")
FAIL = Move(("in_progress",), "failed")
REQUEUE = Move(("in_progress",), "queued")
CANCEL = Move(UNFINISHED, "cancelled")
