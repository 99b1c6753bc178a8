"""The one error family of this package."""


class PolicyError(Exception):
    """A policy that cannot be followed: what is wrong in it, and what to do."""
