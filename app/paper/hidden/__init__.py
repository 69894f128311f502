"""Text that the reader of a rendered page can not see: found by looking, not by asking a model."""
