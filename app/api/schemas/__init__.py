"""HTTP bodies: pydantic models; they share the paper's vocabulary."""
