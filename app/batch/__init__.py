"""Many papers, one line of output each; the command ``reviewer batch``."""
