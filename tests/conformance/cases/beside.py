"""What surrounds steps: mounts, caches, secrets, services, images, platforms, identifiers."""

from __future__ import annotations

import json
import tarfile
import uuid
from typing import Any

import anyio
import dagger
from compare import Bench, tried
from dagger import dag

from cases.runs import _error


async def mounts_within_mounts(bench: Bench) -> Any:
    one, two = (
        dag.directory().with_new_file("a", "1").with_new_file("sub/b", "2"),
        dag.directory().with_new_file("c", "3"),
    )
    box = bench.box.with_mounted_directory("/m", one).with_mounted_directory("/m/sub", two)
    return [
        await box.with_exec(["sh", "-c", "find /m | sort; echo x > /m/sub/n; echo y > /m/n"])
        .directory("/m")
        .glob("**"),
        await box.with_exec(["sh", "-c", "echo x > /m/sub/n"]).directory("/m/sub").entries(),
        await box.directory("/m").glob("**"),
        await box.without_mount("/m/sub").with_exec(["ls", "/m/sub"]).stdout(),
        await box.without_mount("/m").mounts(),
        await box.with_mounted_directory("/m", two).mounts(),
        await tried(box.with_mounted_directory("/m", two).with_exec(["find", "/m"]).stdout()),
        await tried(
            bench.box.with_mounted_file("/m", dag.file("f", "1"))
            .with_exec(["sh", "-c", "cat /m; echo 2 > /m; cat /m"])
            .stdout()
        ),
        await tried(bench.box.with_mounted_file("/m", dag.file("f", "1")).with_exec(["sh", "-c", "rm /m"]).stdout()),
        await tried(
            bench.box.with_mounted_temp("/t", size=100000)
            .with_exec(["sh", "-c", "dd if=/dev/zero of=/t/f bs=300k count=1 2>/dev/null || echo full"])
            .stdout()
        ),
        await tried(bench.box.with_mounted_temp("/t").with_exec(["sh", "-c", "stat -c %a /t"]).stdout()),
        await tried(bench.box.with_mounted_directory("/", two).with_exec(["/c"]).stdout()),
        await tried(bench.box.with_mounted_directory("/etc", two).with_exec(["cat", "/etc/c"]).stdout()),
    ]


async def mounts_and_the_root(bench: Bench) -> Any:
    tree = dag.directory().with_new_file("f", "1")
    box = bench.box.with_mounted_directory("/new/m", tree).with_exec(["true"])
    return [
        await box.rootfs().exists("new"),
        await box.rootfs().exists("new/m"),
        await tried(box.without_mount("/new/m").directory("/new").entries()),
        await tried(bench.box.with_mounted_directory("/m", tree).with_rootfs(dag.directory()).mounts()),
        await tried(
            bench.box.with_mounted_directory("/m", tree)
            .with_directory("/m", dag.directory().with_new_file("g", ""))
            .with_exec(["ls", "/m"])
            .stdout()
        ),
        await tried(bench.box.with_mounted_cache("/c", dag.cache_volume("w")).with_new_file("/c/f", "x").sync()) == 1,
        await tried(bench.box.with_mounted_cache("/c", dag.cache_volume("w")).directory("/c").entries()),
        await tried(bench.box.with_mounted_secret("/s", dag.set_secret("x", "secret-in-root")).file("/s").contents()),
        await tried(
            bench.box.with_mounted_secret("/s/x", dag.set_secret("x", "secret-in-root"))
            .with_exec(["true"])
            .rootfs()
            .exists("s")
        ),
    ]


async def caches(bench: Bench) -> Any:
    key = uuid.uuid4().hex
    source = dag.directory().with_new_file("seed", "s")
    box = bench.box.with_mounted_cache("/c", dag.cache_volume(key), source=source)
    answers = [
        await box.with_exec(["ls", "/c"]).stdout(),
        await box.with_exec(["sh", "-c", "echo 1 > /c/n; ls /c"]).stdout(),
    ]
    other = bench.box.with_mounted_cache("/c", dag.cache_volume(key))
    answers.append(await other.with_env_variable("K", key).with_exec(["ls", "/c"]).stdout())
    for sharing in dagger.CacheSharingMode:
        own = bench.box.with_mounted_cache("/c", dag.cache_volume(key + sharing.value), sharing=sharing)
        await own.with_exec(["touch", "/c/" + sharing.value]).sync()
        answers.append(await own.with_env_variable("K", key).with_exec(["ls", "/c"]).stdout())
    return answers


