"""Images from and to real registries with TLS and passwords, and one without either."""

from __future__ import annotations

import http.server
import json
import threading
from pathlib import Path

import pytest
from programs import answer

from tests.parts.certificates import Certificates
from tests.parts.registries import PASSWORD, USER, Registry

LOGIN = f"""
def login(box, host, password):
    return box.with_registry_auth(host, {USER!r}, dag.set_secret("password", password))
"""


@pytest.fixture
def trusting(environment: dict[str, str], certificates: Certificates) -> dict[str, str]:
    return {**environment, "SSL_CERT_FILE": str(certificates.authority), "DOCKER_CONFIG": "/nowhere"}


def test_an_image_is_published_and_comes_back_by_tag_and_by_digest(
    busybox: Path, trusting: dict[str, str], registry: Registry
) -> None:
    body = (
        LOGIN
        + f"""
async def work(box):
    host, auth = {registry.host!r}, login(dag.container(), {registry.host!r}, {PASSWORD!r})
    made = login(box, host, {PASSWORD!r}).with_label("l", "v").with_entrypoint(["cat"]).with_default_args(["/word"])
    made = made.with_new_file("/word", "of an image")
    ref = await made.publish(f"{{host}}/team/app:1")
    again = await made.publish(f"{{host}}/team/app:1")
    tagged, pinned = auth.from_(f"{{host}}/team/app:1"), auth.from_(ref)
    tar = made.as_tarball()
    imported = dag.container().import_(tar)
    return {{
        "refs": [ref, again, await tagged.image_ref(), await pinned.image_ref()],
        "said": [await image.with_exec([], use_entrypoint=True).stdout() for image in (tagged, pinned, imported)],
        "config": [await tagged.entrypoint(), await tagged.label("l"), await imported.label("l")],
        "files": [await tagged.rootfs().digest() == await pinned.rootfs().digest()],
    }}
"""
    )
    found = answer(body, busybox, trusting)
    assert isinstance(found, dict)
    (ref,) = set(found["refs"])
    assert ref.startswith(f"{registry.host}/team/app:1@sha256:")
    assert found["said"] == ["of an image"] * 3
    assert found["config"] == [["cat"], "v", "v"] and found["files"] == [True]


def test_a_wrong_password_an_unknown_tag_and_no_login_are_each_said_with_the_image(
    busybox: Path, trusting: dict[str, str], registry: Registry
) -> None:
    body = (
        LOGIN
        + f"""
async def work(box):
    host, out = {registry.host!r}, []
    for password, name in (("wrong", "team/app"), ({PASSWORD!r}, "team/none:9"), ("", "team/app")):
        start = login(dag.container(), host, password) if password else dag.container().without_registry_auth(host)
        try:
            await start.from_(f"{{host}}/{{name}}").sync()
        except dagger.QueryError as error:
            out.append(str(error))
    try:
        await login(box, host, "wrong").publish(f"{{host}}/team/refused:1")
    except dagger.QueryError as error:
        out.append(str(error))
    return out
"""
    )
    found = answer(body, busybox, trusting)
    assert isinstance(found, list) and len(found) == 4
    assert all(registry.host in text and "Traceback" not in text for text in found)
    assert ["401" in text or "404" in text for text in found] == [True] * 4
    assert PASSWORD not in json.dumps(found)


def test_a_certificate_that_is_not_trusted_is_no_reason_to_speak_without_tls(
    busybox: Path, environment: dict[str, str], registry: Registry
) -> None:
    body = (
        LOGIN
        + f"""
async def work(box):
    try:
        await login(dag.container(), {registry.host!r}, {PASSWORD!r}).from_("{registry.host}/team/app").sync()
    except dagger.QueryError as error:
        return str(error)
"""
    )
    assert "certificate" in str(answer(body, busybox, environment)).lower()


def test_a_registry_on_this_machine_may_do_without_tls(busybox: Path, environment: dict[str, str]) -> None:
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f"127.0.0.1:{server.server_address[1]}"
        body = f"""
async def work(box):
    try:
        await dag.container().from_("{host}/team/app:1").sync()
    except dagger.QueryError as error:
        return str(error)
"""
        assert "404" in str(answer(body, busybox, environment))
        server.shutdown()
    assert asked == ["/v2/team/app/manifests/1"]
