"""Looking things up: globs, listings, stats, links, contents, differences, the host's folders."""

from __future__ import annotations

from typing import Any

import dagger
from compare import Bench, tried
from dagger import dag

from cases.writes import _listed, _tree


async def patterns_of_glob(bench: Bench) -> Any:
    tree = _tree().with_symlink("a", "link").with_new_file(".dot/.in", "").with_new_file("we ird[1]", "")
    patterns = [
        "",
        ".",
        "*/",
        "**/",
        "/",
        "/a",
        "./a",
        "a/",
        "**/*",
        "*/*",
        "**/.*",
        ".*",
        "[!a]*",
        "[^a]*",
        "[a-z]*",
        "we ird*",
        "we\\ ird*",
        "*[[]1]",
        "link/*",
        "link/**",
        "**/x.py",
        "a/**/c.txt",
        "a/b/c.txt",
        "../*",
        "{a,B.txt}",
        "?.md",
        "[",
        "a\\",
        "**b**",
    ]
    return {p: await tried(tree.glob(p)) for p in patterns}


async def order_of_entries(bench: Bench) -> Any:
    tree = dag.directory()
    for name in ("b", "a", "B", "a.b", "a-b", "a/x", "ä", "10", "9", "_", "~", ".h", "Z/y"):
        tree = tree.with_new_file(name if name != "a" else "aa", name)
    return [await tree.entries(), await tree.glob("*"), await tree.glob("**")]


async def paths_of_entries(bench: Bench) -> Any:
    tree = _tree().with_symlink("a", "link").with_symlink("none", "dangling")
    return {
        p: await tried(tree.entries(path=p))
        for p in (
            "",
            ".",
            "/",
            "./",
            "a",
            "a/",
            "/a",
            "./a/b",
            "a/../empty",
            "link",
            "link/b",
            "dangling",
            "B.txt",
            "none",
            "..",
            "a/x.py/y",
            "empty",
        )
    }


async def fields_of_stat(bench: Bench) -> Any:
    tree = (
        _tree()
        .with_symlink("a/x.py", "link")
        .with_new_file("s", "12345", permissions=0o4755)
        .with_symlink("gone", "dangling")
    )

    async def seen(where: Any, path: str, plain: bool = False) -> Any:
        stat = where.stat(path, do_not_follow_symlinks=plain)
        kind = await stat.file_type()
        return [
            await stat.name(),
            await stat.permissions(),
            kind and kind.value,
            kind == dagger.FileType.DIRECTORY or await stat.size(),
        ]

    box = bench.box.with_directory("/t", tree).with_workdir("/t")
    paths = ("a", "a/", "./a/x.py", "link", "dangling", "s", "a/../s", "B.txt/x")
    return {
        "tree": {p: await tried(seen(tree, p)) for p in paths},
        "plain": {p: await tried(seen(tree, p, True)) for p in ("link", "dangling", "s")},
        "box": {p: await tried(seen(box, p)) for p in ("a", "link", "/t/s", "/bin", ".", "none")},
        "file": await tried(_file_stat(tree)),
    }


async def _file_stat(tree: dagger.Directory) -> Any:
    stat = tree.file("s").stat()
    return [await stat.name(), await stat.permissions(), await stat.size()]


async def exists_by_type(bench: Bench) -> Any:
    tree = _tree().with_symlink("a", "to-a").with_symlink("B.txt", "to-b").with_symlink("gone", "dangling")
    paths = ("a", "B.txt", "to-a", "to-b", "dangling", "none", ".", "", "/", "a/", "to-a/x.py", "a/x.py/y", "../a")
    kinds = [None, *dagger.ExistsType]
    return {
        f"{p} {k and k.value} {plain}": await tried(tree.exists(p, expected_type=k, do_not_follow_symlinks=plain))
        for p in paths
        for k in kinds
        for plain in (False, True)
    }


async def exists_in_a_container(bench: Bench) -> Any:
    box = bench.box.with_directory("/t", _tree()).with_workdir("/t").with_mounted_directory("/m", _tree())
    box = box.with_mounted_temp("/tmp/x").with_mounted_file("/f", dag.file("f", ""))
    return {
        p: await tried(box.exists(p))
        for p in (
            "a",
            "/t/a",
            "../t/a",
            "/m",
            "/m/a/x.py",
            "/f",
            "/tmp/x",
            "/m/none",
            "~",
            "",
            ".",
            "/proc/self",
            "/dev/null",
        )
    }


