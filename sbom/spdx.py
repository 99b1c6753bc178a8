"""SPDX 2.3 of an inventory (spdx.github.io/spdx-spec/v2.3), from the same data as CycloneDX and as deterministic."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from sbom import licences
from sbom.component import Component, Inventory
from sbom.contents import Contents
from sbom.cyclonedx import TOOL

_PURPOSE = {
    "application": "APPLICATION",
    "container": "CONTAINER",
    "file": "FILE",
    "library": "LIBRARY",
    "machine-learning-model": "OTHER",
    "operating-system": "OPERATING-SYSTEM",
    "platform": "APPLICATION",
}


def document(inventory: Inventory, contents: Contents) -> dict[str, Any]:
    """The document; relationships say what is in the image and what depends on what."""
    names: dict[str, str] = {}
    components = (inventory.root, *inventory.components)
    packages = [_package(c, names) for c in components]
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"{inventory.root.name} {contents.digest}",
        "documentNamespace": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, 'spdx:' + contents.digest)}",
        "creationInfo": {
            "created": contents.config.get("created") or "1970-01-01T00:00:00Z",
            "creators": [f"Tool: {TOOL}"],
        },
        "documentDescribes": [_id(inventory.root)],
        "packages": packages,
        "hasExtractedLicensingInfos": [
            {
                "licenseId": ref,
                "name": name,
                "extractedText": f"{name}: its text is in the image, in the package's copyright file or metadata",
            }
            for ref, name in sorted(names.items())
        ],
        "relationships": list(_relationships(inventory)),
    }


def _id(component: Component) -> str:
    readable = re.sub(r"[^A-Za-z0-9.-]+", "-", component.name).strip("-") or component.kind
    return f"SPDXRef-{component.kind}-{readable}-{hashlib.sha256(component.ref.encode()).hexdigest()[:12]}"


def _package(component: Component, names: dict[str, str]) -> dict[str, Any]:
    value: dict[str, Any] = {
        "SPDXID": _id(component),
        "name": component.name,
        "versionInfo": component.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": _expression(component.licences, names),
        "copyrightText": "NOASSERTION",
        "supplier": f"Organization: {component.supplier}" if component.supplier else "NOASSERTION",
        "summary": component.description,
        "homepage": component.homepage if component.homepage.startswith(("http://", "https://")) else "",
        "primaryPackagePurpose": _PURPOSE[component.kind],
        "checksums": [{"algorithm": "SHA256", "checksumValue": component.sha256}] if component.sha256 else None,
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": component.purl,
            }
        ]
        if component.purl
        else None,
    }
    return {key: each for key, each in value.items() if each not in ("", None)}


def _expression(declared: Sequence[str], names: dict[str, str]) -> str:
    if not declared:
        return "NOASSERTION"
    parts = []
    for name in declared:
        known = licences.expression(name)
        if not known:
            known = "LicenseRef-" + (re.sub(r"[^A-Za-z0-9.-]+", "-", name).strip("-") or "unnamed")
            names[known] = name
        parts.append(f"({known})" if len(declared) > 1 and " " in known else known)
    return " AND ".join(parts)


def _relationships(inventory: Inventory) -> Iterator[dict[str, str]]:
    ids = {c.ref: _id(c) for c in (inventory.root, *inventory.components)}
    root = ids[inventory.root.ref]

    def related(one: str, kind: str, other: str) -> dict[str, str]:
        return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}

    yield related("SPDXRef-DOCUMENT", "DESCRIBES", root)
    for component in inventory.components:
        yield related(root, "CONTAINS", ids[component.ref])
    for component in (inventory.root, *inventory.components):
        for ref in component.depends:
            yield related(ids[component.ref], "DEPENDS_ON", ids[ref])