async def caches_locked(bench: Bench) -> Any:
    key, seen = uuid.uuid4().hex, []
    box = bench.box.with_mounted_cache("/c", dag.cache_volume(key), sharing=dagger.CacheSharingMode.LOCKED)

    async def one(n: int) -> None:
        script = "test -e /c/busy && echo met; touch /c/busy; sleep 0.3; rm /c/busy"
        seen.append(await box.with_env_variable("N", f"{n}").with_exec(["sh", "-c", script]).stdout())

    async with anyio.create_task_group() as group:
        for n in range(3):
            group.start_soon(one, n)
    return seen


async def secrets_hidden(bench: Bench) -> Any:
    secret = dag.set_secret("many", "first-line-x\nsecond-line-y\n")
    short = dag.set_secret("short", "ab")
    box = bench.box.with_secret_variable("S", secret).with_secret_variable("T", short).with_mounted_secret("/s", secret)
    return [
        await box.with_exec(["sh", "-c", 'echo "$S"']).stdout(),
        await box.with_exec(["sh", "-c", "head -1 /s; tail -1 /s"]).stdout(),
        await box.with_exec(["sh", "-c", "cat /s >&2"]).stderr(),
        await box.with_exec(["sh", "-c", "echo cab $T ab"]).stdout(),
        await box.with_exec(["sh", "-c", "cat /s"], redirect_stdout="/o").file("/o").contents(),
        await _error(box.with_exec(["sh", "-c", 'echo "$S"; echo "$S" >&2; exit 2']).sync()),
        await box.with_exec(["sh", "-c", "echo $S | sed 's/-/_/g'"]).stdout(),
        await dag.set_secret("empty", "").plaintext(),
        await tried(
            bench.box.with_secret_variable("E", dag.set_secret("empty", ""))
            .with_exec(["sh", "-c", "echo [$E] ok"])
            .stdout()
        ),
        await dag.set_secret("many", "again-set").plaintext(),
        await secret.plaintext(),
        await box.without_secret_variable("S").with_exec(["sh", "-c", "echo [$S]"]).stdout(),
        await box.without_mount("/s").with_exec(["sh", "-c", "cat /s 2>/dev/null || echo gone"]).stdout(),
    ]


async def identifiers(bench: Bench) -> Any:
    tree, file, box = dag.directory().with_new_file("f", "1"), dag.file("f", "2"), bench.box.with_env_variable("A", "1")
    secret, volume = dag.set_secret("id", "secret-by-id"), dag.cache_volume("id")
    service = bench.box.with_exposed_port(80).as_service(args=["sleep", "1"])
    return [
        await dag.load_directory_from_id(dagger.DirectoryID(await tree.id())).file("f").contents(),
        await dag.load_file_from_id(dagger.FileID(await file.id())).contents(),
        await dag.load_container_from_id(dagger.ContainerID(await box.id())).env_variable("A"),
        await dag.load_secret_from_id(dagger.SecretID(await secret.id())).plaintext(),
        await tried(
            bench.box.with_mounted_cache(
                "/c", dag.load_cache_volume_from_id(dagger.CacheVolumeID(await volume.id()))
            ).mounts()
        ),
        [await p.port() for p in await dag.load_service_from_id(dagger.ServiceID(await service.id())).ports()],
        await tried(dag.load_file_from_id(dagger.FileID(await tree.id())).contents()),
        await tree.id() == await dag.directory().with_new_file("f", "1").id(),
        await tree.id() == await tree.with_new_file("g", "").id(),
        await (await tree.sync()).entries(),
        await (await file.sync()).name(),
        await (await box.sync()).env_variable("A"),
        await tried(dag.directory().file("none").sync()),
        await tried(dag.directory().directory("none").sync()),
    ]


