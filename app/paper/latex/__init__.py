"""LaTeX source read without running TeX."""
