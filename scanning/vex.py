"""Exceptions as VEX: OpenVEX 0.2.0 and CycloneDX 1.6, of one image. The same exceptions and image give the same bytes.

Only exceptions for packages that the image holds are issued. One with a justification says that the vulnerability does
no harm; one without says that it does, and that this is borne for now.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import quote

from scanning.exceptions import Exemption, same_package

# CycloneDX's words for OpenVEX's justifications (CycloneDX 1.6, "vulnerabilities[].analysis.justification").
_CYCLONEDX = {
    "component_not_present": "code_not_present",
    "vulnerable_code_not_present": "code_not_present",
    "vulnerable_code_not_in_execute_path": "code_not_reachable",
    "vulnerable_code_cannot_be_controlled_by_adversary": "requires_environment",
    "inline_mitigations_already_exist": "protected_by_mitigating_control",
}


@dataclass(frozen=True, slots=True)
class Product:
    """An image: its name, manifest digest (``sha256:…``), purl, and its SBOM's serial number and components.

    ``components`` are name and purl by bom-ref; ``made`` is when the image was (RFC 3339).
    """

    name: str
    digest: str
    purl: str
    serial: str
    components: Mapping[str, tuple[str, str]]
    made: str


def product(sbom: Mapping[str, Any]) -> Product:
    """The product that a CycloneDX document of :mod:`sbom.cyclonedx` is about."""
    about = sbom["metadata"]["component"]
    listed = {c["bom-ref"]: (c["name"], c.get("purl", "")) for c in sbom["components"] if c["type"] != "file"}
    made = sbom["metadata"].get("timestamp", "1970-01-01T00:00:00Z")
    return Product(about["name"], about["version"], about["purl"], sbom["serialNumber"], listed, made)


def in_force(
    exceptions: Sequence[Exemption], about: Product, today: date
) -> Iterator[tuple[Exemption, tuple[str, ...]]]:
    """The exceptions that have not ended, each with the bom-refs of what it is for; not those for nothing in the image."""
    for each in sorted(exceptions, key=lambda e: (e.id, e.package)):
        refs = [
            ref
            for ref, (name, purl) in about.components.items()
            if each.package and same_package(each.package, purl, name)
        ]
        if refs and not each.ended(today):
            yield each, tuple(sorted(refs))


def openvex(exceptions: Sequence[Exemption], about: Product, today: date) -> dict[str, Any]:
    """The OpenVEX document (openvex.dev, specification 0.2.0)."""
    statements = [_statement(each, refs, about) for each, refs in in_force(exceptions, about, today)]
    text = json.dumps(statements, sort_keys=True) + about.digest
    return {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": f"https://openvex.dev/docs/public/vex-{hashlib.sha256(text.encode()).hexdigest()}",
        "author": ", ".join(sorted({e.owner for e, _ in in_force(exceptions, about, today)})) or about.name,
        "timestamp": about.made,
        "version": 1,
        "statements": statements,
    }


def _statement(each: Exemption, refs: Sequence[str], about: Product) -> dict[str, Any]:
    purls = sorted({about.components[ref][1] for ref in refs} - {""})
    inside = [{"@id": purl, "identifiers": {"purl": purl}} for purl in purls]
    image = {
        "@id": about.purl,
        "identifiers": {"purl": about.purl},
        "hashes": {"sha-256": about.digest.removeprefix("sha256:")},
        "subcomponents": inside,
    }
    value: dict[str, Any] = {
        "vulnerability": {"name": each.id},
        "timestamp": about.made,
        # The packages stand there as products too: of an image that is in no registry yet, and of an SBOM, Trivy
        # (0.76) knows no purl, and would match nothing.
        "products": [image, *inside],
        "supplier": each.owner,
        "status_notes": f"decided by {each.owner}; ends after {each.until}",
    }
    if each.justification:
        return value | {"status": "not_affected", "justification": each.justification, "impact_statement": each.reason}
    return value | {"status": "affected", "action_statement": each.reason}


def cyclonedx(exceptions: Sequence[Exemption], about: Product, today: date) -> dict[str, Any]:
    """The CycloneDX document; what it speaks of stands in the image's SBOM, which it links to."""
    vulnerabilities = []
    for each, refs in in_force(exceptions, about, today):
        detail = f"{each.reason} (decided by {each.owner}; ends after {each.until})"
        analysis: dict[str, Any] = {"state": "exploitable", "response": ["can_not_fix"], "detail": detail}
        if each.justification:
            analysis = {"state": "not_affected", "justification": _CYCLONEDX[each.justification], "detail": detail}
        link = f"urn:cdx:{about.serial.removeprefix('urn:uuid:')}/1#"
        vulnerabilities.append(
            {"id": each.id, "analysis": analysis, "affects": [{"ref": link + quote(ref, safe="")} for ref in refs]}
        )
    text = json.dumps(vulnerabilities, sort_keys=True)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'vex:{about.digest}:{text}')}",
        "version": 1,
        "metadata": {
            "timestamp": about.made,
            "component": {
                "type": "container",
                "bom-ref": about.purl,
                "name": about.name,
                "version": about.digest,
                "purl": about.purl,
            },
        },
        "vulnerabilities": vulnerabilities,
    }
