"""The tag that lists referrers where a registry has no API for it: anyone who may push can write it, so it is only a hint."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from images.manifest import encode
from registry import content, copy
from registry.reference import Repository
from registry.remote import Remote, fallback_tag
from sbom import statements
from tests.parts.attacked import Attack
from tests.parts.certificates import Certificates
from tests.parts.registries import Registry, settings
from verification import collect

Entries = list[dict[str, Any]]


def _each(**changes: Any) -> Callable[[Entries], Entries]:
    return lambda listed: [{**each, **changes} for each in listed]


#: What becomes of the entries, and whether the signature is still found: what a referrer is, its own manifest says.
LISTS: dict[str, tuple[Callable[[Entries], Entries], bool]] = {
    "as it is": (lambda listed: listed, True),
    "with another artifact type": (_each(artifactType="application/vnd.example"), True),
    "with annotations of another predicate": (_each(annotations={"dev.sigstore.bundle.predicateType": "x"}), True),
    "with everything ten times": (lambda listed: listed * 10, True),
    "with nothing": (lambda _: [], False),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_referrers_is_only_a_hint(
    attack: Attack, plain_registry: Registry, certificates: Certificates, name: str
) -> None:
    change, found = LISTS[name]
    path = f"fallback/{sorted(LISTS).index(name)}"
    with Remote(Repository(plain_registry.host, path), settings(plain_registry, certificates)) as remote:
        copy.copy(attack.layout, attack.root.descriptor, remote.for_writing(), ["1"])
        tag = fallback_tag(attack.root.digest)
        listed = json.loads(remote.manifest(remote.resolve(tag).digest).data)
        made = {**listed, "manifests": change(listed["manifests"])}
        data = encode(made)
        # As an attacker would, past every check of ours.
        remote.tag(tag, content.manifest(data))
        known = collect.evidence(remote, attack.root, collect.verifiers(attack.rules))
        kinds = {each.statement.predicate_type for each in known.said}
        assert (statements.COSIGN_SIGNATURE in kinds) == found
        assert len(known.said) == (6 if found else 0) and known.refused == ()


def test_a_tag_that_holds_an_image_instead_of_a_list_lists_nothing(
    attack: Attack, plain_registry: Registry, certificates: Certificates
) -> None:
    with Remote(Repository(plain_registry.host, "fallback/image"), settings(plain_registry, certificates)) as remote:
        copy.copy(attack.layout, attack.root.descriptor, remote.for_writing(), ["1"])
        remote.tag(fallback_tag(attack.root.digest), attack.root)
        assert remote.referrers(attack.root.digest) == []
