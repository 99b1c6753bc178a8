"""The one error family of this package."""


class RegistryError(Exception):
    """What is wrong, who is the culprit, and what to do."""


class NotFound(RegistryError):
    """A place does not have what was asked of it."""


class Denied(RegistryError):
    """A registry does not let us, with the credentials that there are."""


class Corrupt(RegistryError):
    """Bytes are not what their digest says."""


class Interrupted(RegistryError):
    """A connection that was lost, or an answer that may be another one ``wait`` seconds later."""

    def __init__(self, text: str, wait: float = 0.0) -> None:
        super().__init__(text)
        self.wait = wait
