"""Renames columns for their content."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.drop_index("ix_reviews_content", "reviews")
    # Alembic has no operation for this with SQLite; both databases support the statement.
    op.execute("ALTER TABLE reviews RENAME COLUMN content TO blob_sha256")
    op.execute("ALTER TABLE reviews RENAME COLUMN lost TO failed_attempts")
    op.create_index("ix_reviews_blob_sha256", "reviews", ["blob_sha256"])
