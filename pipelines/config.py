"""``[tool.pipelines]`` of a project, parsed once."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pipelines import platforms
from pipelines.errors import PipelineError
from scanning import exceptions as excepting
from scanning import policy
from scanning.errors import ScanError

TARGETS = ("distroless", "standard")


@dataclass(frozen=True, slots=True)
class Variant:
    """What an image may hold beside the project's own requirements, as layers above theirs.

    ``requirements`` may name those of the project again, in the same versions; ``packages`` is a lock of Debian packages;
    ``apart`` are patterns of distributions with a layer of their own each, for what is large or changes by itself.
    """

    name: str
    requirements: str = ""
    packages: str = ""
    apart: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Project:
    """A project to be built. Paths are relative to ``root``; ``rust`` is a cargo workspace, if there is one, and
    ``rust_tests`` another that tests it; ``from_source`` are names of requirements by platform. What ``source`` names goes to ``/app``; of a path below ``src``, that folder
    is left out there."""

    root: Path
    name: str
    source: tuple[str, ...]
    requirements: str
    command: tuple[str, ...]
    title: str = ""
    description: str = ""
    licenses: str = ""
    url: str = ""
    version: str = ""
    rust: str = ""
    rust_crate: str = ""
    rust_tests: str = ""
    build_requirements: str = ""
    scan_requirements: str = ""
    user: str = "app"
    uid: int = 1000
    port: int = 8000
    entrypoint: tuple[str, ...] = ("/usr/bin/tini", "--")
    healthcheck: tuple[str, ...] = ()
    tmpfs: tuple[str, ...] = ("/tmp",)
    volumes: tuple[str, ...] = ()
    probe: str = ""
    publish: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = field(default=())
    exceptions: str = ""
    scan: policy.Policy = field(default=policy.Policy())
    variants: tuple[Variant, ...] = ()
    from_source: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def compiled(self, platform: str) -> tuple[str, ...]:
        """The distributions that have no wheel for a platform and are compiled from their source archives."""
        return dict(self.from_source).get(platform, ())

    def variant(self, name: str) -> Variant | None:
        """The variant of this name, None for none; raises PipelineError for one that the project does not have."""
        found = next((each for each in self.variants if each.name == name), None)
        if name and found is None:
            known = ", ".join(each.name for each in self.variants) or "none: see [tool.pipelines.variants] in README.md"
            raise PipelineError(f"unknown variant {name!r}; known are: {known}")
        return found

    def exempt(self) -> tuple[excepting.Exemption, ...]:
        """The exceptions of the project's file; raises PipelineError for one that is ill-formed."""
        if not self.exceptions:
            return ()
        try:
            return excepting.read((self.root / self.exceptions).read_text(), self.exceptions)
        except ScanError as error:
            raise PipelineError(str(error)) from None
        except (OSError, UnicodeDecodeError) as error:
            raise PipelineError(f"{self.exceptions} cannot be read: {error}") from None


def read(folder: Path) -> Project:
    """The project in a folder.

    Raises:
        PipelineError: no ``pyproject.toml``, no table in it, or one with a key that is unknown, missing or mistyped.
    """
    path = folder / "pyproject.toml"
    try:
        whole = tomllib.loads(path.read_text())
    except OSError as error:
        raise PipelineError(f"{path}: {error.strerror}; --project names a folder with a pyproject.toml") from None
    except tomllib.TOMLDecodeError as error:
        raise PipelineError(f"{path}: {error}") from None
    table = whole.get("tool", {}).get("pipelines")
    if table is None:
        raise PipelineError(f"{path} has no [tool.pipelines] table; see README.md for one")
    return parse(table, folder.resolve(), path.name, whole.get("project", {}).get("version", ""))


