"""Ways to log in: tokens of a service before a real registry, helpers, files; and a registry whose disk is full."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry import copy
from registry.credentials import Credentials
from registry.errors import Denied, NotFound, RegistryError
from registry.reference import Repository
from registry.remote import Remote
from registry.transport import Settings
from tests.parts.certificates import Certificates
from tests.parts.proxy import Fault
from tests.parts.registries import PASSWORD, QUICK, USER, Registry, settings, without_referrers
from tests.parts.sample import image
from tests.parts.tokens import Tokens
from tests.parts.toolbox import LOCK, program


@pytest.fixture(scope="module")
def tokens(certificates: Certificates) -> Tokens:
    return Tokens(certificates, f"{USER}:{PASSWORD}")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates, tokens: Tokens) -> Iterator[Registry]:
    """A registry that lets in by token alone."""
    with without_referrers(tmp_path_factory.mktemp("guarded"), certificates, tokens=tokens) as found:
        yield found


def test_one_token_serves_a_whole_run(
    guarded: Registry, certificates: Certificates, tokens: Tokens, tmp_path: Path
) -> None:
    source, root = image(tmp_path / "a", seed=81, size=50_000)
    tokens.given.clear()
    with Remote(Repository(guarded.host, "by/token"), settings(guarded, certificates)) as target:
        copy.copy(source, root.descriptor, target.for_writing(), ["1"])
        assert target.resolve("1").digest == root.digest
    assert tokens.given == ["repository:by/token:pull,push"]


def test_a_token_that_runs_out_in_the_middle_is_asked_for_again(
    guarded: Registry, certificates: Certificates, tokens: Tokens, tmp_path: Path
) -> None:
    source, root = image(tmp_path / "a", seed=82, size=50_000)
    tokens.given.clear()
    tokens.seconds = -300
    old = tokens.answer("/token?scope=repository:runs/out:pull,push", tokens.basic)[1]["token"]
    tokens.seconds, tokens.given = 300, []
    # The proxy sends the one that has run out in place of ours: the registry itself refuses it.
    fault = Fault("(PATCH|PUT|POST)", 3, token=old)
    guarded.proxy.faults[:] = [fault]
    try:
        with Remote(Repository(guarded.host, "runs/out"), settings(guarded, certificates)) as target:
            copy.copy(source, root.descriptor, target.for_writing(), ["1"])
            assert copy.graph(target, target.resolve("1")).size == copy.graph(source, root.descriptor).size
    finally:
        guarded.proxy.faults.clear()
    assert fault.times == 0
    assert len(tokens.given) > 1
    assert [each for each in guarded.proxy.requests if each[2] == 401]


def test_a_token_service_that_refuses_is_told_of_without_the_password(
    guarded: Registry, certificates: Certificates
) -> None:
    with Remote(Repository(guarded.host, "no/token"), settings(guarded, certificates, "wr0ng-passw0rd")) as target:
        with pytest.raises(Denied, match="gives no token for repository:no/token:pull") as refused:
            target.resolve("1")
    assert "wr0ng" not in str(refused.value)


def _helper(folder: Path, says: str, code: int = 0) -> dict[str, str]:
    """A helper program on PATH, and a Docker configuration that names it."""
    path = folder / "docker-credential-tests"
    path.write_text(f"#!/bin/sh\ncat > {folder}/asked\ncat <<'END'\n{says}\nEND\nexit {code}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"PATH": f"{folder}:{os.environ['PATH']}", "DOCKER_CONFIG": str(folder), "HOME": str(folder)}


@pytest.mark.parametrize("by", ["credHelpers", "credsStore", "auths", "file"])
def test_credentials_come_from_helpers_and_files(
    plain_registry: Registry, certificates: Certificates, tmp_path: Path, by: str
) -> None:
    host, given = plain_registry.host, ()
    environment = _helper(tmp_path, json.dumps({"ServerURL": host, "Username": USER, "Secret": PASSWORD}))
    config: dict[str, object] = {"credHelpers": {host: "tests"}} if by == "credHelpers" else {"credsStore": "tests"}
    if by == "auths":
        config = {"auths": {host: {"username": USER, "password": PASSWORD}}}
    if by == "file":
        (tmp_path / "login").write_text(f"{USER}:{PASSWORD}\n")
        config, given = {}, (f"{host}=file:{tmp_path / 'login'}",)  # type: ignore[assignment]
    (tmp_path / "config.json").write_text(json.dumps(config))
    who = Settings(Credentials(given, environment), (certificates.authority,), False, QUICK)
    with Remote(Repository(host, "by/helper"), who) as target:
        with pytest.raises(NotFound):
            target.resolve("1")
    assert (tmp_path / "asked").exists() == by.startswith("cred")


@pytest.mark.parametrize(
    ("says", "code", "why"),
    [
        ("no such thing", 1, "get failed for"),
        ("not JSON", 0, "gave no JSON"),
        ('{"Username": "x"}', 0, "gave no JSON with Username and Secret"),
    ],
)
def test_a_helper_that_fails_is_named_and_what_it_said_is_not_shown(
    plain_registry: Registry, certificates: Certificates, tmp_path: Path, says: str, code: int, why: str
) -> None:
    environment = _helper(tmp_path, f"{says} {PASSWORD}" if code else says, code)
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {plain_registry.host: "tests"}}))
    who = Settings(Credentials((), environment), (certificates.authority,), False, QUICK)
    with Remote(Repository(plain_registry.host, "by/helper"), who) as target:
        with pytest.raises(RegistryError, match=why) as refused:
            target.resolve("1")
    assert "docker-credential-tests" in str(refused.value)
    assert PASSWORD not in str(refused.value)


def test_a_registry_whose_disk_is_full_gets_no_tag_and_the_reason_is_told(
    certificates: Certificates, tmp_path: Path
) -> None:
    source, root = image(tmp_path / "a", seed=83, size=3_000_000)
    bubblewrap = program("bwrap", LOCK.with_name("sandbox.lock"))
    folder = tmp_path / "full"
    around = [*bubblewrap, "--die-with-parent", "--dev-bind", "/", "/", "--size", "1000000", "--tmpfs", str(folder / "storage"), "--"]
    with without_referrers(folder, certificates, around) as full:
        with Remote(Repository(full.host, "is/full"), settings(full, certificates)) as target:
            with pytest.raises(RegistryError, match=r"is/full.* answered 500"):
                copy.copy(source, root.descriptor, target.for_writing(), ["1"])
            with pytest.raises(NotFound):
                target.resolve("1")


def test_an_answer_that_drips_is_given_up_with_its_reason(
    plain_registry: Registry, certificates: Certificates, tmp_path: Path
) -> None:
    from dataclasses import replace

    source, root = image(tmp_path / "a", seed=84, size=30_000)
    patient = settings(plain_registry, certificates)
    with Remote(Repository(plain_registry.host, "drip/slow"), patient) as target:
        copy.copy(source, root.descriptor, target.for_writing(), ["1"])
    hasty = replace(patient, patience=replace(QUICK, attempts=2, grace=0.3))
    plain_registry.proxy.faults[:] = [Fault("GET .*blobs", -1, drip=0.01)]
    try:
        with Remote(Repository(plain_registry.host, "drip/slow"), hasty) as target:
            with pytest.raises(RegistryError, match=r"bytes in \d+ s"):
                with target.blob(root.blobs[2]):
                    pass
    finally:
        plain_registry.proxy.faults.clear()
