"""What a variant adds to the project's own requirements, and which of it makes a layer. Pure."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence

from pipelines.errors import PipelineError
from sbom.python import normal

#: The layer of all that has none of its own.
OTHERS = "further dependencies"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def requirements(text: str, where: str) -> Mapping[str, str]:
    """Each requirement of a file whole, with its continuation lines, by the distribution's normal name; options under "".

    Raises:
        PipelineError: a line is neither an option nor a requirement with a name.
    """
    found: dict[str, str] = {}
    for entry in re.split(r"(?<!\\)\n", text):
        lines = [line for line in entry.split("\n") if line.strip() and not line.lstrip().startswith("#")]
        if not lines:
            continue
        if lines[0].startswith("-"):
            found[""] = found.get("", "") + lines[0] + "\n"
            continue
        if not (match := _NAME.match(lines[0])):
            raise PipelineError(
                f"{where}: {lines[0][:60]!r} is no requirement NAME==VERSION --hash=…; compile it again"
            )
        found[normal(match[0])] = "\n".join(lines) + "\n"
    return found


def added(own: Mapping[str, str], variant: Mapping[str, str], where: str) -> Mapping[str, str]:
    """The variant's requirements that the project does not have itself.

    Raises:
        PipelineError: one is in both, in versions that differ: an image cannot hold both.
    """
    for name in sorted(own.keys() & variant.keys() - {""}):
        one, other = (_version(each[name]) for each in (own, variant))
        if one != other:
            raise PipelineError(
                f"{where}: {name} {other}, and the project's own requirements have {one}; compile it again with those as "
                "constraints (pip-compile -c)"
            )
    return {name: text for name, text in variant.items() if not name or name not in own}


def _version(requirement: str) -> str:
    return requirement.partition("==")[2].split()[0].rstrip(";\\") if "==" in requirement else requirement


def layers(added: Mapping[str, str], apart: Sequence[str]) -> Mapping[str, str]:
    """The text of a requirements file for each layer, by the layer's name, lowest first.

    What stands apart comes first, by name: it is what is large, and a change of what is above leaves it in place.
    """
    options = added.get("", "")
    names = added.keys() - {""}
    alone = sorted(name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in apart))
    others = "".join(added[name] for name in sorted(names - set(alone)))
    return {name: options + added[name] for name in alone} | ({OTHERS: options + others} if others else {})
