"""Stores reviews in a database and papers in a folder."""
