"""Columns named for what they hold."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.drop_index("ix_reviews_content", "reviews")
    # Alembic knows no such statement for SQLite; both databases do.
    op.execute("ALTER TABLE reviews RENAME COLUMN content TO blob_sha256")
    op.execute("ALTER TABLE reviews RENAME COLUMN lost TO failed_attempts")
    op.create_index("ix_reviews_blob_sha256", "reviews", ["blob_sha256"])
