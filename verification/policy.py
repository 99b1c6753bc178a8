"""Policies, parsed once from TOML. A key that is not known is refused: a rule that is misspelt must not pass."""

from __future__ import annotations

import fnmatch
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verification.errors import PolicyError


@dataclass(frozen=True, slots=True)
class Signer:
    """Who may sign: the holder of ``key`` (a PEM file), or ``identity`` (``*`` matches anything) from ``issuer``."""

    key: Path | None = None
    identity: str = ""
    issuer: str = ""
    trusted_root: Path | None = None


@dataclass(frozen=True, slots=True)
class Provenance:
    """What the provenance has to say; an empty tuple asks for nothing. ``*`` matches anything."""

    builder: tuple[str, ...] = ()
    repository: tuple[str, ...] = ()
    revision: tuple[str, ...] = ()
    workflow: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """What an image has to show; None asks for nothing. Ages in days."""

    signers: tuple[Signer, ...]
    provenance: Provenance | None = None
    sbom: bool = False
    vex: bool = False
    scan: bool = False
    accept_incomplete_scan: bool = False
    scan_max_age: float | None = None
    base_max_age: float | None = None
    rebuild: bool = False
    summary: str = field(default="", compare=False)


_KEYS = {
    "": {"signer", "provenance", "sbom", "vex", "scan", "base", "rebuild"},
    "signer": {"key", "identity", "issuer", "trusted-root"},
    "provenance": {"builder", "repository", "revision", "workflow"},
    "sbom": {"required"},
    "vex": {"required"},
    "scan": {"required", "accept-incomplete", "max-age-days"},
    "base": {"max-age-days"},
    "rebuild": {"required"},
}


def read(path: Path) -> Policy:
    """The policy in a file; paths in it are relative to its folder.

    Raises:
        PolicyError: it cannot be read or followed.
    """
    try:
        return parse(tomllib.loads(path.read_text()), path)
    except OSError as error:
        raise PolicyError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PolicyError(f"{path}: {error}") from None


def parse(value: Mapping[str, Any], path: Path) -> Policy:
    """A policy from its table; raises PolicyError for a key that is unknown, missing or mistyped."""
    _known(value, "", path)
    signers = _signers(value.get("signer"), path)
    tables = {name: _table(value, name, path) for name in _KEYS if name not in ("", "signer")}
    provenance = None
    if (table := tables["provenance"]) is not None:
        rules = {name: _words(table, name, path) for name in _KEYS["provenance"]}
        if not any(rules.values()):
            raise PolicyError(f"{path}: [provenance] has no rule; name a builder, repository, revision or workflow")
        provenance = Provenance(**rules)
    scan, base = tables["scan"], tables["base"]
    return Policy(
        signers,
        provenance,
        _required(tables["sbom"], "sbom", path),
        _required(tables["vex"], "vex", path),
        scan is not None and (_required(scan, "scan", path) if "required" in scan else True),
        scan is not None and _flag(scan, "accept-incomplete", path),
        _days(scan, "scan", path),
        _days(base, "base", path),
        _required(tables["rebuild"], "rebuild", path),
    )


def _known(table: Mapping[str, Any], name: str, path: Path) -> None:
    for key in table:
        if key not in _KEYS[name]:
            where = f"[{name}]" if name else "a policy"
            raise PolicyError(f"{path}: {where} has no key {key!r}; known are: {', '.join(sorted(_KEYS[name]))}")


def _table(value: Mapping[str, Any], name: str, path: Path) -> Mapping[str, Any] | None:
    table = value.get(name)
    if table is None:
        return None
    if not isinstance(table, dict):
        raise PolicyError(f"{path}: {name} is a table, [{name}]")
    _known(table, name, path)
    if not table:
        raise PolicyError(f"{path}: [{name}] is empty: it asks for nothing; fill it or leave it out")
    return table


def _signers(value: Any, path: Path) -> tuple[Signer, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(each, dict) for each in value):
        raise PolicyError(
            f"{path}: nobody is trusted to sign; add a table [[signer]] with a key, or identity and issuer"
        )
    found = []
    for table in value:
        _known(table, "signer", path)
        if not all(isinstance(each, str) and each for each in table.values()):
            raise PolicyError(f"{path}: [[signer]] holds strings that are not empty")
        if set(table) == {"key"}:
            found.append(Signer(key=path.parent / table["key"]))
        elif set(table) - {"trusted-root"} == {"identity", "issuer"} and _narrows(table["identity"]):
            if "*" in table["issuer"]:
                raise PolicyError(f"{path}: [[signer]] issuer is one address, without *, not {table['issuer']!r}")
            root = path.parent / table["trusted-root"] if "trusted-root" in table else None
            found.append(Signer(None, table["identity"], table["issuer"], root))
        else:
            raise PolicyError(
                f"{path}: [[signer]] needs either key, or identity and issuer (and trusted-root for a private Sigstore); "
                "an identity is more than * and punctuation"
            )
    return tuple(found)


def _narrows(pattern: str) -> bool:
    """Whether a pattern keeps anything out: ``*``, ``*@*`` and ``https://*`` do not."""
    return any(each.isalnum() for each in pattern.removeprefix("https://").removeprefix("http://"))


def _words(table: Mapping[str, Any], key: str, path: Path) -> tuple[str, ...]:
    value = table.get(key)
    if value is None:
        return ()
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not words or not all(isinstance(each, str) and each for each in words):
        raise PolicyError(f"{path}: [provenance] {key} is a string or a list of them, not empty")
    if idle := [each for each in words if not _narrows(each.removeprefix("git+"))]:
        raise PolicyError(f"{path}: [provenance] {key} = {idle[0]!r} fits anything: it asks for nothing; leave it out")
    return tuple(words)


def _flag(table: Mapping[str, Any], key: str, path: Path) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise PolicyError(f"{path}: {key} is true or false, not {value!r}")
    return value


def _required(table: Mapping[str, Any] | None, name: str, path: Path) -> bool:
    if table is None:
        return False
    if not _flag(table, "required", path):
        raise PolicyError(f"{path}: [{name}] required = true is what can be asked; leave the table out otherwise")
    return True


def _days(table: Mapping[str, Any] | None, name: str, path: Path) -> float | None:
    value = (table or {}).get("max-age-days")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise PolicyError(f"{path}: [{name}] max-age-days is a number of days above 0, not {value!r}")
    return float(value)


def matches(text: str, patterns: tuple[str, ...]) -> bool:
    """Whether a text fits one of the patterns, in which only ``*`` is special."""
    return any(fnmatch.fnmatchcase(text, each.replace("[", "[[]").replace("?", "[?]")) for each in patterns)
