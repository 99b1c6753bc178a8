"""The one error family of this package."""


class PipelineError(Exception):
    """What is wrong, who is the culprit, and what to do."""
