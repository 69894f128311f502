"""Finds text that is invisible on a rendered page. No model is involved."""
