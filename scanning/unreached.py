"""Why a vulnerability database could not be had, in words that are the same on every machine.

They stand in a verdict, which is signed and published: no address, no resolver and no clock of the machine belongs there.
"""

from __future__ import annotations

import re

#: What Go's resolver and HTTP client and a registry's answer (OCI distribution specification, "Error Codes") say, in the
#: order in which a text is searched: a refusal by a registry tells more than the network's trouble with its mirror.
_CAUSES = (
    (r"\bUNAUTHORIZED\b|\bDENIED\b|status code 40[13]\b", "the login is missing, or refused"),
    (r"\bTOOMANYREQUESTS\b|status code 429\b", "it takes no more requests for now"),
    (r"\b(MANIFEST|NAME)_UNKNOWN\b|status code 404\b", "there is no such database"),
    (r"x509: |tls: ", "its certificate is not trusted"),
    (r"no such host|server misbehaving|dial \w+: lookup ", "its name is not known here"),
    (
        r"connection refused|connection reset|unreachable|no route to host|timeout|deadline exceeded|\bEOF\b",
        "it cannot be reached",
    ),
)
OTHER = "it could not be downloaded"


def cause(said: str) -> str:
    """The class of a failure, from all that Trivy said of a download."""
    return next((cause for pattern, cause in _CAUSES if re.search(pattern, said)), OTHER)
