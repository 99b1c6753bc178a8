"""Trained models in an SBOM: by their weights, with the card that lies beside them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from sbom import check, cyclonedx, spdx
from sbom.contents import Contents, Layer
from sbom.errors import SbomError
from sbom.inventory import take
from tests.sbom.test_ecosystems import contents_of

WEIGHTS, CARD, CODE = "app/net.safetensors", "app/net.modelcard.json", "app/use.py"
GOOD: dict[str, Any] = {
    "type": "machine-learning-model",
    "name": "net",
    "version": "3",
    "licenses": [{"license": {"id": "Apache-2.0"}}],
    "hashes": [{"alg": "SHA-256", "content": "3" * 64}],
    "modelCard": {"modelParameters": {"task": "tabular-regression"}},
}


def image(card: object | None) -> Contents:
    """An application with a model, and its card if there is one."""
    texts = {WEIGHTS: "", CODE: "import math\n"} | ({CARD: json.dumps(card)} if card is not None else {})
    found = contents_of(texts)
    return replace(found, layers=(Layer("application", found.layers[0].digest, found.layers[0].diff_id),))


def test_a_model_is_a_component_with_its_card_and_the_application_depends_on_it() -> None:
    contents = image(GOOD)
    listed = take(contents)
    document = cyclonedx.document(listed, contents)
    assert check.problems(document) == []
    (model,) = [each for each in document["components"] if each["type"] == "machine-learning-model"]
    assert (model["name"], model["version"], model["modelCard"]) == ("net", "3", GOOD["modelCard"])
    assert model["hashes"] == [{"alg": "SHA-256", "content": "3" * 64}]
    assert model["licenses"] == [{"acknowledgement": "declared", "expression": "Apache-2.0"}]
    (application,) = [c for c in listed.components if c.kind == "application"]
    assert model["bom-ref"] in application.depends and application.files == (CODE,)
    assert document["compositions"][0]["aggregate"] == "complete"
    assert spdx.document(listed, contents)["packages"]


def test_the_document_is_valid_cyclonedx() -> None:
    validation = pytest.importorskip("cyclonedx.validation.json")
    from cyclonedx.schema import SchemaVersion

    contents = image(GOOD)
    data = cyclonedx.encode(cyclonedx.document(take(contents), contents)).decode()
    assert validation.JsonStrictValidator(SchemaVersion.V1_6).validate_str(data) is None


def test_weights_without_a_card_are_a_model_too() -> None:
    (model,) = [each for each in take(image(None)).components if each.kind == "machine-learning-model"]
    assert (model.name, model.model_card, model.files) == ("net", None, (WEIGHTS,))


def test_a_card_of_other_weights_is_refused() -> None:
    other = {**GOOD, "hashes": [{"alg": "SHA-256", "content": "5" * 64}]}
    with pytest.raises(SbomError, match=r"net\.modelcard\.json is the card of weights with SHA-256 5555"):
        take(image(other))


@pytest.mark.parametrize("card", [[], {"type": "library", "name": "x", "modelCard": {}}, {"type": GOOD["type"]}, 7])
def test_what_is_no_card_is_refused_by_name(card: object) -> None:
    with pytest.raises(SbomError, match=r"net\.modelcard\.json is no model card"):
        take(image(card))


def test_an_image_with_other_weights_does_not_pass_for_the_described_one() -> None:
    contents = image(GOOD)
    document = cyclonedx.document(take(contents), contents)
    changed = replace(
        contents, files={**contents.files, WEIGHTS: replace(contents.files[WEIGHTS], digest="sha256:" + "6" * 64)}
    )
    changed = replace(
        changed,
        texts={p: t for p, t in changed.texts.items() if p != CARD},
        files={p: f for p, f in changed.files.items() if p != CARD},
    )
    assert check.differences(document, take(changed), changed)
