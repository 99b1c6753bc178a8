"""Licences by their SPDX names, where they have one."""

from __future__ import annotations

import re
from collections.abc import Iterable

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

# Debian's copyright format has short names of its own (copyright-format 1.0, "Short name"); these differ from SPDX's.
_DEBIAN = {
    "expat": "MIT",
    "artistic": "Artistic-1.0-Perl",
    "perl": "Artistic-1.0-Perl OR GPL-1.0-or-later",
    "psf-2": "PSF-2.0",
    "psf": "PSF-2.0",
    "psfl": "PSF-2.0",
    "mpl-2.0+": "MPL-2.0",
    "bsd-2-clauses": "BSD-2-Clause",
    "bsd-3-clauses": "BSD-3-Clause",
    "bsd-3": "BSD-3-Clause",
    "x11": "X11",
    "apache-2": "Apache-2.0",
    "apache2": "Apache-2.0",
    "bzip2": "bzip2-1.0.6",
}
_GNU = re.compile(r"(?P<family>A?GPL|LGPL|GFDL)-?(?P<version>[123](?:\.[0-9])?)(?:\.0)?(?P<later>\+)?", re.IGNORECASE)
_CLASSIFIERS = {
    "MIT License": "MIT",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
}


def expression(text: str) -> str:
    """The SPDX expression that a text is, else the empty string."""
    try:
        return canonicalize_license_expression(text)
    except (InvalidLicenseExpression, RecursionError):
        return ""


def known(name: str) -> str:
    """A licence's SPDX expression, else its name as it is."""
    name = " ".join(name.split())
    return expression(_gnu(name)) or expression(_DEBIAN.get(name.lower(), name)) or name


def _gnu(name: str) -> str:
    found = _GNU.fullmatch(name)
    if not found:
        return ""
    version = found["version"] if "." in found["version"] else found["version"] + ".0"
    return f"{found['family'].upper()}-{version}-{'or-later' if found['later'] else 'only'}"


def of_copyright(text: str) -> tuple[str, ...]:
    """The licences that a Debian copyright file in the machine-readable format names, sorted; none for another file."""
    if "copyright-format" not in text[:2000]:
        return ()
    found: set[str] = set()
    for line in text.splitlines():
        if line.lower().startswith("license:"):
            names = re.split(r",|\||\s+(?:and/or|and|or)\s+", line[len("license:") :])
            found |= {known(name) for name in names if name.strip() and len(name) < 80}
    return tuple(sorted(found))


def of_classifiers(classifiers: Iterable[str]) -> tuple[str, ...]:
    """The licences of Python's trove classifiers."""
    names = [line.split(" :: ")[-1] for line in classifiers if line.startswith("License :: ")]
    return tuple(sorted({_CLASSIFIERS.get(name, name) for name in names if name != "OSI Approved"}))
