"""What surrounds every request: its id and log line, keys and limits, the size of its body."""
