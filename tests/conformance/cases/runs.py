"""Steps and what surrounds them: streams, exit codes, environments, mounts, secrets, services, images, identifiers."""

from __future__ import annotations

import uuid
from typing import Any

import dagger
from compare import Bench, tried
from dagger import ReturnType, dag

IDS = ["sh", "-c", "id -u; id -g; id -G; echo $HOME; pwd"]


def _script(bench: Bench, text: str, **options: Any) -> dagger.Container:
    return bench.box.with_exec(["sh", "-c", text], **options)


async def _error(work: Any) -> Any:
    try:
        return await work
    except dagger.ExecError as error:
        return [error.command, error.exit_code, error.stdout, error.stderr]
    except dagger.QueryError as error:
        return type(error).__name__


async def exit_codes(bench: Bench) -> Any:
    async def one(code: int, expect: ReturnType) -> Any:
        done = _script(bench, f"echo o; echo e >&2; exit {code}", expect=expect)
        return [await _error(done.exit_code()), await _error(done.stdout()), await _error(done.sync()) and 1]

    return {
        f"{code} {expect.value}": await one(code, expect) for code in (2, 126, 127, 128, 137) for expect in ReturnType
    }


async def after_a_failure_that_was_expected(bench: Bench) -> Any:
    done = _script(bench, "echo x > /x; echo o; exit 4", expect=ReturnType.ANY)
    more = done.with_exec(["cat", "/x"])
    return [
        await more.stdout(),
        await more.exit_code(),
        await done.exit_code(),
        await done.rootfs().file("x").contents(),
    ]


async def errors_in_chains(bench: Bench) -> Any:
    bad = _script(bench, "echo said; exit 3")
    return [
        await _error(bad.with_exec(["true"]).stdout()),
        await _error(bad.file("/etc/passwd").contents()),
        await _error(bad.directory("/etc").entries()),
        await _error(bad.rootfs().entries()),
        await _error(bench.box.with_directory("/d", bad.directory("/etc")).exists("/d")),
        await _error(bad.exists("/etc")),
        await tried(bad.workdir()),
        await tried(bad.env_variable("PATH")),
        await _error(bad.with_env_variable("A", "1").exit_code()),
    ]


async def programs_that_cannot_start(bench: Bench) -> Any:
    box = bench.box.with_new_file("/plain", "text").with_new_file("/script", "#!/none\n", permissions=0o755)
    return [
        await tried(box.with_exec(["/plain"]).stdout()),
        await tried(box.with_exec(["/script"]).stdout()),
        await tried(box.with_exec(["/etc"]).stdout()),
        await tried(box.with_exec([""]).stdout()),
        await tried(box.with_exec(["none"], expect=ReturnType.ANY).exit_code()),
        await tried(box.with_exec(["none"], expect=ReturnType.FAILURE).exit_code()),
        await tried(
            box.with_new_file("/w/p", "#!/bin/sh\necho hi\n", permissions=0o755)
            .with_workdir("/w")
            .with_exec(["./p"])
            .stdout()
        ),
        await tried(
            box.with_new_file("/w/p", "#!/bin/sh\necho hi\n", permissions=0o755)
            .with_workdir("/w")
            .with_exec(["p"])
            .stdout()
        ),
        await tried(box.without_env_variable("PATH").with_exec(["/bin/echo", "a"]).stdout()),
        await tried(box.without_env_variable("PATH").with_exec(["echo", "a"]).stdout()),
        await tried(box.with_env_variable("PATH", "").with_exec(["echo", "a"]).stdout()),
    ]


async def streams_and_files(bench: Bench) -> Any:
    box = bench.box.with_workdir("/w")
    return [
        await tried(
            box.with_exec(["sh", "-c", "echo o; echo e >&2"], redirect_stdout="o", redirect_stderr="o")
            .file("o")
            .contents()
        ),
        await tried(box.with_exec(["echo", "x"], redirect_stdout="deep/er/o").file("/w/deep/er/o").contents()),
        await tried(box.with_exec(["echo", "x"], redirect_stdout="/etc").stdout()),
        await tried(
            box.with_new_file("/w/o", "old long content")
            .with_exec(["echo", "x"], redirect_stdout="o")
            .file("o")
            .contents()
        ),
        await tried(
            box.with_exec(["sh", "-c", "echo x; exit 3"], redirect_stdout="o", expect=ReturnType.ANY)
            .file("o")
            .contents()
        ),
        await tried(box.with_exec(["stat", "-c", "%a %u", "/w/o"]).stdout()),
        await tried(
            box.with_exec(["echo", "x"], redirect_stdout="o").with_exec(["stat", "-c", "%a %u", "/w/o"]).stdout()
        ),
        await tried(
            box.with_user("1000")
            .with_exec(["echo", "x"], redirect_stdout="/o")
            .with_exec(["stat", "-c", "%a %u", "/o"])
            .stdout()
        ),
        await tried(box.with_exec(["cat"], stdin="").stdout()),
        await tried(box.with_exec(["wc", "-c"], stdin="é" * 50000).stdout()),
        await tried(box.with_exec(["sh", "-c", "read x; echo got $x; cat"], stdin="a\nb\nc").stdout()),
        await tried(box.with_exec(["true"], stdin="unread" * 50000).stdout()),
        await tried(box.with_exec(["cat"], redirect_stdin="/etc").stdout()),
        await tried(box.with_exec(["echo", "x"], redirect_stdout="o").stdout()),
        await tried(box.with_exec(["echo", "x"], redirect_stdout="o").combined_output()),
        await tried(
            box.with_env_variable("F", "var")
            .with_exec(["echo", "$F"], redirect_stdout="$F", expand=True)
            .file("var")
            .contents()
        ),
        await tried(
            box.with_mounted_directory("/m", dag.directory())
            .with_exec(["echo", "x"], redirect_stdout="/m/o")
            .file("/m/o")
            .contents()
        ),
        await tried(box.with_mounted_temp("/t").with_exec(["echo", "x"], redirect_stdout="/t/o").stdout()),
    ]


