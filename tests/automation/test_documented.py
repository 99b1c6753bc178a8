"""Each command of a page is run as it stands there, on the images of the last build; or it is said here why it is not.

A page's commands run in their order, in a copy of this checkout. Only names of places are others: registries that
run here stand for those on the internet. A command that is new in a page and not in :data:`COMMANDS` fails.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines import verdict
from scanning import gate
from tests.automation.test_pages import HERE, PAGES, typed
from tests.parts.certificates import Certificates
from tests.parts.commands import command
from tests.parts.outside import environment
from tests.parts.registries import Registry
from tests.parts.released import key_files
from tests.pipelines.conftest import commit, copied

DIST = HERE / "dist"
#: A build is asked for a database nowhere: what it then says, the tests of the scan look at.
SURROUNDINGS = {"PIPELINES_SCAN_DATABASE": "none"}


@dataclass(frozen=True)
class Run:
    """The exit code, something that is said, and what stands for the words in capitals of the page."""

    code: int = 0
    says: str = ""
    place: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class By:
    """It is run, in this form or with a smaller project, by another test: ``FILE::NAME``."""

    test: str


@dataclass(frozen=True)
class Not:
    """It is not run by any test, and why."""

    why: str


IMAGES = "make test begins with it, and these tests run on its images"
MINUTES = "takes many minutes; by hand, figures in the README or on its page"
CLUSTER = "needs a cluster; the objects are checked by test_deploy"
COMPOSE = "needs a container engine with networks; the file is checked by test_deploy, what was tried by hand stands beside it"
DAGGER = "needs a Dagger engine; ci.yml does it"
ENGINE = "needs that engine's daemon; test_load has the archive read by skopeo"
PUBLIC = "asks the public Sigstore, or for today's advisories"
FILLED = "places to be filled in; the README has it filled in"
PLATFORMS = "tests/pipelines/test_platforms.py::test_an_index_of_three_platforms_is_whole_and_names_each_as_oci_does"
RENEWS = (
    "asks for today's archive and renews files of the checkout; images/test_debian has the same code resolve and check"
)
SCAN = "tests/pipelines/test_scan.py::test_a_hole_and_a_secret_are_found_and_an_exception_passes_until_its_date"

COMMANDS: dict[str, Run | By | Not] = {
    "git clone … cift && cd cift": Not("the address is the reader's; tests of pipelines build clones of this checkout"),
    "make build": Not(IMAGES),
    'make build ARGS="--target distroless --no-scan"': By("tests/pipelines/test_explain.py::test_an_edit_and_a_bump_are_led_back_to_their_commits"),
    "make test": Not("this is it"),
    "make test-keyless": By("tests/signing/test_keyless.py::test_a_release_without_a_key_is_accepted_by_verify_and_cosign_and_by_nobody_else_s_policy"),
    "make lint": By("tests/automation/test_lint.py::test_zizmor_finds_nothing_as_its_strictest_persona"),
    "make reproduce": Not(MINUTES),
    "make lock": Not(RENEWS),
    "make train": Not(MINUTES),
    "make dev": By("tests/automation/test_develop.py::test_an_edit_is_served_without_a_command_and_an_interrupt_ends_all"),
    "DATABASE_URL=postgresql make dev": Not("PostgreSQL does not start as root; by hand"),
    "make torture": Not(MINUTES),
    "make torture-service": Not(MINUTES),
    'make torture-service ARGS="--disk full"': Not(MINUTES),
    "make fuzz-core": Not(MINUTES),
    "make fuzz-rust": Not(MINUTES),
    "make fuzz-rust SECONDS=60": Not(MINUTES),
    "make fuzz-engine": Not(MINUTES),
    "make bench-core": Not(MINUTES),
    "make bench-engine": Not(MINUTES),
    "make bench-service": Not(MINUTES),
    "make bench-release": Not(MINUTES),
    'make bench-release ARGS="--rounds 3"': Not(MINUTES),
    "python pipelines/build.py --help": Run(says="exit codes"),
    "python pipelines/build.py --engine embedded --no-run": Not(IMAGES + ", by this very line"),
    "python pipelines/build.py --engine dagger --no-run": Not(DAGGER),
    "python pipelines/build.py --platform all": By(PLATFORMS),
    "python pipelines/build.py --platform linux/arm64": By(PLATFORMS),
    "python -m engine start dist/distroless --platform linux/arm64": By(
        "tests/pipelines/test_platforms.py::test_images_of_an_index_were_started_and_answered_each_on_its_own_processor"
    ),
    "make reproduce PLATFORM=all": Not(MINUTES),
    'make lock ARGS="--architecture armhf"': Not(RENEWS),
    "python pipelines/build.py --no-scan": By("tests/pipelines/test_explain.py::test_an_edit_and_a_bump_are_led_back_to_their_commits"),
    "python pipelines/build.py --scan-database FOLDER": By(SCAN),
    "python pipelines/build.py --scan-database /media/trivy-db": By(SCAN),
    "python pipelines/build.py --variant ml-cpu --target distroless": By(
        "tests/pipelines/test_variants.py::test_a_variant_adds_layers_and_shares_all_others_and_an_edit_makes_only_the_code_anew"
    ),
    "python pipelines/build.py --project ../shop --output /tmp/images": Run(says="distroless  sha256:"),
    "python pipelines/in_image.py --image LAYOUT --output DIR -- CMD": Run(
        says="of an image", place=(("LAYOUT", "dist/distroless"), ("DIR", "out"), ("CMD", "python3 -c 'print(\"of an image\")'"))
    ),
    "dagger run python pipelines/build.py": Not(DAGGER),
    "dagger run CMD": Not(DAGGER),
    "dagger core engine local-cache prune": Not(DAGGER),
    "_EXPERIMENTAL_DAGGER_RUNNER_HOST=tcp://builder-1:1234 dagger run python pipelines/build.py --output /tmp/one": Not(DAGGER),
    "_EXPERIMENTAL_DAGGER_RUNNER_HOST=kube-pod://dagger-engine-0?namespace=dagger dagger run python pipelines/build.py": Not(CLUSTER),
    "helm upgrade --install dagger oci://registry.dagger.io/dagger-helm --version 0.21.8 --namespace dagger --create-namespace -f deploy/dagger/values.yaml": Not(CLUSTER),
    "python -m images.compare /tmp/one/distroless dist/distroless": Run(place=(("/tmp/one", "dist"),)),
    "python -m images.compare A B": Run(1, place=(("A", "dist/standard"), ("B", "dist/distroless"))),
    "python -m images.validate dist/distroless": Run(says="sha256:"),
    "python pipelines/explain.py OLD NEW": Run(1, "layer tools", (("OLD", "dist/standard"), ("NEW", "dist/distroless"))),
    "python pipelines/explain.py OLD/distroless dist/distroless": Run(0, "the same image", (("OLD", "dist"),)),
    "python pipelines/summary.py dist": Run(says="| distroless |"),
    "python pipelines/gate.py dist": Run(says="pass"),
    "python pipelines/gate.py [DIST] [--at DAY\\|now]": Run(says="pass", place=(("[DIST]", "dist"), ("[--at DAY\\|now]", "--at now"))),
    "python pipelines/release.py --key cosign.key --tag 1.0 --to ghcr.io/cift/api --to docker.io/cift/api": Run(says="released to"),
    "python pipelines/release.py --key cosign.key --tag 1.0.0 --to registry.site.example/cift/api": Run(says="released to"),
    "python pipelines/release.py --key cosign.key --tag 1.0 --to HOST/PATH --to …": Not(FILLED),
    "python pipelines/verify.py ghcr.io/cift/api:1.0 --policy policy.toml": Run(says="accepted"),
    "python pipelines/verify.py ghcr.io/cift/api:1.0 --policy policy.toml --rebuild .": By(
        "tests/pipelines/test_rebuild.py::test_a_rebuild_gives_the_same_digest_and_a_summary_that_a_policy_can_require"
    ),
    "python pipelines/verify.py image.tar --policy policy.toml": Run(says="accepted"),
    "python pipelines/verify.py REF_OR_LAYOUT_OR_TAR --policy policy.toml": Not(FILLED),
    # Signed by a key here, and not by the workflow that the policy of the real images names.
    "python pipelines/verify.py ghcr.io/cift/api:1.0.0 --policy deploy/policy.toml": Run(1, "signed by a key, not by an identity"),
    "python pipelines/verify.py ghcr.io/cift/api:1.0.0 --policy deploy/policy.toml --rebuild .": Run(1, "what should be rebuilt?"),
    "python pipelines/rescan.py distroless=ghcr.io/cift/api:1.0.0 standard=ghcr.io/cift/api:1.0.0-standard": Run(3, "incomplete"),
    "python pipelines/copy_image.py ghcr.io/cift/api:1.0 image.tar": Run(says="image.tar  sha256:"),
    "python pipelines/copy_image.py ghcr.io/cift/api:1.0.0 image.tar": Run(says="image.tar  sha256:"),
    "python pipelines/copy_image.py image.tar registry.site.example/cift/api:1.0.0": Run(says="/cift/api:1.0.0  sha256:"),
    "python pipelines/copy_image.py warm warm.tar": Run(says="warm.tar  sha256:"),
    "python pipelines/copy_image.py warm.tar warm": Run(says="warm  sha256:"),
    "python pipelines/copy_image.py warm ghcr.io/team/app-cache:main": Run(says="app-cache:main  sha256:"),
    "python pipelines/copy_image.py SOURCE TARGET": Not(FILLED),
    "python pipelines/load.py dist/distroless --into docker": Run(says="docker has localhost/"),
    "python pipelines/load.py dist/distroless --into podman": Run(says="podman has localhost/"),
    "python pipelines/load.py dist/distroless --into containerd": Run(says="containerd has localhost/"),
    "python pipelines/load.py dist/distroless --archive image.tar": Run(says="image.tar  localhost/"),
    "python -m engine cache inspect": Run(says="STAGE"),
    "python -m engine cache inspect [--json]": Run(says="{", place=(("[--json]", "--json"),)),
    "python -m engine cache clear --older-than 7d --stage scan": Run(),
    "python -m engine cache clear [--older-than 7d] [--keep-size 5GB] [--stage S] [--dry-run]": Run(
        place=(("[", ""), ("]", ""), ("--stage S", "--stage scan"))
    ),
    "python -m engine cache export warm": Run(),
    "python -m engine cache export warm --used-within 2h": Run(),
    "python -m engine cache import warm": Run(says="results"),
    "python -m engine cache import warm --digest sha256:" + "0" * 64: Run(1, "sha256:" + "0" * 64),
    "python -m engine run -- CMD": Run(says="of a session", place=(("CMD", "sh -c 'echo of a session $DAGGER_SESSION_PORT'"),)),
    "python -m engine surface": Run(says="Container"),
    "python -m engine surface [--json]": Run(says="{", place=(("[--json]", "--json"),)),
    "python -m engine start dist/distroless --tmpfs /tmp": By("tests/pipelines/test_build.py::test_another_project_is_built_and_answers_and_an_edit_makes_only_its_own_layer_anew"),
    "deploy/secrets.sh": Run(),
    "docker compose -f deploy/compose.yaml --profile production up -d": Not(COMPOSE),
    "docker compose -f deploy/compose.yaml --profile production logs -f api": Not(COMPOSE),
    "docker compose -f deploy/compose.yaml --profile development up": Not(COMPOSE),
    "kubectl apply -k deploy/kubernetes/base": Not(CLUSTER),
    "kubectl -n cift create secret generic cift-api --from-file=deploy/secrets/database-url --from-file=deploy/secrets/master-key": Not(CLUSTER),
    "kubectl apply -f deploy/kubernetes/policies/sigstore.yaml": Not(CLUSTER),
    "skopeo copy oci:dist/distroless docker-daemon:cift-api:1": Not(ENGINE),
    "podman pull oci:dist/distroless": Not(ENGINE),
    "ctr images import image.tar": Not(ENGINE),
    "trivy image ghcr.io/cift/api:1.0.0": Not(PUBLIC),
    "cosign generate-key-pair": By("tests/signing/test_signing.py::test_a_key_of_cosign_is_opened_and_cosign_signs_for_a_service_that_holds_a_key"),
    "cift serve": By("tests/cift/test_commands.py::test_the_configuration_is_printed_without_its_secrets"),
    "cift simulate": By("tests/cift/test_commands.py::test_the_simulator_makes_a_market_and_takes_its_orders_back"),
    "cift bench --clients 16 --websockets 20": By("tests/cift/test_commands.py::test_the_bench_tells_what_its_clients_met"),
    "cift keys": By("tests/cift/test_access.py::test_a_revoked_key_signs_nothing_any_more"),
    "cift verify-journal": By("tests/cift/test_crash.py::test_a_damaged_journal_stops_with_its_position_and_is_not_served"),
    "cift replay": By("tests/cift/test_crash.py::test_a_new_service_on_the_same_folder_has_the_same_state_and_the_journal_replays_to_it"),
    "python -m cift": By("tests/cift/test_commands.py::test_help_names_every_command_and_each_command_explains_itself"),
}  # fmt: skip
PROGRAMS = r"(make|python|cift|cosign|docker|skopeo|podman|ctr|dagger|kubectl|trivy|helm|git|deploy/\S+|[A-Z_]+=\S+) \S"


def shown(page: Path) -> list[str]:
    """The commands of a page: behind a prompt, and between backticks."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    between = [each for each in re.findall(r"`([^`\n]+)`", text) if re.match(PROGRAMS, each)]
    lines = [re.sub(r"\s+# .*", "", line).strip() for line in typed(page)]
    # An option of the command before it, and programs that are only spoken of.
    return [
        each
        for each in dict.fromkeys((*lines, *between))
        if not re.fullmatch(r'[A-Z_]+="[^"]*"|dagger run|cosign verify', each)
    ]


def known(line: str) -> Run | By | Not | None:
    if line.startswith(("cosign verify ", "cosign verify-attestation ")):
        return Not(PUBLIC)
    return COMMANDS.get(line)


def test_every_command_of_every_page_is_run_or_it_is_said_why_not() -> None:
    everything = [line for page in PAGES for line in shown(page)]
    assert [line for line in everything if known(line) is None] == []
    for told in COMMANDS.values():
        if isinstance(told, By):
            file, _, name = told.test.partition("::")
            assert f"def {name}(" in (HERE / file).read_text(), told.test


@dataclass(frozen=True)
class Reader:
    """Somebody who types what pages say, in a copy of the checkout."""

    folder: Path
    environment: dict[str, str]
    places: tuple[tuple[str, str], ...]

    def types(self, line: str, wanted: Run) -> str:
        """What is wrong with what came of it."""
        text = line
        for old, new in (*wanted.place, *self.places):
            text = text.replace(old, new)
        done = subprocess.run(
            ["bash", "-c", text],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        said = done.stdout + done.stderr
        if done.returncode == wanted.code and wanted.says in said and "Traceback" not in said:
            return ""
        return f"{text}\nexit code {done.returncode}, wanted {wanted.code} and {wanted.says!r}\n{said[-2000:]}"


def _passing(dist: Path) -> None:
    """Judge the scans once more, as if there had been a database in which nothing is known against what is built."""
    given, _ = verdict.again(dist)
    place = dist / "scan/verdict.json"
    whole = json.loads(place.read_bytes())
    now = datetime.now(UTC).replace(microsecond=0)
    better = replace(given, database=gate.Database("sha256:" + "1" * 64, gate.rfc3339(now), "the tests", 2), clock=now)
    scanner = {key: whole["scanner"][key] for key in ("uri", "version", "digest") if key in whole["scanner"]}
    made = [gate.rfc3339(now)]
    judged = gate.judge(better)
    if judged.verdict != gate.PASS:
        pytest.skip(f"the images of the last build are not to be released: {'; '.join(judged.reasons)}")
    place.unlink()
    place.write_text(json.dumps(gate.document(better, judged, scanner, made)))


def _policy(folder: Path) -> None:
    """The policy that a page shows, for whatever built here and whenever its base was locked."""
    (shown_policy,) = re.findall(r"```toml\n(# policy.toml.*?)```", (HERE / "docs/release.md").read_text(), re.DOTALL)
    provenance = json.loads((folder / "dist/provenance/distroless.json").read_bytes())
    builder = provenance["predicate"]["runDetails"]["builder"]["id"]
    text = shown_policy.replace("urn:pipelines:builder:local", builder)
    assert text.count("max-age-days = 30 ") + text.count("max-age-days = 30\n") == 1
    (folder / "policy.toml").write_text(text.replace("max-age-days = 30", "max-age-days = 36500"))


@pytest.fixture
def reader(
    tmp_path: Path, plain_registry: Registry, new_registry: Registry, certificates: Certificates
) -> Callable[[], Reader]:
    def make() -> Reader:
        if not (DIST / "build.json").exists():
            pytest.skip("there is no dist/ in this checkout; make build makes it")
        folder, programs = tmp_path / "checkout", tmp_path / "programs"
        copied(folder)
        shutil.copytree(
            DIST,
            folder / "dist",
            copy_function=os.link if DIST.stat().st_dev == tmp_path.stat().st_dev else shutil.copy2,
        )
        _passing(folder / "dist")
        shutil.copytree(
            HERE / "tests/projects/plain", tmp_path / "shop", ignore=shutil.ignore_patterns("dist", "__pycache__")
        )
        for each in (folder, tmp_path / "shop"):
            commit(each)
        key_files(folder)
        (folder / "key.pem").rename(folder / "cosign.key")
        (folder / "key.pub").rename(folder / "cosign.pub")
        _policy(folder)
        programs.mkdir()
        (programs / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        for name in ("docker", "podman", "ctr"):
            # Stands for an engine that takes what it is given, if that is a tar.
            (programs / name).write_text("#!/bin/sh\nexec tar -tf - > /dev/null\n")
        for each in programs.iterdir():
            each.chmod(0o755)
        made = environment(tmp_path, plain_registry, certificates, new_registry)
        store = {"XDG_CACHE_HOME": os.environ["XDG_CACHE_HOME"]} if "XDG_CACHE_HOME" in os.environ else {}
        home = {"HOME": os.environ.get("HOME", "/nonexistent")}
        places = (
            ("ghcr.io/", f"{plain_registry.host}/"), ("docker.io/", f"{new_registry.host}/"),
            ("registry.site.example/", f"{new_registry.host}/"), ("/tmp/images", str(tmp_path / "images")),
        )  # fmt: skip
        kept = {
            key: value
            for key, value in os.environ.items()
            if key.startswith(("PIP_", "DEBIAN_")) or key.lower().endswith("_proxy")
        }
        env = {**kept, **made, **store, **home, **SURROUNDINGS, "PATH": f"{programs}:{os.environ['PATH']}"}
        return Reader(folder, env, places)

    return make


def _released(reader: Reader, registry: Registry) -> None:
    """The images that pages speak of are where pages say they are."""
    words = ("--project", reader.folder, "--key", reader.folder / "cosign.key", "--tag", "1.0", "--tag", "1.0.0")
    done = command("release", *words, "--to", f"{registry.host}/cift/api", "--move-tags", **reader.environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_says_is_what_one_types(
    page: Path, reader: Callable[[], Reader], plain_registry: Registry, tmp_path: Path
) -> None:
    lines = [(line, told) for line in shown(page) if isinstance(told := known(line), Run)]
    if not lines:
        return
    one = reader()
    if any("ghcr.io/cift" in line and "release.py" not in line for line, _ in lines):
        _released(one, plain_registry)
    # The store of the build is large, and clearing it would be felt: pages about stores have one of their own.
    small = replace(one, environment={**one.environment, "XDG_CACHE_HOME": str(tmp_path / "store")})
    wrong = [(small if "engine cache" in line else one).types(line, told) for line, told in lines]
    assert [each for each in wrong if each] == []
