"""Adds what people did to the points of reviews."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

COUNTS = (
    "points",
    "edited",
    "useful",
    "wrong",
    "trivial",
    "not_in_paper",
    "added",
)


def upgrade() -> None:
    op.create_table(
        "review_points",
        sa.Column("review_id", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("edits", sa.JSON, nullable=False),
        *(sa.Column(name, sa.Integer, nullable=False) for name in COUNTS),
        sa.PrimaryKeyConstraint("review_id", name="pk_review_points"),
        sa.ForeignKeyConstraint(
            ["review_id"],
            ["reviews.id"],
            name="fk_review_points_review_id",
            ondelete="CASCADE",
        ),
    )
