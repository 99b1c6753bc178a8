"""Whether a CycloneDX document hangs together, and whether it is true of an image: recomputed, not believed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from sbom.component import Inventory
from sbom.contents import Contents
from sbom.cyclonedx import DIGEST, LAYER, document

#: What an image does not tell and a document may: the hash of the archive that a component came in, from a lock.
_FROM_LOCKS = ("hashes",)


def problems(value: dict[str, Any]) -> list[str]:
    """What is wrong with a document in itself: refs that are not unique or name nothing. The schema sees neither."""
    refs = Counter(_refs(value))
    found = [f"bom-ref {ref!r} stands {count} times" for ref, count in sorted(refs.items()) if count > 1]
    for entry in value.get("dependencies", ()):
        for ref in (entry.get("ref"), *entry.get("dependsOn", ())):
            if ref not in refs:
                found.append(f"the dependency graph names {ref!r}, which is no component")
    for each in value.get("compositions", ()):
        for ref in (*each.get("assemblies", ()), *each.get("dependencies", ())):
            if ref not in refs:
                found.append(f"a composition names {ref!r}, which is no component")
    for formula in value.get("formulation", ()):
        for workflow in formula.get("workflows", ()):
            for task in workflow.get("tasks", ()):
                for each in task.get("inputs", ()):
                    if each.get("resource", {}).get("ref") not in refs:
                        found.append(f"task {task.get('name')!r} names {each.get('resource')!r}, which is no component")
    return found


def _refs(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("bom-ref"), str):
            yield value["bom-ref"]
        for each in value.values():
            yield from _refs(each)
    elif isinstance(value, list):
        for each in value:
            yield from _refs(each)


def differences(value: dict[str, Any], inventory: Inventory, contents: Contents) -> list[str]:
    """In what a document and the image differ; none if it is the document of this very image.

    ``inventory`` is what was found in the image. Archive hashes, which the image cannot tell, are not compared: they
    follow from the locks of the revision that it was built from.
    """
    expected = document(inventory, contents)
    if value.get("metadata", {}).get("component", {}).get("version") != contents.digest:
        named = value.get("metadata", {}).get("component", {}).get("version")
        return [f"it is about {named}, not about {contents.digest}"]
    ours = {c["bom-ref"]: c for c in expected["components"]}
    theirs = {c.get("bom-ref"): c for c in value.get("components", ()) if isinstance(c, dict)}
    if len(theirs) != len(value.get("components", ())):
        return ["a bom-ref stands for two components, or for none"]
    found = [f"{ref} is in the image and not in the document" for ref in sorted(ours.keys() - theirs.keys())]
    found += [f"{ref} is in the document and not in the image" for ref in sorted(map(str, theirs.keys() - ours.keys()))]
    for ref in sorted(ours.keys() & theirs.keys()):
        one, other = (_facts(c) for c in (ours[ref], theirs[ref]))
        found += [
            f"{ref}: {key} is {one.get(key)} in the image, {other.get(key)} in the document"
            for key in sorted({*one, *other})
            if one.get(key) != other.get(key)
        ]
    if not found:
        found = [
            f"{key} is not what the image gives"
            for key in sorted({*expected, *value} - {"components"})
            if expected.get(key) != value.get(key)
        ]
    return found


def _facts(component: dict[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {
        k: v
        for k, v in component.items()
        if k != "properties" and (k not in _FROM_LOCKS or component.get("type") in ("file", "machine-learning-model"))
    }
    for each in component.get("properties", ()):
        facts.setdefault(f"property {each['name']}", []).append(each["value"])
    return facts


__all__ = ["DIGEST", "LAYER", "differences", "problems"]
