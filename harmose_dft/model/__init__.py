"""The two-stage model: from structures and integrals to Hamiltonians."""
