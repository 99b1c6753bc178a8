"""The matcher and the way to it."""
