"""Second stages, one file per kind."""