async def services_bound(bench: Bench) -> Any:
    def web(text: str, port: int = 8080, *more: str) -> dagger.Service:
        box = bench.box.with_new_file("/srv/x", text).with_exposed_port(port)
        return box.as_service(args=["httpd", "-f", "-p", str(port), "-h", "/srv", *more])

    get = bench.box.with_service_binding("one", web("1")).with_service_binding("two", web("2", 9090))
    hidden = (
        bench.box.with_new_file("/srv/x", "slow")
        .with_exposed_port(8080)
        .as_service(args=["sh", "-c", "sleep 1; exec httpd -f -p 8080 -h /srv"])
    )
    entry = (
        bench.box.with_new_file("/srv/x", "e")
        .with_exposed_port(80)
        .with_entrypoint(["httpd"])
        .with_default_args(["-f", "-h", "/srv"])
    )
    command = (
        bench.box.with_new_file("/srv/x", "d").with_exposed_port(80).with_default_args(["httpd", "-f", "-h", "/srv"])
    )
    fetch = ["sh", "-c", "wget -qO- http://s/x"]
    named = web("named").with_hostname("named")
    return [
        await get.with_exec(["sh", "-c", "wget -qO- http://one:8080/x; wget -qO- http://two:9090/x"]).stdout(),
        await bench.box.with_service_binding("s", hidden).with_exec(["wget", "-qO-", "http://s:8080/x"]).stdout(),
        await tried(
            bench.box.with_service_binding("s", entry.as_service(use_entrypoint=True)).with_exec(fetch).stdout()
        ),
        await tried(bench.box.with_service_binding("s", entry.as_service()).with_exec(fetch).stdout()),
        await tried(bench.box.with_service_binding("s", command.as_service()).with_exec(fetch).stdout()),
        await tried(
            bench.box.with_service_binding("s", bench.box.with_exposed_port(7).as_service(args=["false"]))
            .with_exec(["true"])
            .sync()
        )
        == 1,
        await tried(
            bench.box.with_service_binding("s", bench.box.as_service(args=["sleep", "60"]))
            .with_exec(["sh", "-c", "grep -c '\\bs\\b' /etc/hosts || true"])
            .sync()
        )
        != 1,
        await tried(named.hostname()),
        await tried(named.endpoint()),
        await tried(named.endpoint(scheme="http")),
        await tried(named.endpoint(port=1234)),
        await tried(bench.box.as_service(args=["sleep", "1"]).endpoint()),
        [[await p.port(), (await p.protocol()).value] for p in await web("p").ports()],
    ]


async def _image(bench: Bench, box: dagger.Container, **options: Any) -> Any:
    path = bench.folder / "i.tar"
    await box.export(str(path), **options)
    with tarfile.open(path) as tar:

        def blob(digest: str) -> Any:
            return json.loads(tar.extractfile("blobs/" + digest.replace(":", "/")).read())  # type: ignore[union-attr]

        index = json.loads(tar.extractfile("index.json").read())  # type: ignore[union-attr]
        manifest = blob(index["manifests"][0]["digest"])
        config = blob(manifest["config"]["digest"])
    return [
        len(manifest["layers"]),
        manifest.get("annotations"),
        config["config"],
        config["os"],
        config["architecture"],
        len(config["rootfs"]["diff_ids"]),
    ]


async def images_configured(bench: Bench) -> Any:
    box = dag.container().with_rootfs(dag.directory().with_new_file("f", "1"))
    full = (
        box.with_label("l", "1")
        .with_annotation("a", "2")
        .with_env_variable("E", "x=y")
        .with_user("5:6")
        .with_workdir("/w")
        .with_exposed_port(80)
        .with_exposed_port(53, protocol=dagger.NetworkProtocol.UDP)
        .with_entrypoint(["/e"])
        .with_default_args(["d"])
        .with_docker_healthcheck(["h"], retries=2)
    )
    return [
        await _image(bench, box),
        await _image(bench, full),
        await _image(
            bench, full.without_label("l").without_annotation("a").without_exposed_port(80).without_docker_healthcheck()
        ),
        await _image(bench, box.with_entrypoint([]).with_default_args([])),
        await _image(
            bench, full.with_secret_variable("S", dag.set_secret("im", "secret-image")).with_mounted_temp("/t")
        ),
        await tried(_image(bench, dag.container())),
    ]


async def images_imported(bench: Bench) -> Any:
    box = (
        bench.box.with_label("l", "1")
        .with_entrypoint(["/bin/echo"])
        .with_default_args(["hi"])
        .with_env_variable("A", "1")
    )
    box = box.with_user("cift").with_workdir("/tmp").with_exposed_port(81).with_annotation("k", "v")
    back = dag.container().import_(box.as_tarball())
    plain = bench.folder / "b.tar"
    await box.export(str(plain), forced_compression=dagger.ImageLayerCompression.Uncompressed)
    again = dag.container().import_(dag.host().file(str(plain)))
    return [
        [
            await x.label("l"),
            await x.entrypoint(),
            await x.default_args(),
            await x.env_variable("A"),
            await x.user(),
            await x.workdir(),
            len(await x.exposed_ports()),
        ]
        for x in (back, again)
    ] + [
        await back.with_exec([], use_entrypoint=True).stdout(),
        await back.with_exec(["stat", "-c", "%a %u:%g", "/tmp", "/bin/busybox"]).stdout(),
        await tried(dag.container().import_(dag.file("x", "no tar")).entrypoint()),
        await tried(dag.container().import_(box.as_tarball(), tag="none").entrypoint()),
        await tried(bench.box.with_env_variable("KEPT", "1").import_(box.as_tarball()).env_variable("KEPT")),
    ]


