"""What is said of the finished images, against the images themselves and what other tools find in them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from sbom import check, cyclonedx, spdx
from sbom.component import Inventory
from sbom.contents import Contents
from sbom.inventory import take
from tests.sbom.conftest import DIST, TARGETS

pytestmark = pytest.mark.parametrize("target", TARGETS)


@pytest.fixture
def image(images: dict[str, Contents], target: str) -> Contents:
    return images[target]


@pytest.fixture
def inventory(image: Contents) -> Inventory:
    return take(image)


def _purls(components: list[dict[str, Any]]) -> set[str]:
    return {c["purl"].partition("?")[0] for c in components if c.get("purl")}


def test_every_file_of_an_image_belongs_to_a_component(image: Contents, inventory: Inventory) -> None:
    owned = inventory.owned()
    assert sorted(set(image.files) - owned) == []
    assert sorted(owned - set(image.files)) == []
    ours = {c.name for c in inventory.components if c.kind == "file"}
    assert {name for name in ours if not name.startswith("/etc/")} <= {
        "/bin", "/sbin", "/lib", "/lib64", "/usr/bin/python3", "/usr/bin/awk", "/usr/bin/sh",
    }  # fmt: skip
    assert cyclonedx.document(inventory, image)["compositions"][0]["aggregate"] == "complete"


def test_a_file_that_nobody_owns_makes_the_document_incomplete(image: Contents, inventory: Inventory) -> None:
    less = Inventory(inventory.root, inventory.components[1:])
    assert cyclonedx.document(less, image)["compositions"][0]["aggregate"] == "incomplete"


def test_the_documents_are_valid_by_schema_and_hang_together(
    target: str, image: Contents, inventory: Inventory
) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    for name in (f"{target}.cdx.json", f"{target}.build.cdx.json"):
        text = (DIST / "sbom" / name).read_text()
        assert validator.validate_str(text) is None
        assert check.problems(json.loads(text)) == []
    assert validator.validate_str(cyclonedx.encode(cyclonedx.document(inventory, image)).decode()) is None


def test_the_spdx_document_is_valid_and_names_the_same_packages(target: str, inventory: Inventory) -> None:
    value = json.loads((DIST / "sbom" / f"{target}.spdx.json").read_text())
    document = JsonLikeDictParser().parse(value)
    assert [m.validation_message for m in validate_full_spdx_document(document)] == []
    purls = {r["referenceLocator"] for p in value["packages"] for r in p.get("externalRefs", ())}
    assert {c.purl for c in (inventory.root, *inventory.components) if c.purl} == purls


def test_the_same_image_gives_the_same_bytes_whatever_the_hash_seed(target: str) -> None:
    program = (
        "import hashlib, sys; from pathlib import Path; from pipelines.contents import read; from sbom import cyclonedx, spdx;"
        "from sbom.inventory import take; c = read(Path(sys.argv[1])); i = take(c);"
        "print(hashlib.sha256(cyclonedx.encode(cyclonedx.document(i, c)) + cyclonedx.encode(spdx.document(i, c))).hexdigest())"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", program, str(DIST / target)],
            env={"PYTHONPATH": str(DIST.parent), "PYTHONHASHSEED": seed, "TZ": zone},
            capture_output=True,
            check=True,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"))
    }
    assert len(runs) == 1


def test_the_document_of_an_image_is_recomputed_and_not_believed(
    target: str, image: Contents, inventory: Inventory
) -> None:
    value = json.loads((DIST / "sbom" / f"{target}.cdx.json").read_text())
    assert check.differences(value, inventory, image) == []
    libraries = [n for n, c in enumerate(value["components"]) if c["type"] == "library"]
    for change in (
        lambda v: v["components"].pop(libraries[0]),
        lambda v: v["components"].append({"type": "library", "name": "x", "bom-ref": "x"}),
        lambda v: v["components"][libraries[3]].update(version="9.9"),
        lambda v: v["components"][0]["hashes"].clear() if v["components"][0].get("hashes") else v["components"][1].clear(),
        lambda v: next(p for p in v["components"][libraries[-1]]["properties"] if p["name"] == check.DIGEST).update(value="x"),
        lambda v: v["dependencies"].pop(),
        lambda v: v["compositions"][0].update(aggregate="unknown"),
        lambda v: v["metadata"]["component"].update(version="sha256:" + "0" * 64),
    ):  # fmt: skip
        changed = json.loads(json.dumps(value))
        change(changed)
        assert check.differences(changed, inventory, image) != []


def test_trivy_finds_nothing_in_the_image_that_the_document_lacks(
    target: str, inventory: Inventory, trivy: Path, tmp_path: Path
) -> None:
    out = tmp_path / "trivy.json"
    words = [trivy, "image", "--quiet", "--input", DIST / target, "--format", "cyclonedx", "--output", out]
    subprocess.run(
        [*words, "--cache-dir", tmp_path / "cache", "--offline-scan", "--skip-db-update"], check=True, timeout=120
    )
    theirs = _purls(json.loads(out.read_text())["components"])
    ours = {c.purl.partition("?")[0] for c in inventory.components}
    assert theirs - ours == set()
    assert any(purl.startswith("pkg:cargo/") for purl in theirs), "the crates of the wheel are not seen by a scanner"


def _named(purl: str) -> tuple[str, str, str]:
    """Type, name and version, with its epoch, which is a qualifier for Trivy and a part of the version for Syft."""
    found = PackageURL.from_string(purl)
    epoch = dict(found.qualifiers).get("epoch", "")
    return found.type, found.name, f"{epoch}:{found.version}" if epoch else str(found.version)


def test_syft_finds_nothing_in_the_image_that_the_document_lacks(
    target: str, inventory: Inventory, syft: Path, tmp_path: Path
) -> None:
    out = tmp_path / "syft.json"
    environment = {"HOME": str(tmp_path), "SYFT_CHECK_FOR_APP_UPDATE": "false"}
    words = [syft, "scan", f"oci-dir:{DIST / target}", "--quiet", "--output", f"cyclonedx-json={out}"]
    subprocess.run(words, env=environment, check=True, timeout=120)
    theirs = {_named(c["purl"]) for c in json.loads(out.read_text())["components"] if c.get("purl")}
    assert theirs - {_named(c.purl) for c in inventory.components if c.purl} == set()
    assert {"deb", "pypi", "cargo"} <= {kind for kind, _, _ in theirs}, "something is not seen, so nothing is compared"


def test_trivy_reads_the_document_as_it_reads_the_image(target: str, trivy: Path, tmp_path: Path) -> None:
    def listed(*words: str | Path) -> set[tuple[str, ...]]:
        out = tmp_path / "out.json"
        words = (trivy, *words, "--quiet", "--format", "json", "--list-all-pkgs", "--output", out, "--offline-scan")
        subprocess.run(
            [*words, "--scanners", "license", "--cache-dir", tmp_path / "cache", "--skip-db-update"],
            check=True,
            timeout=120,
        )
        found = json.loads(out.read_text())["Results"]
        packages = [p for result in found if result["Class"] == "os-pkgs" for p in result.get("Packages", ())]
        # Of a document Trivy leaves version and revision together, and compares them as one.
        keys = ("Name", "Epoch", "SrcName", "SrcVersion", "SrcRelease", "SrcEpoch")
        return {
            ("-".join(filter(None, (p["Version"], p.get("Release")))), *(str(p.get(key, "")) for key in keys))
            for p in packages
        }

    image, document = listed("image", "--input", DIST / target), listed("sbom", DIST / "sbom" / f"{target}.cdx.json")
    assert image and document == image


def test_cyclonedx_bom_reads_the_same_distributions_from_the_tree(
    target: str, image: Contents, inventory: Inventory, tmp_path: Path
) -> None:
    for path, data in image.texts.items():
        if ".dist-info/" in path:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(data)
    folders = sorted(
        {str(tmp_path / p.rpartition("/")[0].rpartition("/")[0]) for p in image.texts if p.endswith("/METADATA")}
    )
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho '{json.dumps(folders)}'\n")
    python.chmod(0o755)
    words = [
        Path(sys.executable).parent / "cyclonedx-py",
        "environment",
        "--output-reproducible",
        "-o",
        tmp_path / "o",
        python,
    ]
    subprocess.run(words, check=True, capture_output=True, timeout=120)
    theirs = {c["purl"].partition("?")[0] for c in json.loads((tmp_path / "o").read_text())["components"]}
    assert theirs == {c.purl for c in inventory.components if c.purl.startswith("pkg:pypi/")}


def test_the_graph_reaches_everything_from_the_image(inventory: Inventory) -> None:
    by_ref = {c.ref: c for c in (inventory.root, *inventory.components)}
    reached, pending = set[str](), [inventory.root.ref]
    while pending:
        ref = pending.pop()
        if ref not in reached:
            reached.add(ref)
            pending += by_ref[ref].depends
    assert reached == set(by_ref)


def test_two_forms_of_one_document_hold_the_same_relations(inventory: Inventory, image: Contents) -> None:
    edges = sum(len(d["dependsOn"]) for d in cyclonedx.document(inventory, image)["dependencies"])
    kinds = [r["relationshipType"] for r in spdx.document(inventory, image)["relationships"]]
    assert kinds.count("DEPENDS_ON") == edges
    assert kinds.count("CONTAINS") == len(inventory.components)
