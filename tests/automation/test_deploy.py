"""What is under ``deploy/``: valid by the programs that will read it, and as hardened as the README says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.parts.go import programs
from tests.parts.toolbox import LOCK, program, run

HERE = Path(__file__).resolve().parents[2]


@pytest.fixture
def deploy(tmp_path: Path) -> Path:
    shutil.copytree(HERE / "deploy", tmp_path / "deploy", ignore=shutil.ignore_patterns("secrets"))
    subprocess.run([tmp_path / "deploy/secrets.sh"], check=True, capture_output=True, timeout=20)
    return tmp_path / "deploy"


def composed(deploy: Path, profile: str) -> dict[str, Any]:
    """The project as ``docker compose config`` sees it."""
    words = program("docker-compose", LOCK.with_name("compose.lock"))
    more = ("-f", str(deploy / "compose.yaml"), "--profile", profile, "config", "--format", "json")
    done = run([*words, *more], {"PATH": os.environ["PATH"], "HOME": str(deploy)})
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_secrets_are_made_once_and_only_their_owner_can_reach_them(deploy: Path) -> None:
    folder = deploy / "secrets"
    before = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(before) == {"database-password", "database-url", "master-key"}
    assert folder.stat().st_mode & 0o777 == 0o700 and len(before["master-key"]) == 64
    assert before["database-password"] in before["database-url"]
    subprocess.run([deploy / "secrets.sh"], check=True, timeout=20)
    assert {path.name: path.read_text() for path in folder.iterdir()} == before


def test_compose_is_valid_and_production_is_hardened(deploy: Path) -> None:
    found = composed(deploy, "production")
    assert set(found["services"]) == {"api", "database"}
    for service in found["services"].values():
        assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["pids_limit"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["healthcheck"]["test"] and service["restart"] == "unless-stopped" and service["mem_limit"]
    api = found["services"]["api"]
    assert api["user"] == "1000:1000" and "cap_add" not in api
    assert api["ports"][0]["host_ip"] == "127.0.0.1"
    assert {secret["source"] for secret in api["secrets"]} == {"database-url", "master-key"}
    text = json.dumps(found)
    assert not any(path.read_text() in text for path in (deploy / "secrets").iterdir())


def test_development_reloads_the_code_of_the_checkout(deploy: Path) -> None:
    found = composed(deploy, "development")
    assert set(found["services"]) == {"api-development", "database"}
    api = found["services"]["api-development"]
    assert "--reload" in api["command"] and api["volumes"][0]["source"].endswith("/cift")


def judged(folder: Path) -> subprocess.CompletedProcess[str]:
    """The kustomization as Kubernetes' own types and its Pod Security checks see it."""
    words = [programs("kubernetes", ".") / "kubernetes", folder]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def test_kubernetes_takes_every_object_and_the_pod_is_restricted() -> None:
    done = judged(HERE / "deploy/kubernetes/base")
    assert done.returncode == 0, done.stderr
    objects = {each["kind"]: each for each in json.loads(done.stdout)}
    assert set(objects) == {
        *("Namespace", "ServiceAccount", "StatefulSet", "Service", "PodDisruptionBudget", "NetworkPolicy")
    }
    pod = objects["StatefulSet"]["spec"]["template"]
    labels = pod["metadata"]["labels"].items()
    assert objects["Service"]["spec"]["selector"].items() <= labels
    assert objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"].items() <= labels
    assert objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].items() <= labels
    container = pod["spec"]["containers"][0]
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert container["securityContext"]["readOnlyRootFilesystem"]
    claimed = {each["metadata"]["name"] for each in objects["StatefulSet"]["spec"]["volumeClaimTemplates"]}
    mounted = {each["name"] for each in container["volumeMounts"]}
    assert mounted == claimed | {each["name"] for each in pod["spec"]["volumes"]}


@pytest.mark.parametrize(
    ("wrong", "right", "told"),
    [
        ("drop: [ALL]", "drop: [CHOWN]", "not restricted: unrestricted capabilities"),
        ("runAsNonRoot: true", "runAsNonRoot: false", "not restricted: runAsNonRoot != true"),
        ("readinessProbe:", "readynessProbe:", 'unknown field "readynessProbe"'),
    ],
)
def test_a_base_that_is_less_than_that_is_refused(wrong: str, right: str, told: str, tmp_path: Path) -> None:
    shutil.copytree(HERE / "deploy/kubernetes/base", tmp_path / "base")
    path = tmp_path / "base/stateful-set.yaml"
    assert wrong in path.read_text()
    path.write_text(path.read_text().replace(wrong, right))
    done = judged(tmp_path / "base")
    assert done.returncode == 1 and told in done.stderr, done.stderr
