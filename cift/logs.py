"""Structured logs: one JSON object a line, on standard error."""

from __future__ import annotations

import json
import logging
import logging.config
from contextvars import ContextVar
from datetime import UTC, datetime

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Of the request that is being answered; the middleware sets it."""


class JsonFormatter(logging.Formatter):
    """time, level, logger, message; request, traceback and the fields of ``extra={"fields": {…}}`` where there are any."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request := request_id.get():
            line["request_id"] = request
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _formatter(use_colors: bool | None = None) -> JsonFormatter:
    """``use_colors`` is uvicorn's option: JSON has none."""
    return JsonFormatter()


CONFIGURATION: dict[str, object] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"default": {"()": _formatter}, "access": {"()": _formatter}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "default", "stream": "ext://sys.stderr"}},
    "root": {"handlers": ["stderr"]},
    "loggers": {
        "uvicorn": {"handlers": [], "propagate": True},
        "uvicorn.error": {"handlers": [], "propagate": True},
        "uvicorn.access": {"handlers": [], "propagate": True},
        "fastapi": {"handlers": [], "propagate": True},
        "asyncio": {"level": "WARNING"},
    },
}
"""For `logging.config`: all loggers, uvicorn's included, write JSON lines. The formatters have the names that uvicorn looks for."""


def configure(level: str) -> None:
    """All loggers write JSON lines; the access log stays off where uvicorn has turned it off."""
    access = logging.getLogger("uvicorn.access")
    off = not access.handlers and not access.propagate
    logging.config.dictConfig(CONFIGURATION)
    access.propagate = not off
    logging.getLogger().setLevel(level.upper())
