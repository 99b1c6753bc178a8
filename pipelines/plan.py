"""What an image will say of itself: its specification, from a project and a source. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pipelines.config import Project, Variant
from pipelines.platforms import Platform
from pipelines.source import Source


def specification(
    project: Project, source: Source, target: str, platform: Platform, variant: Variant | None = None
) -> dict[str, Any]:
    """The assembler's specification, layers aside."""
    described = {
        "org.opencontainers.image.title": project.title or project.name,
        "org.opencontainers.image.description": project.description,
        "org.opencontainers.image.licenses": project.licenses,
        "org.opencontainers.image.url": project.url,
        "org.opencontainers.image.version": project.version,
        "org.opencontainers.image.revision": source.revision + ("-dirty" if source.dirty else ""),
        "org.opencontainers.image.created": datetime.fromtimestamp(source.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    labels = {key: value for key, value in described.items() if value}
    config: dict[str, Any] = {
        "User": f"{project.uid}:{project.uid}",
        "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", *(f"{k}={v}" for k, v in project.environment)],
        "Entrypoint": list(project.entrypoint),
        "Cmd": list(project.command),
        "WorkingDir": "/app",
        "ExposedPorts": {f"{project.port}/tcp": {}},
        "Labels": labels,
        "StopSignal": "SIGTERM",
    }
    if project.healthcheck:
        config["Healthcheck"] = {
            "Test": ["CMD", *project.healthcheck],
            "Interval": 30 * 10**9,
            "Timeout": 10 * 10**9,
            "StartPeriod": 40 * 10**9,
            "Retries": 3,
        }
    return {
        "platform": platform.oci,
        "programs": "{}/{}".format(*platform.elf),
        "created": source.epoch,
        "config": config,
        "annotations": labels,
        "ref": f"{project.name}:{target}" + (f"-{variant.name}" if variant else ""),
    }


def directories(project: Project) -> list[list[object]]:
    """The folders that the lowest layer must have, for the assembler: path, mode, owner, group."""
    places = sorted({"/tmp", *project.tmpfs})
    ours: list[list[object]] = [[place, "1777" if place == "/tmp" else "0755", 0, 0] for place in places]
    # A new volume takes the owner of the folder that it is mounted on.
    return [*ours, *([place, "0750", project.uid, project.uid] for place in sorted(project.volumes))]
