"""Optimizers, one file per kind."""