def parse(table: dict[str, Any], root: Path, where: str, version: str = "") -> Project:
    """A project from its table."""
    known = {f.name: f for f in fields(Project) if f.name not in ("root", "version")}
    given: dict[str, Any] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in known:
            keys = ", ".join(sorted(known))
            raise PipelineError(f"{where}: [tool.pipelines] has no key {key!r}; known are: {keys}")
        if name == "scan":
            given[name] = _scan(value, f"{where}: [tool.pipelines.scan]")
            continue
        if name == "variants":
            given[name] = _variants(value, f"{where}: [tool.pipelines.variants")
            continue
        if name == "from_source":
            given[name] = _from_source(value, f"{where}: [tool.pipelines.from-source]")
            continue
        given[name] = _typed(str(known[name].type), value, f"{where}: [tool.pipelines] {key}")
    for name in ("name", "source", "requirements", "command"):
        if not given.get(name):
            raise PipelineError(f"{where}: [tool.pipelines] needs {name!r}")
    if bool(given.get("rust")) != bool(given.get("build_requirements")):
        raise PipelineError(f"{where}: [tool.pipelines] rust and build-requirements go together")
    if given.get("rust_tests") and not given.get("rust"):
        raise PipelineError(f"{where}: [tool.pipelines] rust-tests needs rust")
    project = Project(root=root, version=version, **given)
    for path in (
        *project.source,
        project.requirements,
        project.rust,
        project.rust_tests,
        project.build_requirements,
        project.scan_requirements,
        project.exceptions,
        *(path for variant in project.variants for path in (variant.requirements, variant.packages)),
    ):
        if path and not (root / path).exists():
            raise PipelineError(f"{where}: [tool.pipelines] names {path}, which is not in {root}")
    for path in (project.requirements, *(variant.requirements for variant in project.variants)):
        if path:
            check_hashes(root / path)
    return project


_VARIANT_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def _variants(value: Any, where: str) -> tuple[Variant, ...]:
    """Variants by name; ``where`` lacks its closing bracket."""
    if not isinstance(value, dict):
        raise PipelineError(f"{where}] is a table of tables, not {value!r}")
    known = {f.name: str(f.type) for f in fields(Variant) if f.name != "name"}
    found = []
    for name, table in value.items():
        place = f"{where}.{name}]"
        if not _VARIANT_NAME.fullmatch(name) or name in TARGETS:
            raise PipelineError(f"{place}: a variant's name is of a-z, 0-9 and -, and no target's")
        if not isinstance(table, dict):
            raise PipelineError(f"{place} is a table, not {table!r}")
        if unknown := sorted(set(table) - set(known)):
            raise PipelineError(f"{place} has no key {unknown[0]!r}; known are: {', '.join(sorted(known))}")
        given = {key: _typed(known[key], each, f"{place} {key}") for key, each in table.items()}
        if not given.get("requirements") and not given.get("packages"):
            raise PipelineError(f"{place} needs 'requirements' or 'packages'")
        found.append(Variant(name, **given))
    return tuple(found)


def _from_source(value: Any, where: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(value, dict):
        raise PipelineError(f"{where} is a table of lists, not {value!r}")
    known = [name for name, each in platforms.PLATFORMS.items() if not each.native]
    for name in value:
        if name not in known:
            raise PipelineError(f"{where} names {name!r}; what can be compiled for is: {', '.join(known)}")
    return tuple((name, _typed("tuple[str, ...]", each, f"{where} {name}")) for name, each in value.items())


def _scan(value: Any, where: str) -> policy.Policy:
    if not isinstance(value, dict):
        raise PipelineError(f"{where} is a table, not {value!r}")
    try:
        return policy.parse(value, where)
    except ScanError as error:
        raise PipelineError(str(error)) from None


def _typed(kind: str, value: Any, where: str) -> Any:
    if kind == "str" and isinstance(value, str):
        return value
    if kind == "int" and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind == "tuple[str, ...]" and isinstance(value, list) and all(isinstance(v, str) for v in value):
        return tuple(value)
    if kind.startswith("tuple[tuple") and isinstance(value, dict) and all(isinstance(v, str) for v in value.values()):
        return tuple(value.items())
    expected = {"str": "a string", "int": "a number", "tuple[str, ...]": "a list of strings"}.get(
        kind, "a table of strings"
    )
    raise PipelineError(f"{where} must be {expected}, not {value!r}")


def check_hashes(path: Path) -> None:
    """Every requirement of a file carries a hash.

    Raises:
        PipelineError: one does not; it names file and requirement.
    """
    text = path.read_text().replace("\\\n", " ")
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if words and not words[0].startswith("-") and not any(w.startswith("--hash=sha256:") for w in words):
            raise PipelineError(f"{path.name}: requirement {words[0]} has no hash; compile it again with hashes")


def targets(text: str) -> tuple[str, ...]:
    return _chosen(text, TARGETS, "target")


def _chosen(text: str, known: tuple[str, ...], what: str) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    for word in chosen:
        if word not in known:
            raise PipelineError(f"unknown {what} {word!r}; known are: {', '.join(known)}")
    if not chosen:
        raise PipelineError(f"no {what} given; known are: {', '.join(known)}")
    return chosen
