"""Training: samples, losses, the loop, its checkpoints."""
