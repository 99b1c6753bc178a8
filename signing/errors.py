"""The one error family of this package."""


class SigningError(Exception):
    """What is wrong, who is the culprit, and what to do."""


class Untrusted(SigningError):
    """A signature that does not hold, or is of someone else than is trusted."""
