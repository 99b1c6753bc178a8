"""What a build gave, for people who look at a run of it: Markdown, and annotations as GitHub Actions shows them."""

from __future__ import annotations

import argparse
import html
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from pipelines import outputs  # noqa: E402
from pipelines.errors import PipelineError  # noqa: E402

#: What becomes of a finding, and how loudly it is told; GitHub shows ten annotations of a kind a step.
_LEVELS = {"fails": "error", "excepted": "notice"}
_MOST = 10


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pipelines/summary.py",
        description=__doc__,
        epilog="In GitHub Actions the Markdown goes to the job's summary and annotations to the log; elsewhere the Markdown is printed. "
        "Exit codes: 0 told, 1 nothing to tell of. It judges nothing: build.py and gate.py do.",
    )
    parser.add_argument("dist", type=Path, nargs="?", default=HERE / "dist", help="what build left (default: dist)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments().parse_args(argv)
    try:
        report, verdict = (
            outputs.read_json(options.dist / name, "; run pipelines/build.py first") for name in ("build.json", outputs.VERDICT)
        )
        text = markdown(report, verdict)
        told = list(commands(verdict))
    except PipelineError as error:
        print(f"summary: {error}", file=sys.stderr)
        return 1
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        print(f"summary: {options.dist} was not left by this version of build: {error!r}; build again", file=sys.stderr)
        return 1
    place = os.environ.get("GITHUB_STEP_SUMMARY")
    if not place:
        print(text)
        return 0
    with Path(place).open("a", encoding="utf-8") as file:
        file.write(text + "\n")
    print("\n".join(told))
    return 0


def markdown(report: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    """Images, layers, stages and the verdict of a build, as GitHub-flavoured Markdown."""
    source = report["source"]
    dirty = ", with changes that are not committed" if source["dirty"] else ""
    engine = report["engine"]
    lines = [
        f"### {_plain(report['project'])} at `{_plain(source['revision'][:12])}`{dirty}",
        "",
        f"Built for {_plain(report['platform'])} on {_plain(engine['kind'])} {_plain(engine['version'])}.",
        "",
        *_table(("image", "digest", "MB", "MB compressed"), _images(report)),
        "",
        *_table(("image", "layer", "digest", "MB", "files"), _layers(report)),
        "",
        f"**Scan: {_plain(verdict['verdict'])}**",
        "",
        *(f"- {_plain(reason)}" for reason in verdict["reasons"]),
        "",
        "<details><summary>Stages</summary>",
        "",
        *_table(("stage", "seconds", "steps run", "remembered"), _stages(report)),
        "",
        "</details>",
    ]
    return "\n".join(lines)


def _images(report: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    for name, image in report["images"].items():
        yield name, f"`{image['digest']}`", _megabytes(image["uncompressed"]), _megabytes(image["size"])


def _layers(report: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    for name, image in report["images"].items():
        for layer in image["layers"]:
            yield name, layer["name"], f"`{layer['digest'][:19]}`", _megabytes(layer["uncompressed"]), layer["files"]


def _stages(report: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    for stage in report["stages"]:
        steps = stage["steps"]
        yield stage["name"], stage["seconds"], *("–" if steps[k] is None else steps[k] for k in ("ran", "remembered"))


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.2f}"


def _table(head: Sequence[str], rows: Iterator[tuple[object, ...]]) -> list[str]:
    body = [f"| {' | '.join(_plain(cell) for cell in row)} |" for row in rows]
    return [f"| {' | '.join(head)} |", "|" + " --- |" * len(head), *body]


def _plain(text: object) -> str:
    """A text that nothing in it makes into markup: names and reasons come from advisories and other people's files."""
    return html.escape(" ".join(str(text).split()), quote=False).replace("|", "&#124;")


def commands(verdict: Mapping[str, Any]) -> Iterator[str]:
    """Workflow commands for what the verdict tells of, the gravest first."""
    if verdict["verdict"] != "pass":
        for reason in verdict["reasons"]:
            yield _command(
                "error" if verdict["verdict"] == "fail" else "warning", f"Scan: {verdict['verdict']}", reason
            )
    count = dict.fromkeys(_LEVELS.values(), 0)
    for each in sorted(verdict["findings"], key=lambda found: found["outcome"] != "fails"):
        level = _LEVELS.get(each["outcome"])
        if level is None or count[level] >= _MOST:
            continue
        count[level] += 1
        where = f"{each.get('package', '')} {each.get('version', '')}".strip() or each.get("path", "")
        yield _command(level, f"{each['id']} ({each['severity']})", f"{each['target']}: {where}: {each['why']}")


def _command(level: str, title: str, message: str) -> str:
    def data(text: str) -> str:
        return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

    return f"::{level} title={data(title).replace(':', '%3A').replace(',', '%2C')}::{data(message)}"


if __name__ == "__main__":
    sys.exit(main())
