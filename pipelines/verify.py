"""Decide whether an image may be used: signatures, provenance, SBOM, scan and VEX by a policy."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from pipelines import places  # noqa: E402
from registry import content, place  # noqa: E402
from registry.errors import Corrupt, Denied, Interrupted, NotFound, RegistryError  # noqa: E402
from signing.errors import SigningError  # noqa: E402
from verification import collect, decide  # noqa: E402
from verification import policy as policies  # noqa: E402
from verification.errors import PolicyError  # noqa: E402

ACCEPTED, REFUSED, UNUSABLE, UNREACHABLE = 0, 1, 2, 3


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pipelines/verify.py",
        description=__doc__,
        epilog="Exit codes: 0 accepted; 1 refused; 2 the policy or the command line cannot be used; 3 the image, or what "
        "belongs to it, could not be read, so nothing was decided. Only 0 means that the image may be used.",
    )
    parser.add_argument("image", help="HOST/PATH:TAG or @DIGEST, a layout folder[:TAG], or a tar of one")
    parser.add_argument("--policy", type=Path, required=True, help="TOML file; a policy without rules is refused")
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    places.add_options(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments().parse_args(argv)
    try:
        verdict = verify(options.image, policies.read(options.policy), options, datetime.now(UTC))
    except PolicyError as error:
        return _stop(error, UNUSABLE)
    except (Corrupt, SigningError) as error:
        return _stop(error, REFUSED)
    except (NotFound, Denied, Interrupted) as error:
        return _stop(error, UNREACHABLE)
    except RegistryError as error:
        return _stop(error, REFUSED)
    except KeyboardInterrupt:
        return _stop("interrupted; nothing was decided", UNREACHABLE)
    print(json.dumps(verdict, indent=1, sort_keys=True) if options.json else _table(verdict))
    return ACCEPTED if verdict["accepted"] else REFUSED


def _stop(error: object, code: int) -> int:
    print(f"verify: {error}", file=sys.stderr)
    return code


def verify(image: str, policy: policies.Policy, options: argparse.Namespace, now: datetime) -> dict[str, Any]:
    """The verdict on an image and on each of those that its index holds.

    Raises:
        PolicyError: a key of the policy cannot be read.
        RegistryError: a part of the image is missing or corrupt.
    """
    trusted = collect.verifiers(policy)
    with place.source(place.parse(image), places.settings(options)) as (source, name):
        graph = collect.whole(source, source.resolve(name))
        found = {}
        for each in graph.manifests:
            # An index holds no software: it has to be signed, and each image in it has to pass the whole policy.
            asked = policies.Policy(policy.signers) if each.media_type in content.INDEXES else policy
            found[str(each.digest)] = decide.decide(asked, collect.evidence(source, each, trusted), now)
    return {
        "image": image,
        "digest": str(graph.root.digest),
        "accepted": all(decide.passed(checks) for checks in found.values()),
        "checks": {
            digest: [{"name": each.name, "outcome": each.outcome, "reason": each.reason} for each in checks]
            for digest, checks in found.items()
        },
    }


def _table(verdict: dict[str, Any]) -> str:
    lines = []
    for digest, checks in verdict["checks"].items():
        lines.append(digest)
        lines += [f"  {each['outcome']:>11}  {each['name']:11} {each['reason']}" for each in checks]
    return "\n".join([*lines, "accepted" if verdict["accepted"] else "REFUSED"])


if __name__ == "__main__":
    sys.exit(main())
