"""What a user does, as functions that return results and print nothing."""
