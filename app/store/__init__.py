"""Reviews at rest: rows in a database, papers in a folder. Knows nothing of how they are made."""
