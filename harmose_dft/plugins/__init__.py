"""What runs inside a host program."""
