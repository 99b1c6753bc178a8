"""The shape of Dagger's API, read from the generated client of the ``dagger-io`` that is installed.

It is read once for a version of the SDK and kept in the store as an introspection result: no list of names is kept by
hand, so what the SDK can send is known exactly, the part that the engine refuses included.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import json
from pathlib import Path
from typing import Any

from engine.errors import EngineError

_SCALARS = {"str": "String", "int": "Int", "bool": "Boolean", "float": "Float"}
FORMAT = 5
_INTERFACES = ("Node", "Syncer", "Exportable")


def version() -> str:
    """The version of the installed SDK, which is the version of the API that is served."""
    return importlib.metadata.version("dagger-io")


def surface(cache: Path) -> dict[str, Any]:
    """The ``__schema`` object of an introspection, from the cache folder if it was derived before."""
    path = cache / f"schema-{version()}-{FORMAT}.json"
    try:
        known: dict[str, Any] = json.loads(path.read_text())
        return known
    except (OSError, ValueError):
        pass
    derived = installed()
    staged = path.with_suffix(f".{id(derived)}")
    staged.write_text(json.dumps(derived, separators=(",", ":")))
    staged.replace(path)
    return derived


def installed() -> dict[str, Any]:
    """The ``__schema`` object of the SDK that is installed, derived anew.

    Raises:
        EngineError: none is.
    """
    spec = importlib.util.find_spec("dagger")
    if spec is None or spec.origin is None:
        raise EngineError("dagger-io is not installed: the engine reads the shape of the API from it; .venv has it, once make venv was run")
    return derive((Path(spec.origin).parent / "client/gen.py").read_text())


def derive(source: str) -> dict[str, Any]:
    """The ``__schema`` of the API that a generated client speaks."""
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    bases = {c.name: [ast.unparse(b) for b in c.bases] for c in classes}
    kinds = {name: _kind(found) for name, found in bases.items()}
    types: list[dict[str, Any]] = []
    for node in classes:
        kind = kinds[node.name]
        if kind == "OBJECT" and not node.name.startswith("_"):
            types.append(_object(node, kinds))
        elif kind == "ENUM":
            names = [t.id for s in node.body if isinstance(s, ast.Assign) for t in s.targets if isinstance(t, ast.Name)]
            types.append(_type("ENUM", node.name, enumValues=[_named(n, deprecated=True) for n in names]))
        elif kind == "INPUT_OBJECT":
            fields = [
                {
                    **_named(_camel(s.target.id)),
                    "type": _reference(ast.unparse(s.annotation), node.name, kinds),
                    "defaultValue": None,
                }
                for s in node.body
                if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)
            ]
            types.append(_type("INPUT_OBJECT", node.name, inputFields=fields))
        elif kind == "SCALAR":
            types.append(_type("SCALAR", node.name))
    types += [_type("SCALAR", name) for name in ("String", "Int", "Boolean", "Float", "ID")]
    objects = {t["name"]: {f["name"] for f in t["fields"]} for t in types if t["kind"] == "OBJECT"}
    for node in classes:
        name = node.name.removeprefix("_").removesuffix("Client")
        if name in _INTERFACES and kinds[node.name] == "OBJECT":
            fields = _object(node, kinds)["fields"]
            possible = [n for n, known in objects.items() if {f["name"] for f in fields} <= known]
            references = [{"kind": "OBJECT", "name": n, "ofType": None} for n in possible]
            types.append(_type("INTERFACE", name, fields=fields, interfaces=[], possibleTypes=references))
    return {
        "queryType": {"name": "Query"},
        "mutationType": None,
        "subscriptionType": None,
        "types": types,
        "directives": [],
    }


def _kind(bases: list[str]) -> str:
    for base, kind in {
        "Scalar": "SCALAR",
        "Enum": "ENUM",
        "Input": "INPUT_OBJECT",
        "Type": "OBJECT",
        "Root": "OBJECT",
    }.items():
        if base in bases:
            return kind
    return ""


def _camel(name: str) -> str:
    head, *rest = name.strip("_").split("_")
    return head + "".join(word.capitalize() for word in rest)


def _named(name: str, deprecated: bool = False) -> dict[str, Any]:
    base: dict[str, Any] = {"name": name, "description": None}
    return {**base, "isDeprecated": False, "deprecationReason": None} if deprecated else base


def _type(kind: str, name: str, **more: Any) -> dict[str, Any]:
    blank = dict.fromkeys(("fields", "inputFields", "interfaces", "enumValues", "possibleTypes"))
    return {"kind": kind, "name": name, "description": None, "specifiedByURL": None, **blank, **more}


def _nonnull(kind: str, name: str) -> dict[str, Any]:
    return {"kind": "NON_NULL", "name": None, "ofType": {"kind": kind, "name": name, "ofType": None}}


def _reference(annotation: str, owner: str, kinds: dict[str, str], is_argument: bool = False) -> dict[str, Any]:
    text = annotation.strip().strip("'\"")
    nullable = text.endswith("| None")
    text = text.removesuffix("| None").strip().strip("'\"")
    if text.startswith("list["):
        inner: dict[str, Any] = {
            "kind": "LIST",
            "name": None,
            "ofType": _reference(text[5:-1], owner, kinds, is_argument),
        }
    else:
        name = owner if text == "Self" else text
        name = _SCALARS.get(name, name)
        kind = "SCALAR" if name in (*_SCALARS.values(), "ID") else kinds.get(name, "")
        if name in _INTERFACES:
            kind = "INTERFACE"
        if (is_argument and kind in ("OBJECT", "INTERFACE")) or not kind:
            kind, name = "SCALAR", "ID"
        inner = {"kind": kind, "name": name, "ofType": None}
    return inner if nullable else {"kind": "NON_NULL", "name": None, "ofType": inner}


def _selected(call: ast.Call) -> str | None:
    """The field that a call of the client's query builder selects."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    place = {"_select": 0, "select": 0, "execute_sync": 1}.get(name)
    if place is None:
        return None
    if name == "execute_sync" and len(call.args) == 1:
        return "sync"
    given = call.args[place] if len(call.args) > place else None
    return given.value if isinstance(given, ast.Constant) and isinstance(given.value, str) else None


