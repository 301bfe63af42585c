"""Terms of the loss, one file per term."""
