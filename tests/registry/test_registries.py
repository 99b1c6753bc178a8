"""Publishing to two real registries, and copying between them, folders and tars."""

from __future__ import annotations

import filecmp
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from images.manifest import encode
from registry import content, copy, layout
from registry.content import EMPTY, Manifest
from registry.credentials import Credentials
from registry.errors import Corrupt, Denied, NotFound, RegistryError
from registry.layout import Layout
from registry.reference import Repository
from registry.remote import Remote, fallback_tag
from registry.transport import Settings
from tests.parts.certificates import Certificates
from tests.parts.registries import Registry, settings
from tests.parts.sample import add, image


@contextmanager
def remote(registry: Registry, certificates: Certificates, path: str, chunk: int = 64 << 20) -> Iterator[Remote]:
    with Remote(Repository(registry.host, path), settings(registry, certificates), chunk) as found:
        yield found.for_writing()


def attachment(folder: Layout, subject: Manifest, text: str) -> Manifest:
    """A referrer with one small blob."""
    add(folder, b"{}", EMPTY)
    blob = add(folder, text.encode(), "text/plain")
    value = content.manifest(
        encode(
            {
                "schemaVersion": 2,
                "mediaType": content.MANIFEST,
                "artifactType": "text/plain",
                "config": content.Descriptor(EMPTY, content.Digest.of(b"{}"), 2).to_json(),
                "layers": [blob.to_json()],
                "subject": subject.descriptor.to_json(),
                "annotations": {"of": "the tests"},
            }
        )
    )
    folder.put_manifest(value)
    return value


def test_an_image_is_published_as_it_is_and_nothing_is_sent_twice(
    registry: Registry, certificates: Certificates, tmp_path: Path
) -> None:
    source, root = image(tmp_path / "a", seed=11, size=300_000)
    with remote(registry, certificates, "first/image") as target:
        sent = copy.copy(source, root.descriptor, target, ["1.0"])
        assert (sent.blobs["sent"], sent.manifests) == (3, 1)
        assert target.resolve("1.0").digest == root.digest
        before = len(registry.proxy.requests)
        again = copy.copy(source, root.descriptor, target, ["1.0"])
        assert (again.blobs, again.manifests) == ({"sent": 0, "mounted": 0, "there": 3}, 0)
    assert {each[0] for each in registry.proxy.requests[before:]} <= {"GET", "HEAD"}


def test_a_blob_of_a_neighbour_is_mounted_where_the_registry_can(
    plain_registry: Registry, certificates: Certificates, tmp_path: Path
) -> None:
    source, root = image(tmp_path / "a", seed=12)
    with remote(plain_registry, certificates, "mount/from") as one:
        copy.copy(source, root.descriptor, one, [])
    with remote(plain_registry, certificates, "mount/to") as other:
        assert copy.copy(source, root.descriptor, other, ["x"], elsewhere=["mount/from"]).blobs["mounted"] == 3


def test_a_tag_is_moved_only_when_that_is_asked_for(
    registry: Registry, certificates: Certificates, tmp_path: Path
) -> None:
    one, first = image(tmp_path / "a", seed=13)
    other, second = image(tmp_path / "b", seed=14)
    with remote(registry, certificates, "tag/moved") as target:
        copy.copy(one, first.descriptor, target, ["1"])
        before = len(registry.proxy.requests)
        with pytest.raises(RegistryError, match="--move-tags"):
            copy.copy(other, second.descriptor, target, ["1"])
        assert {each[0] for each in registry.proxy.requests[before:]} == {"GET"}
        assert target.resolve("1").digest == first.digest
        copy.copy(other, second.descriptor, target, ["1"], move=True)
        assert target.resolve("1").digest == second.digest


def test_referrers_are_found_with_and_without_the_api(
    registry: Registry, certificates: Certificates, tmp_path: Path
) -> None:
    source, root = image(tmp_path / "a", seed=15)
    texts = [attachment(source, root, f"note {number}") for number in range(3)]
    of_text = attachment(source, texts[0], "a note on a note")
    with remote(registry, certificates, "with/referrers") as target:
        copy.copy(source, root.descriptor, target, ["1"])
        assert target.referrers_api is registry.has_referrers
        found = target.referrers(root.digest)
        assert [each.data for each in found] == [each.data for each in sorted(texts, key=lambda each: each.digest)]
        assert target.referrers(texts[0].digest) == [of_text]
        if not registry.has_referrers:
            listed = target.manifest(target.resolve(fallback_tag(root.digest)).digest)
            assert {each.artifact_type for each in listed.manifests} == {"text/plain"}
            assert all(dict(each.annotations) == {"of": "the tests"} for each in listed.manifests)


