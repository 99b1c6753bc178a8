"""The store under damage, under upkeep and under several runs at once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from programs import HERE, answer, finished, words

BODY = """
async def work(box):
    made = box.with_env_variable("PIPELINES_STAGE", "making").with_exec(["sh", "-c", "seq 2000 > /f; echo $RANDOM > /r"])
    return await made.with_exec(["sh", "-c", "sha256sum < /f | cut -c-64"]).stdout()
"""


@pytest.fixture
def cache(tmp_path: Path, environment: dict[str, str], busybox: Path) -> dict[str, str]:
    """An environment with a warm store of its own."""
    return {**environment, "XDG_CACHE_HOME": str(tmp_path / "cache")}


def store_of(cache: dict[str, str]) -> Path:
    return Path(cache["XDG_CACHE_HOME"]) / "pipelines-engine"


def engine(cache: dict[str, str], *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "engine", *args]
    return subprocess.run(command, env=cache, cwd=HERE, capture_output=True, text=True, timeout=60, check=False)


def spoil(path: Path) -> None:
    """Change a byte of a file so that its size, mode and times stay as they were."""
    found = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.write(data)
    path.chmod(found.st_mode & 0o7777)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


@pytest.mark.parametrize("what", ["blobs", "layers", "added", "removed", "index", "truncated", "node"])
def test_damage_is_noticed_and_made_good(what: str, busybox: Path, cache: dict[str, str]) -> None:
    import hashlib

    wanted = hashlib.sha256("".join(f"{n}\n" for n in range(1, 2001)).encode()).hexdigest() + "\n"
    assert answer(BODY, busybox, cache) == wanted
    store = store_of(cache)
    if what in ("blobs", "layers"):
        hits = [p for p in (store / what).rglob("*") if p.is_file() and not p.is_symlink() and p.stat().st_size == 8893]
        assert hits
        spoil(hits[0])
    elif what in ("added", "removed"):
        hits = [p for p in (store / "layers").rglob("f")]
        assert hits
        if what == "added":
            (hits[0].parent / "f.new").write_text("not of the tree")
        hits[0].unlink()
    elif what == "index":
        (store / "index.sqlite").write_bytes(b"not a database, but long enough to be read as one" * 100)
    elif what == "truncated":
        for name in ("index.sqlite", "index.sqlite-wal"):
            if (store / name).exists():
                os.truncate(store / name, (store / name).stat().st_size // 2)
    else:
        import sqlite3

        with sqlite3.connect(store / "index.sqlite") as db:
            db.execute("update nodes set data = substr(data, 1, length(data) / 2)")
    # Another step on the damaged tree, so that what was remembered does not suffice.
    again = BODY.replace("cut -c-64", "cut -c-64; ls / | grep new")
    shown = answer(again.replace(" | grep new", " > /dev/null"), busybox, cache)
    assert shown == wanted
    assert "f.new" not in str(answer(BODY.replace("sha256sum < /f | cut -c-64", "ls /"), busybox, cache))


def test_a_remembered_step_differs_from_files_that_were_only_touched_by_what_it_made(
    busybox: Path, cache: dict[str, str], tmp_path: Path
) -> None:
    given = tmp_path / "given"
    (given / "below").mkdir(parents=True)
    for name in ("one", "below/two", "below/three"):
        (given / name).write_text(name)
    body = f"""
async def work(box):
    before = box.with_directory("/given", dag.host().directory({str(given)!r}))
    before = before.with_mounted_directory("/mounted", dag.host().directory({str(given)!r}))
    script = "date +%N > /made; echo x >> /given/below/two; date +%N > /mounted/made"
    after = before.with_exec(["sh", "-c", script])
    whole = await before.rootfs().diff(after.rootfs()).glob("**")
    mounted = await before.directory("/mounted").diff(after.directory("/mounted")).glob("**")
    more = after.with_env_variable("PID", str(os.getpid())).with_exec(["cat", "/given/one", "/given/below/two", "/mounted/made"])
    return [whole, mounted, await after.file("/made").contents(), await more.stdout()]
"""
    first = answer(body, busybox, cache)
    assert isinstance(first, list) and [n.rstrip("/") for n in first[0]] == [
        "given",
        "given/below",
        "given/below/two",
        "made",
    ]
    assert first[1] == ["made"]
    for time_ in (1_000_000_000, 1_100_000_000):
        for name in ("one", "below/two", "below/three"):
            os.utime(given / name, (time_, time_))
        assert answer(body, busybox, cache) == first


def test_verify_finds_what_the_disk_damaged(busybox: Path, cache: dict[str, str]) -> None:
    answer(BODY, busybox, cache)
    assert engine(cache, "cache", "verify").returncode == 0
    spoil(next(p for p in (store_of(cache) / "blobs").rglob("*") if p.is_file() and p.stat().st_size == 8893))
    done = engine(cache, "cache", "verify", "--json")
    assert done.returncode == 1 and len(json.loads(done.stdout)) == 1


def test_a_full_disk_is_one_clear_error(busybox: Path, cache: dict[str, str], tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "small", small], check=True)
    try:
        env = {**cache, "XDG_CACHE_HOME": str(small)}
        body = 'async def work(box):\n    return await box.with_exec(["sh", "-c", "yes | head -c 9000000 > /big"]).stdout()\n'
        done = finished(body, busybox, env)
        assert done.returncode != 0
        assert "No space left" in done.stderr or str(small) + "/pipelines-engine is full" in done.stderr
        assert (
            finished(
                'async def work(box):\n    return await box.with_exec(["true"]).stdout()\n', busybox, env
            ).returncode
            == 0
        )
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_store_removed_under_a_run_is_reported_and_the_next_run_is_right(
    busybox: Path, cache: dict[str, str]
) -> None:
    body = """
