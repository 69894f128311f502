"""Reads LaTeX source without running TeX."""
