"""Reviews and idempotency keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "reviews",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("background", sa.Boolean, nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("lease_until", sa.Double),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("lost", sa.Integer, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("content", sa.Text),
        sa.Column("parameters", sa.JSON, nullable=False),
        sa.Column("answer_format", sa.JSON),
        sa.Column("reuse_key", sa.Text),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("template", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("decision", sa.Text),
        sa.Column("probability", sa.Double),
        sa.Column("error", sa.JSON),
        sa.Column("review", sa.Text),
        sa.Column("events", sa.LargeBinary),
        sa.PrimaryKeyConstraint("id", name="pk_reviews"),
    )
    for columns in (
        ("tenant", "created", "id"),
        ("status", "created"),
        ("tenant", "reuse_key"),
        ("tenant", "sha256"),
        ("content",),
    ):
        op.create_index(f"ix_reviews_{'_'.join(columns)}", "reviews", list(columns))
    op.create_table(
        "idempotency_keys",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("review_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "key", name="pk_idempotency_keys"),
        sa.ForeignKeyConstraint(
            ["review_id"],
            ["reviews.id"],
            name="fk_idempotency_keys_review_id",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_idempotency_keys_review_id", "idempotency_keys", ["review_id"])
