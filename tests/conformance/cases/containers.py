"""Containers: configuration, steps, mounts, images."""

from __future__ import annotations

import json
import tarfile
from typing import Any

import dagger
from compare import Bench, tried
from dagger import ReturnType, dag


async def nothing_was_run(bench: Bench) -> Any:
    box = bench.box.with_default_args(["echo", "default"])
    return [
        await tried(box.stdout()),
        await tried(box.stderr()),
        await tried(box.exit_code()),
        await tried(box.combined_output()),
    ]


async def entrypoints(bench: Bench) -> Any:
    box = bench.box.with_default_args(["d"]).with_entrypoint(["echo", "e"])
    kept = bench.box.with_default_args(["d"]).with_entrypoint(["echo", "e"], keep_default_args=True)
    return [
        await box.default_args(),
        await kept.default_args(),
        await kept.without_entrypoint().default_args(),
        await kept.without_entrypoint(keep_default_args=True).default_args(),
        await kept.with_exec([], use_entrypoint=True).stdout(),
        await box.with_exec([], use_entrypoint=True).stdout(),
        await tried(box.with_exec([]).stdout()),
    ]


async def expansion(bench: Bench) -> Any:
    box = bench.box.with_env_variable("A", "one").with_env_variable("EMPTY", "")
    secret = box.with_secret_variable("S", dag.set_secret("expand", "hidden-value"))
    texts = ["$A", "${A}", "$AB", "${A}B", "$$A", "$", "a$", "${}", "$1", "\\$A", "${A", "$EMPTY.", "$A$A", "$-x"]
    return [
        {t: await tried(box.with_env_variable("R", t, expand=True).env_variable("R")) for t in texts},
        await box.with_workdir("/$A/x", expand=True).workdir(),
        await box.with_new_file("/$A.txt", "x", expand=True).file("/one.txt").contents(),
        await box.with_exec(["echo", "$A", "b"], expand=True).stdout(),
        await tried(secret.with_env_variable("R", "$S", expand=True).env_variable("R")),
        await tried(secret.with_exec(["echo", "$S"], expand=True).stdout()),
    ]


async def variables(bench: Bench) -> Any:
    box = bench.box.with_env_variable("A", "1").with_env_variable("B", "2").with_env_variable("A", "3")
    secret = dag.set_secret("shadow", "of-a-variable")
    return [
        [[await v.name(), await v.value()] for v in await box.env_variables()],
        await box.with_env_variable("E", "").env_variable("E"),
        await box.without_env_variable("NONE").env_variable("A"),
        await box.with_exec(["sh", "-c", "env | grep -c '^HOME='; echo $PATH"]).stdout(),
        await tried(box.with_secret_variable("A", secret).env_variable("A")),
        await box.with_env_variable("W", "a=b\nc").with_exec(["sh", "-c", 'echo "$W"']).stdout(),
    ]


async def workdirs(bench: Bench) -> Any:
    box = bench.box.with_workdir("/a/b")
    return [
        await box.with_workdir("../c").workdir(),
        await box.with_workdir("/x/../y").workdir(),
        await box.with_workdir("/x/").workdir(),
        await box.with_workdir("").workdir(),
        await bench.box.with_workdir("rel").workdir(),
        await box.with_new_file("f", "1").file("/a/b/f").contents(),
        await box.with_new_file("../f", "1").file("/a/f").contents(),
        await box.with_directory("sub", dag.directory().with_new_file("g", "2")).file("sub/g").contents(),
        await tried(box.exists("/a/b")),
        await box.with_exec(["true"]).exists("/a/b"),
        await bench.box.with_user("1000").with_workdir("/made").with_exec(["stat", "-c", "%u %a", "."]).stdout(),
    ]


async def labels_annotations_ports(bench: Bench) -> Any:
    box = bench.box.with_label("b", "1").with_label("a", "2").with_label("b", "3").with_label("e", "")
    ports = bench.box.with_exposed_port(80, description="web").with_exposed_port(
        80, protocol=dagger.NetworkProtocol.UDP, experimental_skip_healthcheck=True
    )
    return [
        sorted([[await v.name(), await v.value()] for v in await box.labels()]),
        await box.label("e"),
        await box.without_label("none").label("a"),
        [
            [await p.port(), (await p.protocol()).value, await p.description(), await p.experimental_skip_healthcheck()]
            for p in await ports.exposed_ports()
        ],
        len(await ports.without_exposed_port(80).exposed_ports()),
        len(await ports.with_exposed_port(80).exposed_ports()),
    ]


async def healthchecks(bench: Bench) -> Any:
    async def seen(box: dagger.Container) -> Any:
        check = box.docker_healthcheck()
        return [
            await check.args(),
            await check.shell(),
            await check.interval(),
            await check.timeout(),
            await check.start_period(),
            await check.start_interval(),
            await check.retries(),
        ]

    box = bench.box
    return [
        await tried(seen(box.with_docker_healthcheck(["a", "b"], interval="90s", timeout="1500ms", retries=3))),
        await tried(seen(box.with_docker_healthcheck(["a b"], shell=True, start_period="1h", start_interval="250ms"))),
        await tried(seen(box.with_docker_healthcheck(["a", "b"], shell=True))),
        await tried(seen(box.with_docker_healthcheck([]))),
        await tried(seen(box.with_docker_healthcheck(["a"], interval="soon"))),
    ]