async def platforms(bench: Bench) -> Any:
    arm = dag.container(platform=dagger.Platform("linux/arm64"))
    many = [
        dag.container(platform=dagger.Platform(p)).with_new_file("/f", p)
        for p in ("linux/amd64", "linux/arm64", "linux/arm/v7")
    ]
    path = bench.folder / "m.tar"
    await dag.container().export(str(path), platform_variants=many)
    with tarfile.open(path) as tar:
        index = json.loads(tar.extractfile("index.json").read())  # type: ignore[union-attr]
        blob = "blobs/" + index["manifests"][0]["digest"].replace(":", "/")
        inner = json.loads(tar.extractfile(blob).read())  # type: ignore[union-attr]
    return [
        await arm.platform(),
        await arm.with_new_file("/f", "").platform(),
        await tried(dag.container(platform=dagger.Platform("rubbish")).platform()),
        await tried(dag.container(platform=dagger.Platform("linux")).platform()),
        await tried(dag.container(platform=dagger.Platform("linux/aarch64")).platform()),
        await tried(dag.container(platform=dagger.Platform("linux/arm")).platform()),
        [m.get("platform") for m in inner.get("manifests", [])],
    ]


async def arguments_expanded(bench: Bench) -> Any:
    box = bench.box.with_env_variable("A", "one two").with_env_variable("D", "/dir")
    tree = dag.directory().with_new_file("f", "1")
    return [
        await box.with_exec(["echo", "$A", "${A}x", "$NONE", "\\$A", "$$"], expand=True).stdout(),
        await box.with_directory("$D", tree, expand=True).file("/dir/f").contents(),
        await box.with_directory("$D", tree).directory("/").glob("$D*"),
        await box.with_mounted_directory("${D}/m", tree, expand=True).mounts(),
        await box.with_mounted_temp("$D/t", expand=True).mounts(),
        await box.with_file("$D/x", dag.file("f", "2"), expand=True).file("$D/x", expand=True).contents(),
        await box.with_new_file("$D/n", "3", expand=True).exists("$D/n", expand=True),
        await box.with_new_file("/dir/n", "3").without_file("$D/n", expand=True).exists("/dir/n"),
        await box.with_symlink("$D/n", "$D/l", expand=True).with_new_file("/dir/n", "4").file("/dir/l").contents(),
        await box.with_workdir("$D", expand=True).workdir(),
        await box.with_directory("/k", tree).directory("$NONE/k", expand=True).entries(),
    ]


async def annotations_labels_many(bench: Bench) -> Any:
    box = bench.box
    for n in range(5):
        box = box.with_label(f"k{n % 3}", str(n)).with_annotation(f"k{n % 3}", str(n))
    return [
        sorted([[await v.name(), await v.value()] for v in await box.labels()]),
        await box.label("k1"),
        await box.label(""),
        sorted(
            [[await v.name(), await v.value()] for v in await box.without_label("k0").with_label("k0", "new").labels()]
        ),
    ]


async def ports_and_arguments(bench: Bench) -> Any:
    box = bench.box
    return [
        await tried(box.with_exposed_port(0).exposed_ports()) == [],
        await tried(box.with_exposed_port(70000).exposed_ports()) == [],
        [
            await p.port()
            for p in await box.with_exposed_port(9).with_exposed_port(3).with_exposed_port(9).exposed_ports()
        ],
        [
            await p.port()
            for p in await box.with_exposed_port(9)
            .without_exposed_port(9, protocol=dagger.NetworkProtocol.UDP)
            .exposed_ports()
        ],
        await box.with_default_args(["a"]).with_default_args([]).default_args(),
        await box.with_default_args(["echo", "a"]).with_entrypoint(["sh"]).default_args(),
        await tried(box.with_default_args([]).with_exec([]).stdout()),
        await tried(
            box.with_entrypoint(["echo", "e"]).with_default_args(["d"]).with_exec([], use_entrypoint=True).stdout()
        ),
        await tried(box.with_entrypoint(["echo", "e"]).with_exec(["x"], use_entrypoint=True).stdout()),
        await tried(box.with_entrypoint(["echo", "e"]).with_exec([]).stdout()),
    ]
