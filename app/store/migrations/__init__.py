"""Alembic's: how the database got from each of its forms to the next."""