async def expectations(bench: Bench) -> Any:
    def step(code: int, expect: ReturnType) -> dagger.Container:
        return bench.box.with_exec(["sh", "-c", f"echo o; exit {code}"], expect=expect)

    return [[e.value, c, await tried(step(c, e).exit_code())] for e in ReturnType for c in (0, 1, 130)]


async def errors_of_steps(bench: Bench) -> Any:
    async def seen(box: dagger.Container) -> Any:
        try:
            return await box.stdout()
        except dagger.ExecError as error:
            return [error.command, error.exit_code, error.stdout, error.stderr]

    box = bench.box
    return [
        await seen(box.with_exec(["sh", "-c", "echo out; echo err >&2; exit 9"])),
        await seen(box.with_exec(["sh", "-c", "printf no-newline; kill -9 $$"])),
        await seen(box.with_exec(["sh", "-c", "exit 255"])),
    ]


async def streams(bench: Bench) -> Any:
    box = bench.box.with_workdir("/w").with_new_file("in", "from a file")
    cat = ["sh", "-c", "cat; echo err >&2"]
    done = box.with_exec(cat, redirect_stdin="in", redirect_stdout="out", redirect_stderr="/err")
    return [
        await done.file("/w/out").contents(),
        await tried(done.file("/err").contents()),
        await done.stdout(),
        await tried(box.with_exec(cat, stdin="a", redirect_stdin="in").stdout()),
        await tried(box.with_exec(cat, redirect_stdin="none").stdout()),
        await box.with_exec(["sh", "-c", "echo o; sleep 0.2; echo e >&2; sleep 0.2; echo p"]).combined_output(),
        await box.with_exec(["sh", "-c", "printf '\\377x'"]).stdout(),
    ]


async def mounts(bench: Bench) -> Any:
    tree, file = dag.directory().with_new_file("f", "1"), dag.file("x", "mounted")
    box = bench.box.with_mounted_directory("/m", tree).with_mounted_file("/m/inner", file).with_mounted_temp("/tmp/t")
    return [
        await box.mounts(),
        await box.with_mounted_secret("/s", dag.set_secret("m", "mounted-value")).mounts(),
        await box.file("/m/inner").contents(),
        await box.directory("/m").entries(),
        await tried(box.directory("/tmp/t").entries()),
        await tried(box.with_new_file("/m/g", "2").file("/m/g").contents()),
        await tried(box.with_new_file("/m/inner", "over").file("/m/inner").contents()),
        await tried(box.without_file("/m/f").directory("/m").entries()),
        await tried(box.without_directory("/m").mounts()),
        await box.without_mount("/none").mounts(),
        await box.with_exec(["sh", "-c", "cat /m/inner; ls /m"]).stdout(),
        await box.with_exec(["sh", "-c", "echo more >> /m/inner"]).file("/m/inner").contents(),
    ]


async def mounts_read_only_and_owned(bench: Bench) -> Any:
    tree = dag.directory().with_new_file("f", "1")
    ro = bench.box.with_mounted_directory("/m", tree, read_only=True)
    owned = bench.box.with_mounted_directory("/m", tree, owner="1000").with_mounted_file(
        "/n", dag.file("x", ""), owner="cift"
    )
    return [
        await ro.with_exec(["sh", "-c", "touch /m/g 2>/dev/null || echo refused"]).stdout(),
        await owned.with_exec(["stat", "-c", "%u:%g %n", "/m", "/m/f", "/n"]).stdout(),
        await tried(bench.box.with_mounted_directory("/m", tree, owner="nobody-here").with_exec(["true"]).stdout()),
    ]


async def secrets(bench: Bench) -> Any:
    secret = dag.set_secret("kept", "value-of-the-secret\n")
    box = bench.box.with_mounted_secret("/s/one", secret, mode=0o440)
    return [
        await box.with_exec(["stat", "-c", "%a %u:%g %s", "/s/one"]).stdout(),
        await box.with_exec(["cat", "/s/one"]).stdout(),
        await tried(box.file("/s/one").contents()),
        await secret.name(),
        await tried(dag.secret("env://NO_SUCH_VARIABLE_HERE").plaintext()),
        await tried(dag.secret("file:///no/such/file").plaintext()),
        await dag.secret("cmd://printf made").plaintext(),
        await tried(dag.secret("other://x").plaintext()),
        await dag.secret("env://PATH").uri(),
    ]


async def users(bench: Bench) -> Any:
    ids = ["sh", "-c", "id -u; id -g; echo $HOME"]
    return [
        await tried(bench.box.with_user(u).with_exec(ids).stdout())
        for u in ("", "0", "cift", "1000", "1234", "cift:0", "5:6", "cift:none")
    ]


