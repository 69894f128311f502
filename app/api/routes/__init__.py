"""HTTP: one file per resource. Handlers translate; what they translate to lives elsewhere."""
