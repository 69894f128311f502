"""Adds suspects, which are tried again alone, and pauses between attempts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column(
        "reviews", sa.Column("suspect", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.add_column("reviews", sa.Column("not_before", sa.Double))
    op.drop_index("ix_reviews_status_created", "reviews")
    op.create_index(
        "ix_reviews_status_suspect_created", "reviews", ["status", "suspect", "created"]
    )