def _object(node: ast.ClassDef, kinds: dict[str, str]) -> dict[str, Any]:
    fields = []
    for method in node.body:
        if not isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) or method.returns is None:
            continue
        calls = [c for c in ast.walk(method) if isinstance(c, ast.Call)]
        selected = next((name for call in calls if (name := _selected(call)) is not None), None)
        if not isinstance(selected, str):
            continue
        annotations = {
            a.arg: ast.unparse(a.annotation) for a in (*method.args.args, *method.args.kwonlyargs) if a.annotation
        }
        by_name = {_camel(name): text for name, text in annotations.items()}
        arguments = []
        for call in calls:
            if isinstance(call.func, ast.Name) and call.func.id == "Arg" and isinstance(call.args[0], ast.Constant):
                given = ast.unparse(call.args[1])
                annotation = annotations.get(given) or by_name.get(str(call.args[0].value), "str")
                if len(call.args) > 2 and not annotation.endswith("| None"):
                    annotation += " | None"
                arguments.append(
                    {
                        **_named(str(call.args[0].value)),
                        "defaultValue": None,
                        "type": _reference(annotation, node.name, kinds, is_argument=True),
                    }
                )
        returns = ast.unparse(method.returns).strip("'\"")
        if (
            isinstance(method, ast.AsyncFunctionDef) and (returns == "Self" or kinds.get(returns) == "OBJECT")
        ) or selected == "id":
            reference = _nonnull("SCALAR", "ID")
        else:
            reference = _reference(returns, node.name, kinds)
        fields.append({**_named(selected, deprecated=True), "args": arguments, "type": reference})
    node_interface = [{"kind": "INTERFACE", "name": "Node", "ofType": None}]
    return _type("OBJECT", node.name, fields=fields, interfaces=node_interface if node.name != "Query" else [])
