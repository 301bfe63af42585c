"""Value objects and shared words: structures, bases, matrices, spectra, records, units, errors, files."""
