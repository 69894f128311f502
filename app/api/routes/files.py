"""Headers of answers whose content is untrusted: papers, and what models wrote."""

from __future__ import annotations

NEVER_RUN = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'"}
"""The browser takes the content for what its type says, and runs nothing in it."""


def saved_as(name: str) -> dict[str, str]:
    """Headers that make browsers save the file and never display it."""
    return {"Content-Disposition": f'attachment; filename="{name}"', **NEVER_RUN}