async def much_output(bench: Bench) -> Any:
    text = await _script(bench, "seq 1 60000").stdout()
    return [len(text), text.startswith("1\n"), text.endswith("60000\n")]


async def long_errors(bench: Bench) -> Any:
    found = await _error(_script(bench, "seq 1 60000; seq 1 60000 >&2; exit 1").sync())
    return [found[1], found[2][-12:], found[3][-12:], len(found[2]) > 1000]


async def environments(bench: Bench) -> Any:
    box = bench.box
    return [
        await box.with_env_variable("HOME", "/h").with_exec(["sh", "-c", "echo $HOME"]).stdout(),
        await box.with_user("cift").with_env_variable("HOME", "/h").with_exec(["sh", "-c", "echo $HOME"]).stdout(),
        await tried(box.with_env_variable("", "x").env_variables()) == [],
        await tried(box.with_env_variable("A=B", "x").with_exec(["sh", "-c", "env | grep ^A"]).stdout()),
        await tried(box.with_env_variable("A B", "x").env_variable("A B")),
        [
            await v.name()
            for v in await box.with_env_variable("Z", "1")
            .with_env_variable("A", "2")
            .without_env_variable("Z")
            .with_env_variable("Z", "3")
            .env_variables()
        ],
        await box.with_env_variable("P", "${PATH}:/x", expand=True).env_variable("P"),
        await box.with_env_variable("P", "$NONE-x", expand=True).env_variable("P"),
        await tried(
            box.with_exec(
                ["sh", "-c", "echo ${TERM:-none} ${USER:-none} ${HOSTNAME:-none} ${PWD} ${_DAGGER:-none}"]
            ).stdout()
        ),
    ]


async def users_and_groups(bench: Bench) -> Any:
    box = bench.box.with_new_file(
        "/etc/passwd", "root:x:0:0::/root:/bin/sh\nu:x:10:20::/home/u:/bin/sh\nv:x:11:21:::\n"
    )
    box = box.with_new_file("/etc/group", "root:x:0:\ng:x:20:\nmore:x:30:u,v\nextra:x:31:root\n")
    box = box.with_env_variable("FRESH", uuid.uuid4().hex)
    return {
        u: await tried(box.with_user(u).with_exec(IDS).stdout())
        for u in ("u", "v", "10", "root", "u:more", "u:99", "10:20", "77", "0:30", "77:77", ":20", "u:", "-1")
    }


async def users_of_written_files(bench: Bench) -> Any:
    box = bench.box.with_user("cift").with_workdir("/w/x")
    return [
        await box.with_exec(["sh", "-c", "touch f; stat -c '%u:%g %n' . f /w"]).stdout(),
        await box.with_new_file("n", "").with_exec(["stat", "-c", "%u:%g", "n"]).stdout(),
        await box.with_directory("d", dag.directory().with_new_file("f", ""))
        .with_exec(["stat", "-c", "%u:%g", "d", "d/f"])
        .stdout(),
        await box.with_mounted_cache("/c", dag.cache_volume(uuid.uuid4().hex))
        .with_exec(["stat", "-c", "%u:%g %a", "/c"])
        .stdout(),
        await box.with_mounted_cache("/c", dag.cache_volume(uuid.uuid4().hex), owner="cift")
        .with_exec(["stat", "-c", "%u:%g %a", "/c"])
        .stdout(),
        await box.with_mounted_temp("/c").with_exec(["stat", "-c", "%u:%g %a", "/c"]).stdout(),
        await box.with_mounted_file("/c/f", dag.file("f", ""))
        .with_exec(["stat", "-c", "%u:%g %a", "/c", "/c/f"])
        .stdout(),
        await box.with_mounted_secret("/c/s", dag.set_secret("owned", "secret-owned-x"), owner="cift")
        .with_exec(["sh", "-c", "cat /c/s | wc -c"])
        .stdout(),
        await bench.box.with_workdir("/tmp/new").with_exec(["stat", "-c", "%a %u", "/tmp", "/tmp/new"]).stdout(),
        await tried(
            box.with_mounted_secret("/c/s", dag.set_secret("owned", "secret-owned-x"))
            .with_exec(["cat", "/c/s"])
            .stdout()
        ),
    ]


async def working_directories(bench: Bench) -> Any:
    box = bench.box
    return [
        await box.with_workdir("a").with_workdir("b").workdir(),
        await box.with_workdir("/a").with_workdir("..").workdir(),
        await box.with_workdir("/a").with_workdir("./b/../c").with_exec(["pwd"]).stdout(),
        await tried(box.with_new_file("/a", "").with_workdir("/a").with_exec(["pwd"]).stdout()),
        await box.with_workdir("/q").without_workdir().with_exec(["pwd"]).stdout(),
        await box.with_workdir("/bin/../etc").with_exec(["pwd"]).stdout(),
        await box.with_workdir("/x y").with_exec(["pwd"]).stdout(),
        await tried(box.with_workdir("/w").directory(".").entries()),
        await tried(box.with_workdir("/w").with_exec(["true"]).directory(".").entries()),
        await tried(box.with_workdir("/etc").file("group").name()),
        await tried(box.with_workdir("/etc").with_mounted_directory("m", dag.directory()).mounts()),
        await tried(box.with_workdir("/etc").with_mounted_temp("../t").mounts()),
        await tried(box.with_workdir("/etc").without_file("group").exists("/etc/group")),
    ]