async def links_made(bench: Bench) -> Any:
    tree = _tree()
    return [
        await tried(tree.with_symlink("a", "new/deep/l").glob("new/**")),
        await tried(tree.with_symlink("/etc/passwd", "abs").file("abs").contents()),
        await tried(tree.with_symlink("", "void").glob("void*")),
        await tried(tree.with_symlink("../../../x", "up").exists("up")),
        await tried(tree.with_symlink("x.py", "a/l").directory("a").file("l").contents()),
        await tried(tree.with_symlink("../B.txt", "a/l").directory("a").file("l").contents()),
        await tried(tree.with_symlink("a", "l").with_symlink("l", "k").directory("k").entries()),
        await tried(tree.with_symlink("a", "l").without_directory("l").entries()),
        await tried(tree.with_symlink("a", "l").without_file("l").entries()),
        await tried(tree.with_symlink("a", "l").with_new_file("l/n", "x").directory("a").entries()),
        await tried(tree.with_symlink("a", "l").with_directory("l", dag.directory().with_new_file("n", "")).entries()),
        await tried(
            tree.with_symlink("a", "l")
            .with_directory("l", dag.directory().with_new_file("n", ""))
            .directory("a")
            .entries()
        ),
        await tried(tree.with_symlink("B.txt", "l").with_file("l", dag.file("f", "over")).file("B.txt").contents()),
        await tried(tree.with_symlink("B.txt", "l").with_new_file("l", "over").file("B.txt").contents()),
        await tried(tree.with_symlink("gone", "l").with_new_file("l", "over").glob("*")),
        await tried(tree.with_symlink("a", "l").with_new_directory("l/n").directory("a").entries()),
        await tried(tree.with_symlink("a", "l").with_new_directory("l").glob("l*")),
        await tried(tree.with_symlink("gone", "l").with_new_directory("l").glob("*")),
    ]


async def links_in_a_container(bench: Bench) -> Any:
    box = bench.box.with_directory("/t", _tree()).with_symlink("/t/a", "/abs").with_symlink("t/a", "/rel")
    return [
        await tried(box.file("/abs/x.py").contents()),
        await tried(box.file("/rel/x.py").contents()),
        await tried(box.directory("/abs").entries()),
        await tried(box.with_new_file("/abs/new", "1").file("/t/a/new").contents()),
        await tried(box.with_directory("/rel", dag.directory().with_new_file("n", "2")).directory("/t/a").entries()),
        await tried(box.with_workdir("/abs").with_exec(["pwd"]).stdout()),
        await tried(box.without_directory("/abs").directory("/t").entries()),
        await tried(box.with_mounted_directory("/abs", _tree()).directory("/abs").entries()),
        await tried(box.with_symlink("x", "/abs").sync()) == 1,
        await tried(box.with_symlink("B.txt", "/t/l").file("/t/l").contents()),
    ]


async def files_replaced_by_kind(bench: Bench) -> Any:
    tree = _tree()
    return [
        await tried(tree.with_file("a", dag.file("n", "1")).glob("a/*")),
        await tried(tree.with_file("a/b", dag.file("b", "1")).glob("a/b/*")),
        await tried(tree.with_file(".", dag.file("n", "1")).glob("n")),
        await tried(tree.with_file("", dag.file("n", "1")).glob("n")),
        await tried(tree.with_file("/", dag.file("n", "1")).glob("n")),
        await tried(tree.with_file("B.txt/x", dag.file("n", "1")).glob("*")),
        await tried(tree.with_files("a", [dag.file("x.py", "new"), dag.file("y", "y")]).file("a/x.py").contents()),
        await tried(tree.with_files(".", [dag.file("same", "1"), dag.file("same", "2")]).file("same").contents()),
        await tried(tree.with_files("B.txt", [dag.file("n", "1")]).glob("*")),
        await tried(tree.with_new_directory("B.txt").glob("*")),
        await tried(tree.with_new_directory("B.txt/x").glob("*")),
        await tried(tree.with_directory("B.txt", dag.directory()).glob("*")),
        await tried(tree.with_new_file("", "x").glob("*")),
        await tried(tree.with_new_file(".", "x").glob("*")),
        await tried(tree.with_new_file("/abs/f", "x").glob("abs/*")),
        await tried(tree.with_new_file("p//q/./r", "x").glob("p/**")),
    ]


