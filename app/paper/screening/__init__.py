"""Screening of papers: blinding, and flagging of instructions to reviewers."""
