"""Many papers: which ones, how they are sent, what has become of each."""