async def files_by_themselves(bench: Bench) -> Any:
    file = dag.file("n.txt", "text\n", permissions=0o640)
    tree = dag.directory().with_new_file("d/f", "x", permissions=0o750)
    return [
        await tried(dag.file("", "x").name()),
        await tried(dag.file("a/b", "x").name()),
        await tried(dag.file("../b", "x").name()),
        await file.size(),
        await file.contents(),
        await file.with_name("m").contents(),
        await tried(file.with_name("").name()),
        await tried(file.with_name("..").name()),
        await _listed(
            bench, dag.directory().with_file("k", file).with_file("l/", file).with_file("m", tree.file("d/f"))
        ),
        await tried(file.with_timestamps(1).contents()),
        (await file.digest()).split(":")[0],
        await tried(file.chown("5").contents()),
        await tried(file.chown("nobody-here").contents()),
        await tried(tree.file("d/f/").contents()),
        await tried(tree.file("/d/f").contents()),
        await tried(tree.file("d/./f").name()),
        await tried(tree.file("").contents()),
        await tried(dag.file("big", "é" * 70000).size()),
    ]


async def unusual_contents(bench: Bench) -> Any:
    raw = bench.box.with_exec(["sh", "-c", "printf 'a\\000b\\377\\n' > /r; printf '\\r\\n\\r\\n' > /c; : > /e"])
    return [
        await tried(raw.file("/r").contents()),
        await raw.file("/r").size(),
        await raw.file("/c").contents(),
        await raw.file("/e").contents(),
        await tried(raw.file("/c").contents(offset_lines=1)),
        await tried(raw.file("/e").contents(limit_lines=3)),
        await tried(dag.file("f", "a\nb\n").contents(offset_lines=2)),
        await tried(dag.file("f", "a\nb\n").contents(offset_lines=-1)),
        await tried(dag.file("f", "a\nb\n").contents(limit_lines=-1)),
        await tried(dag.file("f", "a\n\nb").contents(offset_lines=1, limit_lines=1)),
        await tried(dag.file("f", "\ufeffbom").size()),
    ]


async def timestamps_kept(bench: Bench) -> Any:
    tree = _tree().with_timestamps(1_600_000_000)
    over = tree.with_new_file("n", "").without_file("n")
    script = "find /t -mindepth 1 | sort | xargs stat -c '%Y %n'"
    return [
        await bench.box.with_directory("/t", tree).with_exec(["sh", "-c", script]).stdout(),
        await bench.box.with_mounted_directory("/t", tree).with_exec(["sh", "-c", script]).stdout(),
        await bench.box.with_directory("/t", over).with_exec(["stat", "-c", "%Y", "/t/B.txt"]).stdout(),
        await tried(tree.with_timestamps(-5).with_timestamps(0).entries()),
        await bench.box.with_file("/f", dag.file("f", "").with_timestamps(7))
        .with_exec(["stat", "-c", "%Y", "/f"])
        .stdout(),
    ]


async def chown_of_trees(bench: Bench) -> Any:
    tree = _tree().with_symlink("a", "l")
    return [
        await _listed(bench, tree.chown("a", "3:4"), "%u:%g %n"),
        await _listed(bench, tree.chown(".", "3"), "%u:%g %n"),
        await _listed(bench, tree.chown("l", "9:9"), "%u:%g %n"),
        await tried(tree.chown("none", "3").entries()),
        await tried(tree.chown("a/x.py", "x:y").entries()),
    ]


async def diff_of_trees(bench: Bench) -> Any:
    tree = _tree()
    changed = tree.with_new_file("a/b/n", "").without_directory("empty").with_new_file("z.md", "Z")
    return [
        await tree.diff(changed).glob("**"),
        await changed.diff(tree).glob("**"),
        await tree.diff(tree.chown("a", "4")).glob("**"),
        await tree.diff(tree.with_symlink("a", "l")).glob("**"),
        await tree.diff(tree.with_directory("a", dag.directory())).glob("**"),
        await tree.directory("a").diff(tree).glob("**"),
        await tree.diff(dag.directory()).glob("**"),
        await bench.box.rootfs()
        .diff(bench.box.with_exec(["sh", "-c", "mkdir -p /k/l; rm /etc/group; touch /etc/passwd"]).rootfs())
        .glob("**"),
    ]


