"""Sparse direct solvers: one class in one file each, found by scanning this folder."""
