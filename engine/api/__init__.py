"""What the engine serves of Dagger's API: a resolver for each field; a field without one is refused by its name."""

from __future__ import annotations

from typing import Any

from engine.api.configuration import FIELDS as _CONFIGURATION
from engine.api.directories import DIRECTORY as _DIRECTORY
from engine.api.files import FIELDS as _FILE
from engine.api.images import FIELDS as _IMAGES
from engine.api.objects import identify, load
from engine.api.places import FIELDS as _PLACES
from engine.api.query import HOST as _HOST
from engine.api.query import QUERY as _QUERY
from engine.api.query import SECRET as _SECRET
from engine.api.query import SERVICE as _SERVICE
from engine.api.query import node
from engine.api.runs import FIELDS as _RUNS


def _plain(*names: str) -> dict[str, Any]:
    return {name: (lambda ctx, value, name=name: value.get(name)) for name in names}


RESOLVERS: dict[str, dict[str, Any]] = {
    "Query": _QUERY,
    "Container": {**_CONFIGURATION, **_PLACES, **_RUNS, **_IMAGES},
    "Directory": _DIRECTORY,
    "File": _FILE,
    "Host": _HOST,
    "Secret": _SECRET,
    "Service": _SERVICE,
    "CacheVolume": {},
    "EnvVariable": _plain("name", "value"),
    "Label": _plain("name", "value"),
    "Port": _plain("port", "protocol", "description", "experimentalSkipHealthcheck"),
    "HealthcheckConfig": _plain("args", "shell", "interval", "timeout", "startPeriod", "startInterval", "retries"),
    "SearchResult": _plain("filePath", "lineNumber", "absoluteOffset", "matchedLines", "submatches"),
    "SearchSubmatch": _plain("text", "start", "end"),
    "Stat": _plain("name", "size", "permissions", "fileType"),
}
for _kind, _fields in RESOLVERS.items():
    if _kind != "Query":
        _fields["id"] = lambda ctx, value, kind=_kind: identify(ctx, kind, value)
        _QUERY[f"load{_kind}FromID"] = lambda ctx, _, id, kind=_kind: load(ctx, id, kind)
for _kind in ("Exportable", "Syncer"):
    _QUERY[f"load{_kind}FromID"] = node
