"""What tests share: a store of their own kind, and a root with busybox alone."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# A shell starts what runs in its background with SIGINT ignored, and programs that tests interrupt would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE))

from tests.parts import registries  # noqa: E402
from tests.parts.certificates import Certificates, make  # noqa: E402
from tests.parts.registries import Registry  # noqa: E402


@pytest.fixture(scope="session")
def busybox() -> Path:
    """The static busybox of the sandbox lock."""
    from pipelines.errors import PipelineError
    from pipelines.inputs import seed

    try:
        return seed().busybox
    except PipelineError as error:
        pytest.skip(f"busybox cannot be had: {error}")


@pytest.fixture(scope="session")
def sandbox_tools() -> Path:
    """The engine's programs, in the common store: stores of the tests' own take them from there, without network."""
    from engine.errors import EngineError
    from engine.store import Store
    from engine.tools import tools

    common = Store()
    try:
        return tools(common).root
    except EngineError as error:
        pytest.skip(f"the engine's programs cannot be had: {error}")
    finally:
        common.close()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, sandbox_tools: Path) -> Iterator[dict[str, str]]:
    """The environment of a program that is run by a test, with no session in it."""
    for name in ("DAGGER_SESSION_PORT", "DAGGER_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    yield {**os.environ, "PYTHONPATH": str(HERE), "PIPELINES_SANDBOX_TOOLS": str(sandbox_tools)}


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority for servers on loopback, one a test process."""
    return make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def plain_registry(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Registry]:
    """A registry without the referrers API."""
    with registries.without_referrers(tmp_path_factory.mktemp("plain"), certificates) as found:
        yield found


@pytest.fixture(scope="session")
def new_registry(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Registry]:
    """A registry with the referrers API."""
    with registries.with_referrers(tmp_path_factory.mktemp("new"), certificates) as found:
        yield found


@pytest.fixture(params=["without referrers API", "with referrers API"])
def registry(request: pytest.FixtureRequest) -> Registry:
    """Each of the two."""
    found: Registry = request.getfixturevalue(
        "new_registry" if request.param.startswith("with r") else "plain_registry"
    )
    return found