def test_an_image_goes_round_by_registries_folder_and_tar_byte_for_byte(
    plain_registry: Registry, new_registry: Registry, certificates: Certificates, tmp_path: Path
) -> None:
    source, root = image(tmp_path / "a", seed=16, size=100_000, name="1")
    attachment(source, attachment(source, root, "a note"), "on a note")
    with (
        remote(plain_registry, certificates, "round/trip") as one,
        remote(new_registry, certificates, "round/trip") as two,
    ):
        copy.copy(source, root.descriptor, one, ["1"])
        copy.copy(one, one.resolve("1"), two, ["1"])
        target = Layout(tmp_path / "b", create=True)
        copy.copy(two, two.resolve("1"), target, ["1"])
    layout.to_tar(target, tmp_path / "b.tar")
    with layout.from_tar(tmp_path / "b.tar") as unpacked:
        names = sorted(each.name for each in (source.folder / "blobs/sha256").iterdir())
        assert sorted(each.name for each in (unpacked.folder / "blobs/sha256").iterdir()) == names
        same, different, odd = filecmp.cmpfiles(
            source.folder / "blobs/sha256", unpacked.folder / "blobs/sha256", names, shallow=False
        )
        assert (len(same), different, odd) == (len(names), [], [])
        assert unpacked.resolve("1") == root.descriptor
        assert unpacked.resolve(None) == root.descriptor
        assert len(copy.attached(unpacked, [root])) == 2
    layout.to_tar(target, tmp_path / "c.tar")
    assert filecmp.cmp(tmp_path / "b.tar", tmp_path / "c.tar", shallow=False)


def test_an_index_is_published_after_its_images(registry: Registry, certificates: Certificates, tmp_path: Path) -> None:
    source, one = image(tmp_path / "a", seed=17)
    _, two = image(tmp_path / "a", seed=18)
    root = content.manifest(
        encode(
            {
                "schemaVersion": 2,
                "mediaType": content.INDEX,
                "manifests": [
                    {**each.descriptor.to_json(), "platform": {"os": "linux", "architecture": name}}
                    for each, name in ((one, "amd64"), (two, "arm64"))
                ],
            }
        )
    )
    source.put_manifest(root)
    with remote(registry, certificates, "an/index") as target:
        copy.copy(source, root.descriptor, target, ["all"])
        puts = [path.rsplit("/", 1)[1] for method, path, _ in registry.proxy.seen("PUT /v2/an/index/manifests")]
        assert puts == [str(one.digest), str(two.digest), str(root.digest), "all"]
        assert copy.graph(target, target.resolve("all")).root == root


def test_a_wrong_password_is_told_without_being_shown(
    registry: Registry, certificates: Certificates, tmp_path: Path
) -> None:
    with Remote(Repository(registry.host, "x/y"), settings(registry, certificates, "wr0ng-passw0rd")) as target:
        with pytest.raises(Denied) as refused:
            target.resolve("1")
    assert "wr0ng" not in str(refused.value)
    with Remote(Repository(registry.host, "x/y"), Settings(Credentials((), {}), (certificates.authority,))) as target:
        with pytest.raises(Denied, match=r"no credentials|authentication required"):
            target.resolve("1")


def test_a_certificate_that_is_not_trusted_is_refused_at_once(registry: Registry) -> None:
    with Remote(Repository(registry.host, "x/y"), Settings(Credentials((), {}))) as target:
        with pytest.raises(RegistryError, match="--ca"):
            target.resolve("1")


def test_what_does_not_exist_is_said_to_be_missing(registry: Registry, certificates: Certificates) -> None:
    with (
        remote(registry, certificates, "never/was") as target,
        pytest.raises(NotFound, match="never/was:1 does not exist"),
    ):
        target.resolve("1")


def test_a_blob_is_sent_in_chunks(registry: Registry, certificates: Certificates, tmp_path: Path) -> None:
    source, root = image(tmp_path / "a", seed=19, size=200_000)
    with remote(registry, certificates, "in/chunks", chunk=64_000) as target:
        copy.copy(source, root.descriptor, target, ["1"])
        assert copy.graph(target, target.resolve("1")).size == copy.graph(source, root.descriptor).size
    assert len(registry.proxy.seen("PATCH /v2/in/chunks")) == 6


@pytest.mark.parametrize("where", ["config", "layer", "manifest"])
def test_a_layout_whose_bytes_changed_is_not_published(
    plain_registry: Registry, certificates: Certificates, tmp_path: Path, where: str
) -> None:
    source, root = image(tmp_path / "a", seed=20)
    digest = {"config": root.blobs[0], "layer": root.blobs[2], "manifest": root.descriptor}[where].digest
    path = source.folder / "blobs/sha256" / digest.hex
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    with remote(plain_registry, certificates, f"changed/{where}") as target:
        with pytest.raises(Corrupt, match=str(digest)):
            copy.copy(source, root.descriptor, target, ["1"])
        with pytest.raises(NotFound):
            target.resolve("1")


def test_a_manifest_that_reads_as_an_index_too_is_refused() -> None:
    both = {"schemaVersion": 2, "mediaType": content.MANIFEST, "config": {}, "layers": [], "manifests": []}
    with pytest.raises(RegistryError, match="does not fit its fields"):
        content.manifest(json.dumps(both).encode())
