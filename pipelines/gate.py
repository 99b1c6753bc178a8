"""Judge a build's scan again: by its own clock, which has to give the same verdict, or by another."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from pipelines import verdict  # noqa: E402
from pipelines.errors import PipelineError  # noqa: E402
from scanning import gate  # noqa: E402

CODES = {gate.PASS: 0, gate.FAIL: 1, gate.INCOMPLETE: 3}


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pipelines/gate.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""\
The verdict holds all that it was judged by: policy, exceptions, facts of the database, clock and findings. They are
judged again, and the findings are read again from the reports beside it, whose digests stand in the verdict.

examples:
  python pipelines/gate.py                       is dist/scan/verdict.json what its inputs give?
  python pipelines/gate.py --at now              would it pass today?
  python pipelines/gate.py --at 2030-01-31       and at the end of that day (UTC)? Databases age, exceptions end

exit codes: 0 pass, 1 fail, 3 incomplete, 2 the verdict cannot be repeated: it, or a report, was changed
""",
    )
    parser.add_argument("dist", type=Path, nargs="?", default=HERE / "dist", help="what build left (default: dist)")
    parser.add_argument("--at", default="", metavar="DAY", help="another clock: a day, a time (RFC 3339) or `now`")
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments().parse_args(argv)
    try:
        given, judged = verdict.again(options.dist)
        if options.at:
            judged = gate.judge(replace(given, clock=clock(options.at)))
    except PipelineError as error:
        print(f"gate: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps({"verdict": judged.verdict, "reasons": judged.reasons}, indent=1, sort_keys=True))
    else:
        print("\n  ".join([judged.verdict, *judged.reasons]))
    return CODES[judged.verdict]


def clock(text: str) -> datetime:
    """A time; a day is its last second.

    Raises:
        PipelineError: it is none.
    """
    if text == "now":
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise PipelineError(f"--at is a day such as 2030-01-31, a time or `now`, not {text!r}") from None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return found + timedelta(days=1, seconds=-1) if len(text) == 10 else found


if __name__ == "__main__":
    sys.exit(main())