async def files_in(bench: Bench) -> Any:
    box = bench.box.with_files("/many", [dag.file("a", "1"), dag.file("b", "2")], permissions=0o600, owner="cift")
    return [
        await box.with_exec(["sh", "-c", "stat -c '%a %u %n' /many /many/*"]).stdout(),
        await tried(box.with_file("/many", dag.file("c", "3")).directory("/many").entries()),
        await tried(
            box.with_new_file("/new/deep/f", "x", owner="1000")
            .with_exec(["stat", "-c", "%u", "/new", "/new/deep/f"])
            .stdout()
        ),
        await tried(box.with_directory("/many", dag.directory().with_new_file("d", "")).directory("/many").entries()),
        await tried(box.with_symlink("a", "/many/l").file("/many/l").contents()),
        await tried(box.directory("/many/a").entries()),
        await tried(box.file("/many").contents()),
        await tried(box.without_files(["/many/a", "/none"]).directory("/many").entries()),
        await tried(box.exists("/many/a", expected_type=dagger.ExistsType.DIRECTORY_TYPE)),
        await tried(box.stat("/many/a").size()),
    ]


async def images(bench: Bench) -> Any:
    box = (
        dag.container(platform=dagger.Platform("linux/amd64"))
        .with_new_file("/f", "x")
        .with_env_variable("A", "1")
        .with_entrypoint(["/f"])
        .with_exposed_port(53, protocol=dagger.NetworkProtocol.UDP)
        .with_docker_healthcheck(["ok"], interval="3s")
    )
    arm = dag.container(platform=dagger.Platform("linux/arm64")).with_new_file("/g", "y")

    async def seen(**options: Any) -> Any:
        target = bench.folder / "i.tar"
        await box.export(str(target), **options)
        with tarfile.open(target) as tar:

            def load(name: str) -> Any:
                member = tar.extractfile(name)
                assert member
                return json.loads(member.read())

            top = load("index.json")["manifests"]
            inner = load("blobs/" + top[0]["digest"].replace(":", "/"))
            described = (
                inner if "layers" in inner else load("blobs/" + inner["manifests"][0]["digest"].replace(":", "/"))
            )
            config = load("blobs/" + described["config"]["digest"].replace(":", "/"))
            return [
                len(top),
                top[0]["mediaType"],
                [m.get("platform") for m in inner.get("manifests", [])],
                [layer["mediaType"] for layer in described["layers"]],
                {k: config["config"].get(k) for k in ("Env", "Entrypoint", "ExposedPorts", "Healthcheck")},
            ]

    return [
        await seen(),
        await seen(forced_compression=dagger.ImageLayerCompression.Uncompressed),
        await seen(media_types=dagger.ImageMediaTypes.DockerMediaTypes),
        await seen(platform_variants=[arm]),
        await tried(
            seen(platform_variants=[dag.container(platform=dagger.Platform("linux/amd64")).with_new_file("/g", "")])
        ),
    ]


async def imports(bench: Bench) -> Any:
    box = (
        bench.box.with_new_file("/f", "x")
        .with_label("l", "v")
        .with_annotation("n", "v")
        .with_workdir("/w")
        .with_user("7")
    )
    again = dag.container().import_(box.as_tarball())
    return [
        await again.file("/f").contents(),
        await again.label("l"),
        await again.user(),
        await again.workdir(),
        await box.as_tarball().name(),
        await tried(dag.container().import_(dag.file("x", "rubbish")).rootfs().entries()),
        await tried(dag.container().import_(box.as_tarball(), tag="none").rootfs().entries()),
        await tried(box.image_ref()),
    ]


async def errors_of_references(bench: Bench) -> Any:
    return [await tried(dag.container().from_(a).sync()) and 1 for a in ("UPPER/case", "a b", "localhost:1/x:y")]


async def with_errors(bench: Bench) -> Any:
    return [await tried(bench.box.with_error("boom").sync()) and 1, await bench.box.with_error("").exists("/bin")]


async def services(bench: Bench) -> Any:
    web = bench.box.with_new_file("/srv/x", "served").with_exposed_port(8123)
    serving = web.as_service(args=["httpd", "-f", "-p", "8123", "-h", "/srv"])
    by_default = web.with_default_args(["httpd", "-f", "-p", "8123", "-h", "/srv"]).as_service()
    get = ["wget", "-q", "-O-"]
    return [
        await bench.box.with_service_binding("web", serving).with_exec([*get, "http://web:8123/x"]).stdout(),
        await bench.box.with_service_binding("web", by_default).with_exec([*get, "http://web:8123/x"]).stdout(),
        await tried(web.as_service().start()) and 1,
        [await p.port() for p in await serving.ports()],
        (await serving.with_hostname("named").endpoint(scheme="http")),
        await serving.with_hostname("named").hostname(),
        await tried(dag.host().tunnel(bench.box.as_service(args=["sleep", "1"])).start()) and 1,
        await tried(dag.host().service([]).start()) and 1,
    ]
