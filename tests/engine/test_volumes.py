"""Cache volumes that not everybody may use at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from programs import answer

BODY = """
async def work(box):
    async def one(n):
        used = box.with_mounted_cache("/cache", dag.cache_volume({key!r}), sharing=dagger.CacheSharingMode.{sharing})
        script = "test -e /cache/busy && echo met; touch /cache/busy; sleep 1; echo x >> /cache/n; rm -f /cache/busy; wc -l < /cache/n"
        said[n] = (await used.with_env_variable("N", f"{{os.getpid()}} {{n}}").with_exec(["sh", "-c", script]).stdout()).split()
    said = {{}}
    async with anyio.create_task_group() as group:
        for n in range(2):
            group.start_soon(one, n)
    return sorted(said.values())
"""


@pytest.mark.parametrize(
    ("sharing", "seen"),
    [("LOCKED", [["1"], ["2"]]), ("PRIVATE", [["1"], ["1"]])],
)
def test_a_volume_is_used_by_one_step_at_a_time_or_by_each_its_own(
    sharing: str, seen: list[list[str]], busybox: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    environment |= {"XDG_CACHE_HOME": str(tmp_path)}
    assert answer(BODY.format(key="k", sharing=sharing), busybox, environment) == seen


def test_a_step_that_mounts_one_locked_volume_twice_does_not_wait_for_itself(
    busybox: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    body = """
async def work(box):
    for at in ("/a", "/b"):
        box = box.with_mounted_cache(at, dag.cache_volume("k"), sharing=dagger.CacheSharingMode.LOCKED)
    return await box.with_exec(["sh", "-c", "echo x > /a/f; cat /b/f"]).stdout()
"""
    assert answer(body, busybox, {**environment, "XDG_CACHE_HOME": str(tmp_path)}) == "x\n"
