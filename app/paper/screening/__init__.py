"""What every paper goes through before anyone reads it: blinding, and instructions found."""
