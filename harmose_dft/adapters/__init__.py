"""Readers and writers of foreign files, and the codes that need importing: PySCF, ASE, sisl."""
