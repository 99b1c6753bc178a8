"""The surroundings of other people's tools: logged in to a registry, trusting its authority too, with a home of their own."""

from __future__ import annotations

import base64
import json
import os
import ssl
from pathlib import Path

from tests.parts.certificates import Certificates
from tests.parts.registries import PASSWORD, USER, Registry


def environment(
    home: Path, registry: Registry | None = None, certificates: Certificates | None = None, *more: Registry
) -> dict[str, str]:
    """Variables for a tool."""
    docker = home / "docker"
    docker.mkdir(exist_ok=True)
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    hosts = [each.host for each in (registry, *more) if each]
    (docker / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth} for host in hosts}}))
    made = {"PATH": os.environ["PATH"], "HOME": str(home), "DOCKER_CONFIG": str(docker), "TUF_ROOT": str(home / "tuf")}
    made["REGISTRY_AUTH_FILE"] = str(docker / "config.json")
    if certificates:
        bundle = home / "authorities.pem"
        bundle.write_bytes(_authorities_of_the_machine() + certificates.authority.read_bytes())
        made["SSL_CERT_FILE"] = str(bundle)
    return made


def _authorities_of_the_machine() -> bytes:
    """What a build that such a tool starts needs for its downloads."""
    found = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    return Path(found).read_bytes() if found and Path(found).is_file() else b""
