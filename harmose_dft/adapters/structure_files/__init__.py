"""Formats of structure files that are parsed here; :mod:`harmose_dft.adapters.structures` leaves the others to ASE."""
