"""What is served of Dagger's API: the SDK's whole surface, walked field by field and argument by argument."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from engine.api import RESOLVERS
from engine.session.plan import Schema, accepted
from engine.session.surface import installed, version


@dataclass(frozen=True, slots=True)
class Row:
    """A field of a type: whether it is served, and its arguments, by whether they are."""

    type: str
    field: str
    served: bool
    arguments: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def rows(schema: Schema) -> Iterator[Row]:
    """A row for each field that the SDK can send."""
    for kind, fields in sorted(schema.fields.items()):
        if schema.is_interface(kind):
            continue
        for name in sorted(fields):
            known = tuple(schema.arguments[kind, name])
            resolver = schema.resolvers.get(kind, {}).get(name)
            taken = accepted(resolver) if resolver else set()
            yield Row(
                kind,
                name,
                resolver is not None,
                tuple(a for a in known if a in taken),
                tuple(a for a in known if a not in taken),
            )


def show(as_json: bool, everything: bool) -> int:
    """Print the table; the exit code."""
    found = list(rows(Schema(installed(), RESOLVERS)))
    if as_json:
        print(json.dumps({"dagger-io": version(), "fields": [_plain(r) for r in found]}, indent=1))
        return 0
    served = {r.type for r in found if r.served}
    kind = ""
    for row in found:
        if row.type not in served and not everything:
            continue
        if row.type != kind:
            kind = row.type
            part = [r for r in found if r.type == kind]
            print(f"\n{kind}: {sum(r.served for r in part)} of {len(part)} fields")
        arguments = ", ".join([*row.arguments, *(f"not {a}" for a in row.refused if row.served)])
        print(f"  {'served ' if row.served else 'refused'}  {row.field}({arguments})")
    others = len({r.type for r in found}) - len(served)
    print(
        f"\ndagger-io {version()}: {sum(r.served for r in found)} of {len(found)} fields are served, of {len(served)} "
        f"types; nothing is served of {others} types (--all lists them). What is refused is refused by its name."
    )
    return 0


def _plain(row: Row) -> dict[str, object]:
    return {name: getattr(row, name) for name in Row.__slots__}
