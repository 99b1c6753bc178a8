"""The one error family of this package."""


class ImageError(Exception):
    """What is wrong, who is the culprit, and what to do."""
