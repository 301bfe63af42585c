"""What is known without learning: overlap, H0, electron count, integrals."""