async def searched_further(bench: Bench) -> Any:
    tree = (
        dag.directory()
        .with_new_file("a.txt", "One two\ntwo\n")
        .with_new_file(".hid", "two\n")
        .with_new_file("b/c.md", "x two two\n")
    )

    async def found(**options: Any) -> Any:
        return sorted(
            [
                [await r.file_path(), await r.line_number(), await r.matched_lines()]
                for r in await tree.search(**options)
            ]
        )

    return [
        await tried(found(pattern="two", limit=1)) != [],
        await tried(found(pattern="two", files_only=True)),
        await tried(found(pattern="two", skip_hidden=True)),
        await tried(found(pattern="(", literal=True)),
        await tried(found(pattern="(")),
        await tried(found(pattern="two$")),
        await tried(found(pattern="two", globs=["!*.md"])),
        await tried(found(pattern="one.two", dotall=True, multiline=True, insensitive=True)),
        await tried(found(pattern="none")),
        await tried(found(pattern="two", paths=["none"])),
    ]


async def host_filters(bench: Bench) -> Any:
    for path in ("a/x.py", "a/b/y.txt", ".hid/f", "z.log", "sub/.gitignore", "sub/k.tmp", "sub/l"):
        (bench.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (bench.folder / path).write_text("*.tmp\n" if path.endswith("ignore") else path)
    (bench.folder / "link").symlink_to("a/x.py")
    (bench.folder / "out").symlink_to("/etc/hostname")
    (bench.folder / "dirlink").symlink_to("a")
    host, here = dag.host(), str(bench.folder)
    return [
        await host.directory(here, include=["a/*.py", "link"]).glob("**"),
        await host.directory(here, include=["**/*.txt"], exclude=["a/b"]).glob("**"),
        await host.directory(here, exclude=["*", "!sub"]).glob("**"),
        await host.directory(here, exclude=["**/.*"]).glob("**"),
        await host.directory(here, include=["sub"], gitignore=True).glob("**"),
        await host.directory(here, include=["none"]).glob("**"),
        await tried(host.directory(here).file("link").contents()),
        await tried(host.directory(here).file("out").contents()),
        await tried(host.directory(here + "/dirlink").entries()),
        await tried(host.directory(here).directory("dirlink").entries()),
        await tried(host.file(here + "/link").contents()),
        await host.directory(here + "/a/../sub").entries(),
    ]


async def host_modes(bench: Bench) -> Any:
    (bench.folder / "x").write_text("1")
    (bench.folder / "x").chmod(0o751)
    (bench.folder / "d").mkdir(mode=0o705)
    (bench.folder / "s").write_text("2")
    (bench.folder / "s").chmod(0o4711)
    return [
        await _listed(bench, dag.host().directory(str(bench.folder), include=["x", "d", "s"])),
        await bench.box.with_file("/x", dag.host().file(str(bench.folder / "x")))
        .with_exec(["stat", "-c", "%a %u", "/x"])
        .stdout(),
    ]


async def exports(bench: Bench) -> Any:
    tree = _tree().with_symlink("a/x.py", "l").with_new_file("run", "x", permissions=0o755)
    out = bench.folder / "o"
    await tree.export(str(out))
    (out / "extra").write_text("kept")
    (out / "B.txt").unlink()
    (out / "B.txt").mkdir()
    again = await tried(tree.export(str(out)))
    file = dag.file("n", "file", permissions=0o600)
    await file.export(str(out / "f"))
    await file.export(str(out / "f"))
    return [
        sorted(str(p.relative_to(out)) for p in out.rglob("*")),
        again == str(out) or again,
        oct((out / "run").stat().st_mode & 0o777),
        oct((out / "z.md").stat().st_mode & 0o777),
        oct((out / "empty").stat().st_mode & 0o777),
        oct((out / "f").stat().st_mode & 0o777),
        str((out / "l").readlink()),
        await tried(file.export(str(out / "a"))) == str(out / "a"),
        await tried(tree.export(str(out / "run"))) == str(out / "run"),
    ]
