"""PDF bytes -> :class:`~app.paper.model.Paper`, in worker processes."""
