"""The engine's errors, and how they look as GraphQL errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class EngineError(Exception):
    """What went wrong, who is the culprit, and what to do."""

    def extensions(self) -> dict[str, Any]:
        """The ``extensions`` of the GraphQL error that tells of it."""
        return {}


class Refused(EngineError):
    """A field of Dagger's API that this engine does not serve."""

    def __init__(self, field: str) -> None:
        super().__init__(
            f"{field} is not supported by the embedded engine; run this pipeline on a Dagger engine (dagger run …)"
        )
        self.field = field

    def extensions(self) -> dict[str, Any]:
        return {"_type": "UNSUPPORTED", "field": self.field}


class ExecFailed(EngineError):
    """A step ended in another way than was expected of it (Dagger's ``EXEC_ERROR``)."""

    def __init__(self, command: Sequence[str], exit_code: int, stdout: str, stderr: str, reason: str = "") -> None:
        why = reason or f"exit code: {exit_code}"
        super().__init__(f'process "{" ".join(command)}" did not complete successfully: {why}')
        self.command = list(command)
        self.exit_code = exit_code
        self.stdout = stdout.strip()
        self.stderr = stderr.strip()

    def extensions(self) -> dict[str, Any]:
        return {
            "_type": "EXEC_ERROR",
            "cmd": self.command,
            "exitCode": self.exit_code,
            "stdout": self.stdout,
            "stderr": self.stderr,
        }