async def work(box):
    await box.with_exec(["true"]).sync()
    import shutil
    shutil.rmtree(os.environ["XDG_CACHE_HOME"])
    return await box.with_exec(["sh", "-c", "echo right"]).stdout()
"""
    done = finished(body, busybox, cache)
    assert done.returncode != 0 or done.stdout.strip() == json.dumps("right\n")
    if done.returncode:
        assert "removed while it was in use" in done.stderr, done.stderr[-1500:]
    assert answer(BODY, busybox, cache)


def test_upkeep_removes_what_nothing_names_and_leaves_a_running_build_alone(
    busybox: Path, cache: dict[str, str]
) -> None:
    body = """
async def work(box):
    made = box.with_exec(["sh", "-c", "seq 500 > /kept"])
    await made.sync()
    print("ready", flush=True)
    sys.stdin.readline()
    return await made.with_exec(["sh", "-c", "wc -l < /kept; sleep 0.1"]).stdout()
"""
    answer(BODY, busybox, cache)
    running = subprocess.Popen(
        words(body, busybox), env=cache, cwd=HERE, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert running.stdin is not None and running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    before = json.loads(engine(cache, "cache", "inspect", "--json").stdout)
    assert before["stages"]["making"]["steps"] == 2
    dry = json.loads(engine(cache, "cache", "clear", "--dry-run", "--json").stdout)
    gone = json.loads(engine(cache, "cache", "clear", "--json").stdout)
    assert gone["results"] == dry["results"] > 0 and gone["blobs"] > 0
    running.stdin.write("go\n")
    running.stdin.flush()
    assert json.loads(running.communicate(timeout=60)[0]) == "500\n"
    assert running.returncode == 0
    gone = engine(cache, "cache", "clear")
    assert gone.returncode == 0, gone.stderr
    left = [path for path in (store_of(cache) / "blobs").rglob("*") if path.is_file()]
    assert left == [] and list((store_of(cache) / "layers").iterdir()) == []
    assert answer(BODY, busybox, cache)


def test_results_are_forgotten_by_stage_by_age_and_by_size(busybox: Path, cache: dict[str, str]) -> None:
    answer(BODY, busybox, cache)
    assert json.loads(engine(cache, "cache", "clear", "--older-than", "1h", "--json").stdout)["results"] == 0
    assert json.loads(engine(cache, "cache", "clear", "--keep-size", "5GB", "--json").stdout)["results"] == 0
    assert json.loads(engine(cache, "cache", "clear", "--stage", "making", "--json").stdout)["results"] == 2
    assert json.loads(engine(cache, "cache", "clear", "--keep-size", "1kB", "--json").stdout)["results"] == 1
    wrong = engine(cache, "cache", "clear", "--older-than", "soon")
    assert wrong.returncode == 2 and "'soon' is not an age" in wrong.stderr


def test_two_builds_at_once_are_both_right_and_run_a_shared_step_once(
    busybox: Path, cache: dict[str, str], tmp_path: Path
) -> None:
    for number in range(10):
        mark = tmp_path / f"mark{number}"
        body = f"""
async def work(box):
    box = box.with_mounted_cache("/count", dag.cache_volume("count{number}"))
    made = box.with_exec(["sh", "-c", "echo run >> /count/n; sleep 0.1; echo {number} > /out"])
    text = await made.file("/out").contents()
    count = box.with_env_variable("WHO", str(os.getpid())).with_exec(["cat", "/count/n"])
    return [text, await count.stdout()]
"""
        pair = [
            subprocess.Popen(words(body, busybox), env=cache, cwd=HERE, text=True, stdout=subprocess.PIPE)
            for _ in range(2)
        ]
        answers = [json.loads(each.communicate(timeout=60)[0]) for each in pair]
        assert answers == [[f"{number}\n", "run\n"]] * 2
        assert not mark.exists()


def test_a_store_that_ends_tidies_itself_to_its_size(busybox: Path, cache: dict[str, str]) -> None:
    answer(BODY, busybox, {**cache, "PIPELINES_CACHE_SIZE": "5GB"})
    shutil.rmtree(store_of(cache) / "tidied", ignore_errors=True)
    (store_of(cache) / "tidied").unlink(missing_ok=True)
    answer("async def work(box):\n    return 1\n", busybox, {**cache, "PIPELINES_CACHE_SIZE": "1kB"})
    deadline = time.monotonic() + 10
    while list((store_of(cache) / "layers").iterdir()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert list((store_of(cache) / "layers").iterdir()) == []


def test_a_store_on_an_overlay_is_told_so_in_one_sentence(busybox: Path, cache: dict[str, str], tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount an overlay")
    for name in ("base", "all"):
        (tmp_path / name).mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "base", tmp_path / "base"], check=True)
    try:
        for name in ("low", "up", "work"):
            (tmp_path / "base" / name).mkdir()
        places = ",".join(
            f"{n}dir={tmp_path}/base/{f}" for n, f in (("lower", "low"), ("upper", "up"), ("work", "work"))
        )
        if subprocess.run(["mount", "-t", "overlay", "-o", places, "all", tmp_path / "all"], check=False).returncode:
            pytest.skip("this machine lets no overlay be mounted")
        body = 'async def work(box):\n    return await box.with_exec(["true"]).stdout()\n'
        done = finished(body, busybox, {**cache, "XDG_CACHE_HOME": str(tmp_path / "all")})
        assert done.returncode != 0 and "which lies on overlay: set XDG_CACHE_HOME" in done.stderr
    finally:
        subprocess.run(["umount", tmp_path / "all"], check=False)
        subprocess.run(["umount", tmp_path / "base"], check=True)
