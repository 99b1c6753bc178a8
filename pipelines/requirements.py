"""Hashed requirements as one platform sees them. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from packaging.markers import InvalidMarker, Marker, default_environment

from pipelines.errors import PipelineError
from pipelines.platforms import Platform

_PYTHON = "3.13"
#: ``NAME==VERSION ; MARKER``, and behind it a hash or the sign that more lines follow.
_MARKED = re.compile(r"(?P<wanted>[^\s;#]+)\s*;\s*(?P<marker>.+?)(?P<rest>\s*(?:\\|--hash|#).*)?", re.DOTALL)


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def of(text: str, platform: Platform, where: str) -> str:
    """The requirements whose environment marker holds on a platform, without it; the text as it is where there is no marker.

    pip takes wheels for another platform, but judges markers by the machine that it runs on.

    Raises:
        PipelineError: a marker cannot be read; it names file and requirement.
    """
    return "".join(_kept(text.splitlines(keepends=True), platform, where))


def parted(text: str, names: Collection[str], where: str) -> tuple[str, str]:
    """Requirements without those of these names, and those alone.

    Raises:
        PipelineError: one of the names is not among the requirements.
    """
    wanted, found = {_normal(name) for name in names}, set[str]()
    others: list[str] = []
    these: list[str] = []
    chosen = False
    for line in text.splitlines(keepends=True):
        if not line[:1].isspace():
            named = _NAME.match(line)
            chosen = named is not None and _normal(named[0]) in wanted
            found |= {_normal(named[0])} & wanted if named else set()
        (these if chosen else others).append(line)
    if missing := sorted(wanted - found):
        raise PipelineError(f"{where} does not require {missing[0]}, which is to be compiled from its source")
    return "".join(others), "".join(these)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _kept(lines: list[str], platform: Platform, where: str) -> Iterator[str]:
    kept = True
    for line in lines:
        if not line[:1].isspace():
            kept = True
            if marked := _MARKED.fullmatch(line.rstrip("\n")):
                kept = _holds(marked["marker"], platform, f"{where}: requirement {marked['wanted']}")
                line = f"{marked['wanted']}{marked['rest'] or ''}\n"
        if kept:
            yield line


def _holds(marker: str, platform: Platform, where: str) -> bool:
    fixed = {"python_version": _PYTHON, "python_full_version": f"{_PYTHON}.0", "implementation_version": f"{_PYTHON}.0"}
    environment = {key: str(value) for key, value in default_environment().items()}
    try:
        return Marker(marker).evaluate({**environment, **platform.markers, **fixed})
    except InvalidMarker as error:
        raise PipelineError(f"{where}: its marker cannot be read: {str(error).splitlines()[0]}") from None
