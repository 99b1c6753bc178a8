"""Registries in trouble: it ends well, or stops with the reason; no tag points at something incomplete."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry import copy
from registry.errors import NotFound, RegistryError
from registry.reference import Repository
from registry.remote import Remote
from tests.parts.certificates import Certificates
from tests.parts.proxy import Fault
from tests.parts.registries import Registry, settings
from tests.parts.sample import image

PASSING = {
    "500 twice": Fault("(PUT|PATCH|POST)", 2, status=500),
    "503 to reads": Fault("(GET|HEAD) .*(blobs|manifests)", 2, status=503),
    "429 with Retry-After": Fault("(PUT|POST)", 2, status=429, headers={"Retry-After": "0"}),
    "cut in a blob": Fault("PATCH", 1, cut=30_000),
    "429 with a date": Fault("PUT", 1, status=429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
    "cut in an answer": Fault("GET .*manifests/sha256", 1, short=40),
}
LASTING = {
    "500 always": (Fault("PUT .*manifests", -1, status=500), "answered 500"),
    "disk full": (Fault("PATCH", -1, status=507), "answered 507"),
    "wrong digest": (Fault("PUT .*manifests", -1, digest="sha256:" + "0" * 64), "the registry says"),
    "asks for an hour": (Fault("POST", -1, status=429, headers={"Retry-After": "3600"}), "run the same again later"),
    "a flipped bit": (Fault("GET .*manifests/sha256", -1, flip=True), "what came has digest"),
    "always cut": (Fault("PATCH", -1, cut=10), "could not be sent"),
}


@pytest.mark.parametrize("name", sorted(PASSING))
def test_trouble_that_passes_does_no_harm(
    registry: Registry, certificates: Certificates, tmp_path: Path, name: str
) -> None:
    source, root = image(tmp_path / "a", seed=60 + sorted(PASSING).index(name), size=120_000)
    path = f"fault/{name.lower().replace(' ', '-')}"
    fault = Fault(**vars(PASSING[name]))
    registry.proxy.faults[:] = [fault]
    try:
        with Remote(Repository(registry.host, path), settings(registry, certificates)) as target:
            copy.copy(source, root.descriptor, target.for_writing(), ["1"])
            assert fault.times == 0
            assert copy.graph(target, target.resolve("1")).size == copy.graph(source, root.descriptor).size
    finally:
        registry.proxy.faults.clear()


@pytest.mark.parametrize("name", sorted(LASTING))
def test_trouble_that_lasts_stops_with_its_reason_and_without_a_tag(
    registry: Registry, certificates: Certificates, tmp_path: Path, name: str
) -> None:
    source, root = image(tmp_path / "a", seed=70 + sorted(LASTING).index(name), size=20_000)
    fault, says = LASTING[name]
    registry.proxy.faults[:] = [Fault(**vars(fault))]
    with Remote(
        Repository(registry.host, f"lasting/{name.replace(' ', '-')}"), settings(registry, certificates)
    ) as target:
        with pytest.raises(RegistryError, match=says):
            copy.copy(source, root.descriptor, target.for_writing(), ["1"])
        registry.proxy.faults.clear()
        with pytest.raises(NotFound):
            target.resolve("1")
        copy.copy(source, root.descriptor, target, ["1"])
        assert target.resolve("1").digest == root.digest


def test_a_blob_that_is_cut_while_it_is_read_goes_on_where_it_stopped(
    registry: Registry, certificates: Certificates, tmp_path: Path
) -> None:
    source, root = image(tmp_path / "a", seed=79, size=120_000)
    fault = Fault("GET .*blobs", 1, short=20_000)
    with Remote(Repository(registry.host, "cut/read"), settings(registry, certificates)) as target:
        copy.copy(source, root.descriptor, target.for_writing(), ["1"])
        registry.proxy.faults[:] = [fault]
        try:
            with target.blob(root.blobs[2]) as file:
                assert file.stat().st_size == root.blobs[2].size
        finally:
            registry.proxy.faults.clear()
    assert fault.times == 0
