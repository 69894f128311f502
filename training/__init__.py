"""The pipeline that rebuilds the model from public data. See README.md."""
