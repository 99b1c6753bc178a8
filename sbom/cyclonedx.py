"""CycloneDX 1.6 documents (ECMA-424) of an inventory, as data: the same inventory gives the same bytes.

Written as plain data, because the field's library for it models neither compositions nor formulation; that they are
valid is checked by that library's validator in the tests, and by :mod:`sbom.check` wherever one is read.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from typing import Any

from sbom import licences
from sbom.component import Component, Inventory
from sbom.contents import Contents
from sbom.materials import Material

SCHEMA, VERSION = "http://cyclonedx.org/schema/bom-1.6.schema.json", "1.6"
TOOL = "pipelines"
COUNT, DIGEST = "pipelines:files:count", "pipelines:files:digest"
LAYER = "pipelines:layer"


def encode(document: dict[str, Any]) -> bytes:
    """The one form that is kept and signed."""
    return json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False).encode() + b"\n"


def document(inventory: Inventory, contents: Contents) -> dict[str, Any]:
    """What is in an image. It calls itself complete only if each of the image's files has an owner in it."""
    whole = set(contents.files) <= inventory.owned()
    return {
        **_head(inventory.root, contents, "sbom", "post-build"),
        "components": [_component(c, contents) for c in inventory.components],
        "dependencies": [
            {"ref": c.ref, "dependsOn": list(c.depends)}
            for c in sorted((inventory.root, *inventory.components), key=_ref)
        ],
        "compositions": [
            {
                "aggregate": "complete" if whole else "incomplete",
                "assemblies": [inventory.root.ref],
                "dependencies": [inventory.root.ref],
            }
        ],
    }


def build_document(inventory: Inventory, contents: Contents, materials: Sequence[Material]) -> dict[str, Any]:
    """What an image was built with and from: its formulation. One task a stage."""
    listed = sorted({m.ref: m for m in materials}.values(), key=_ref)
    stages = sorted({stage for m in materials for stage in m.stages})
    return {
        **_head(inventory.root, contents, "build", "build"),
        "formulation": [
            {
                "bom-ref": "formula",
                "components": [_material(m) for m in listed],
                "workflows": [
                    {
                        "bom-ref": "workflow",
                        "uid": "build",
                        "name": "build",
                        "taskTypes": ["build"],
                        "tasks": [
                            {
                                "bom-ref": f"task:{stage}",
                                "uid": stage,
                                "name": stage,
                                "taskTypes": ["build"],
                                "inputs": [{"resource": {"ref": m.ref}} for m in listed if stage in m.stages],
                            }
                            for stage in stages
                        ],
                    }
                ],
            }
        ],
    }


def files_digest(paths: Sequence[str], contents: Contents) -> str:
    """One digest over a component's files: their paths and digests or links, sorted, a line each."""
    lines = (f"{path}\0{contents.files[path].digest or contents.files[path].link}\n" for path in sorted(paths))
    return "sha256:" + hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def _ref(each: Component | Material) -> str:
    return each.ref


def _head(root: Component, contents: Contents, kind: str, phase: str) -> dict[str, Any]:
    name = f"{kind}:{contents.digest}"
    return {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": VERSION,
        "version": 1,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, name)}",
        "metadata": {
            **({"timestamp": contents.config["created"]} if contents.config.get("created") else {}),
            "lifecycles": [{"phase": phase}],
            "tools": {"components": [{"type": "application", "name": TOOL}]},
            "component": _component(root, contents),
        },
    }


def _component(component: Component, contents: Contents) -> dict[str, Any]:
    properties = list(component.properties)
    if component.layer >= 0:
        layer = contents.layers[component.layer]
        properties += [
            (f"{LAYER}:name", layer.name),
            ("aquasecurity:trivy:LayerDigest", layer.digest),
            ("aquasecurity:trivy:LayerDiffID", layer.diff_id),
        ]
    if component.files:
        properties += [
            (COUNT, str(len(component.files))),
            (DIGEST, files_digest(component.files, contents)),
        ]
    if component.kind == "library" and component.found:
        properties.append(("aquasecurity:trivy:FilePath", component.found[0]))
    value: dict[str, Any] = {
        "type": component.kind,
        "bom-ref": component.ref,
        "name": component.name,
        "version": component.version,
        "purl": component.purl,
        "description": component.description,
        "licenses": _licences(component.licences),
        "supplier": {"name": component.supplier} if component.supplier else None,
        "hashes": [{"alg": "SHA-256", "content": component.sha256}] if component.sha256 else None,
        "externalReferences": [{"type": "website", "url": component.homepage}] if _is_url(component.homepage) else None,
        "modelCard": dict(component.model_card) if component.model_card else None,
        "evidence": {"occurrences": [{"location": f"/{place}"} for place in component.found]}
        if component.found
        else None,
        "properties": [{"name": name, "value": value} for name, value in sorted(properties)],
    }
    return {key: each for key, each in value.items() if each}


def _material(material: Material) -> dict[str, Any]:
    value: dict[str, Any] = {
        "type": material.kind,
        "bom-ref": material.ref,
        "name": material.name,
        "version": material.version,
        "purl": material.purl,
        "hashes": [{"alg": "SHA-256", "content": material.sha256}] if material.sha256 else None,
        "properties": [{"name": f"pipelines:{name}", "value": value} for name, value in sorted(material.annotations)],
    }
    return {key: each for key, each in value.items() if each}


def _is_url(text: str) -> bool:
    return text.startswith(("http://", "https://")) and not any(c.isspace() or c in '<>"' for c in text)


def _licences(names: Sequence[str]) -> list[dict[str, Any]]:
    """One expression if all have SPDX names, else a list of those that have and those that have not."""
    if not names:
        return []
    known = [licences.expression(name) for name in names]
    if all(known):
        whole = known[0] if len(known) == 1 else " AND ".join(f"({k})" if " OR " in k else k for k in known)
        return [{"acknowledgement": "declared", "expression": whole}]
    return [
        {
            "license": {
                "acknowledgement": "declared",
                ("id" if known[n] and " " not in name else "name"): known[n] or name,
            }
        }
        for n, name in enumerate(names)
    ]
