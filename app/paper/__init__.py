"""Reads files into a :class:`~app.paper.model.Paper`, in worker processes."""
