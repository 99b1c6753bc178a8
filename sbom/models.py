"""Trained models of an image: weights in safetensors, and the card that lies beside them.

``NAME.modelcard.json`` is a CycloneDX component of type machine-learning-model with its ``modelCard`` (ECMA-424); weights without
a card are a model too, of which nothing more is known.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from packageurl import PackageURL

from sbom import licences
from sbom.component import Component
from sbom.contents import Contents
from sbom.errors import SbomError

WEIGHTS, CARD = ".safetensors", ".modelcard.json"
KIND = "machine-learning-model"


def components(contents: Contents) -> Iterator[Component]:
    """The models.

    Raises:
        SbomError: a card that cannot be read, or that is about other weights than those beside it.
    """
    for path, file in sorted(contents.files.items()):
        if not path.endswith(WEIGHTS) or file.link:
            continue
        place = path.removesuffix(WEIGHTS) + CARD
        card = _card(contents.texts[place], place) if place in contents.texts else {}
        sha256 = file.digest.removeprefix("sha256:")
        if (said := _hash(card)) not in ("", sha256):
            raise SbomError(
                f"{place} is the card of weights with SHA-256 {said}, and {path} has {sha256}; train or copy both"
            )
        name, version = (
            str(card.get("name") or path.rpartition("/")[2].removesuffix(WEIGHTS)),
            str(card.get("version", "")),
        )
        purl = PackageURL("generic", None, name, version or None).to_string()
        yield Component(
            ref=f"{purl}#/{path}",
            kind=KIND,
            name=name,
            version=version,
            purl=purl,
            licences=tuple(
                licences.known(str(each.get("license", {}).get("id") or each.get("expression", "")))
                for each in card.get("licenses", ())
            ),
            description=str(card.get("description", "")),
            sha256=sha256,
            layer=file.layer,
            found=(path,),
            files=(path, place) if card else (path,),
            model_card=card.get("modelCard"),
        )


def _card(data: bytes, place: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
        if value["type"] != KIND or not isinstance(value["name"], str) or not isinstance(value["modelCard"], dict):
            raise ValueError(f"it is no {KIND} with a name and a modelCard")
    except (ValueError, KeyError, TypeError) as error:
        raise SbomError(f"{place} is no model card: {error}") from None
    return dict(value)


def _hash(card: dict[str, Any]) -> str:
    hashes = (each.get("content", "") for each in card.get("hashes", ()) if each.get("alg") == "SHA-256")
    return str(next(hashes, ""))
