"""Paper -> Review: prompt and budget, format, parsing, verdict."""
