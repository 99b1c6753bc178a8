"""Directories and files."""

from __future__ import annotations

from typing import Any

import dagger
from compare import Bench, tried
from dagger import dag


def _tree() -> dagger.Directory:
    return (
        dag.directory()
        .with_new_file("top.txt", "t")
        .with_new_file(".hidden", "h")
        .with_new_file("src/a.py", "a")
        .with_new_file("src/b.txt", "b")
        .with_new_file("src/deep/c.py", "c")
        .with_new_file("src/deep/.env", "e")
        .with_new_directory("void/inner")
        .with_symlink("a.py", "src/link")
        .with_symlink("src", "folder-link")
        .with_symlink("/nowhere/at/all", "dangling")
    )


async def globs(bench: Bench) -> Any:
    patterns = ["*", "**", "**/*", "*.txt", "**/*.py", "src/*", "src/**", "src", "src/", "s?c", "[st]*", "[^s]*", ".*"]
    patterns += ["**/.*", "src/[a-a].py", "src/*/*", "/src/*", "./src/*", "nothing", "void/**", "**/deep", "**/deep/**"]
    return {p: await tried(_tree().glob(p)) for p in patterns}


async def includes(bench: Bench) -> Any:
    lists = [
        ["src"],
        ["src/"],
        ["*.txt"],
        ["**/*.py"],
        ["src/*"],
        ["!src"],
        ["*", "!src"],
        ["src", "!src/deep"],
        ["void"],
    ]
    lists += [
        ["**/c.py"],
        [".hidden"],
        ["src/deep/"],
        ["/src"],
        ["./src"],
        ["void/inner"],
        ["folder-link"],
        ["src/link"],
    ]
    return {str(i): sorted(await _tree().filter(include=i).glob("**")) for i in lists}


async def excludes(bench: Bench) -> Any:
    lists = [
        ["src"],
        ["*.txt"],
        ["**/*.txt"],
        ["*"],
        ["*", "!top.txt"],
        ["src/**"],
        ["src/*"],
        ["**/.*"],
        ["void/inner"],
    ]
    lists += [["src", "!src/a.py"], ["**", "!**/*.py"], ["/src"], ["src/"], ["deep"]]
    return {str(e): sorted(await _tree().filter(exclude=e).glob("**")) for e in lists}


async def include_with_exclude(bench: Bench) -> Any:
    kept = _tree().filter(include=["src"], exclude=["**/*.py"])
    return sorted(await kept.glob("**"))


async def gitignore(bench: Bench) -> Any:
    rules = "*.log\n/build\n!keep.log\nnode/\n# note\n\nsub/*.tmp\n"
    tree = dag.directory().with_new_file(".gitignore", rules)
    for path in (
        "a.log",
        "keep.log",
        "x/b.log",
        "build/o",
        "x/build/o",
        "node/n",
        "x/node/n",
        "sub/t.tmp",
        "x/sub/t.tmp",
    ):
        tree = tree.with_new_file(path, "")
    return sorted(await tree.filter(gitignore=True).glob("**"))


async def gitignores_below(bench: Bench) -> Any:
    tree = dag.directory().with_new_file("x/.gitignore", "*.o\n").with_new_file("x/a.o", "").with_new_file("a.o", "")
    return sorted(await tree.filter(gitignore=True).glob("**"))


async def trailing_slashes(bench: Bench) -> Any:
    file = dag.file("name.txt", "1")
    tree = _tree()
    return [
        await tree.with_file("into/", file).glob("into/**"),
        await tree.with_file("src", file).glob("src/*.txt"),
        await tree.with_file("into/other", file).glob("into/**"),
        await tree.with_directory("into/", dag.directory().with_new_file("f", "")).glob("into/**"),
        await tree.directory("src/").entries(),
        await tried(tree.with_new_file("dir/", "x").glob("dir*")),
    ]


async def files_over_directories(bench: Bench) -> Any:
    one = dag.directory().with_new_file("x", "file")
    two = dag.directory().with_new_file("x/y", "in a folder")
    return [
        await tried(one.with_directory(".", two).glob("**")),
        await tried(two.with_directory(".", one).glob("**")),
        await tried(two.with_new_file("x", "over").glob("**")),
        await tried(one.with_new_file("x/y", "below a file").glob("**")),
        await tried(two.with_file("x", dag.file("n", "1")).glob("**")),
        await tried(one.with_new_directory("x").glob("**")),
    ]


async def links(bench: Bench) -> Any:
    tree = _tree()
    return [
        await tried(tree.file("src/link").contents()),
        await tried(tree.directory("folder-link").entries()),
        await tried(tree.file("folder-link/a.py").contents()),
        await tried(tree.file("dangling").contents()),
        await tried(tree.entries(path="folder-link")),
        await tree.exists("dangling"),
        await tree.exists("dangling", do_not_follow_symlinks=True),
        await tree.exists("src/link", expected_type=dagger.ExistsType.SYMLINK_TYPE),
        await tree.exists("src/link", expected_type=dagger.ExistsType.REGULAR_TYPE),
        await tree.exists("folder-link", expected_type=dagger.ExistsType.DIRECTORY_TYPE),
        await tree.with_new_file("src/link", "through").file("src/a.py").contents(),
        await tree.with_new_file("folder-link/new", "n").file("src/new").contents(),
        await tried(dag.directory().with_symlink("b", "a").with_symlink("a", "b").file("a").contents()),
        await tried(tree.with_symlink("x", "src").glob("*")),
        await tried(tree.with_symlink("x", "top.txt").glob("*")),
    ]


async def stats(bench: Bench) -> Any:
    tree = dag.directory().with_new_file("d/f", "four", permissions=0o640).with_symlink("f", "d/l")

    async def seen(path: str, plain: bool = False) -> Any:
        stat = tree.stat(path, do_not_follow_symlinks=plain)
        kind = await stat.file_type()
        return [
            await stat.name(),
            await stat.permissions(),
            kind and kind.value,
            await stat.size() if path != "d" else 0,
        ]

    return [await tried(seen(p)) for p in ("d/f", "d", "d/l", "none", "")] + [await seen("d/l", True)]


async def permissions(bench: Bench) -> Any:
    tree = (
        dag.directory()
        .with_new_file("a", "", permissions=0o755)
        .with_new_file("a", "again", permissions=0o600)
        .with_new_file("zero", "", permissions=0)
        .with_new_directory("d", permissions=0o700)
        .with_new_directory("d/e/f", permissions=0o711)
        .with_file("copied", dag.file("x", "", permissions=0o640))
        .with_file("given", dag.file("x", "", permissions=0o640), permissions=0o4755)
        .with_files("many", [dag.file("x", ""), dag.file("y", "")], permissions=0o604)
        .with_directory("w", dag.directory().with_new_file("f", "").with_new_file("s/f", ""), permissions=0o770)
    )
    script = "cd /t; find . | sort | xargs stat -c '%a %n'"
    return await bench.box.with_directory("/t", tree).with_exec(["sh", "-c", script]).stdout()


async def names(bench: Bench) -> Any:
    tree = _tree()
    return [
        await dag.directory().name(),
        await tree.directory("src/deep").name(),
        await tree.directory("src/deep/..").name(),
        await tree.file("src/a.py").name(),
        await tree.file("src/a.py").with_name("z.py").name(),
        await tried(tree.file("src/a.py").with_name("y/z.py").name()),
        await dag.file("plain.txt", "x").name(),
        await bench.box.rootfs().name(),
        await bench.box.directory("/etc").name(),
    ]


async def find_up(bench: Bench) -> Any:
    tree = _tree()
    return [
        await tried(tree.find_up(*a))
        for a in (
            ("a.py", "src/deep"),
            ("top.txt", "src/deep"),
            ("none", "src/deep"),
            ("c.py", "src/deep"),
            ("src", "."),
        )
    ]


async def without(bench: Bench) -> Any:
    tree = _tree()
    return [
        await tried(tree.without_file("src/*.py").glob("**")),
        await tried(tree.without_directory("src/*").glob("**")),
        await tried(tree.without_file("src").glob("**")),
        await tried(tree.without_directory("top.txt").glob("*")),
        await tried(tree.without_files(["top.txt", "none", ".hidden"]).glob("*")),
        await tried(tree.without_directory("void/").glob("*")),
        await tried(tree.without_directory("folder-link").glob("*")),
        await tried(tree.without_directory("src/deep/..").glob("*")),
    ]


async def contents_by_lines(bench: Bench) -> Any:
    file = dag.file("f", "one\ntwo\nthree\nfour")
    return [
        await file.contents(offset_lines=1),
        await file.contents(limit_lines=2),
        await file.contents(offset_lines=1, limit_lines=2),
        await file.contents(limit_lines=0),
        await file.contents(offset_lines=9),
    ]


async def replaced(bench: Bench) -> Any:
    file = dag.file("f", "a b a\nc a\n")
    return [
        await tried(file.with_replaced("b", "B").contents()),
        await tried(file.with_replaced("a", "A").contents()),
        await tried(file.with_replaced("a", "A", all=True).contents()),
        await tried(file.with_replaced("a", "A", first_from=2).contents()),
        await tried(file.with_replaced("zzz", "A").contents()),
        await tried(file.with_replaced("zzz", "A", all=True).contents()),
        await tried(file.with_replaced("a\nc", "-").contents()),
    ]


async def searched(bench: Bench) -> Any:
    tree = dag.directory().with_new_file("a.txt", "one\ntwo one\n").with_new_file("d/b.py", "One\nthree\n")

    async def found(**options: Any) -> Any:
        rows = await tree.search(**options)
        return sorted(
            [
                [
                    await r.file_path(),
                    await r.line_number(),
                    await r.absolute_offset(),
                    await r.matched_lines(),
                    [[await s.text(), await s.start(), await s.end()] for s in await r.submatches()],
                ]
                for r in rows
            ]
        )

    return [
        await found(pattern="one"),
        await found(pattern="o.e", insensitive=True),
        await found(pattern="o.e", literal=True),
        await found(pattern="one", paths=["d"]),
        await found(pattern="one", globs=["*.py"], insensitive=True),
        await found(pattern="two one\n", multiline=True),
    ]


async def diffs(bench: Bench) -> Any:
    tree = _tree()
    return [
        sorted(await tree.diff(tree.with_new_file("src/new", "")).glob("**")),
        sorted(await tree.diff(tree.without_file("top.txt")).glob("**")),
        sorted(await tree.diff(tree).glob("**")),
        sorted(await dag.directory().diff(tree).glob("**")),
    ]


async def digests(bench: Bench) -> Any:
    one, two = dag.file("a", "x"), dag.file("b", "x", permissions=0o755)
    return [
        await one.digest(exclude_metadata=True) == await two.digest(exclude_metadata=True),
        await one.digest() == await two.digest(),
        await dag.directory().digest() == await dag.directory().with_new_directory("x").without_directory("x").digest(),
    ]


async def owners(bench: Bench) -> Any:
    tree = dag.directory().with_new_file("d/f", "").chown("d", "1000:50")
    one = dag.directory().with_file("g", dag.file("x", "").chown("7")).with_file("h", dag.file("x", ""), owner="8:9")
    box = bench.box.with_directory("/t", tree).with_directory("/u", one)
    return await box.with_exec(["stat", "-c", "%u:%g %n", "/t", "/t/d", "/t/d/f", "/u/g", "/u/h"]).stdout()


async def long_names(bench: Bench) -> Any:
    return [
        await tried(dag.directory().with_new_file("n" * 255, "").glob("*")) != {"raised": "QueryError"},
        await tried(dag.directory().with_new_file("n" * 256, "").glob("*")),
    ]


async def out_of_the_tree(bench: Bench) -> Any:
    tree = _tree()
    return [
        await tried(tree.with_new_directory("../out").glob("*")),
        await tried(tree.with_file("../../f", dag.file("f", "1")).glob("f")),
        await tried(tree.directory("../..").entries()),
        await tried(tree.entries(path="../..")),
        await tried(tree.with_symlink("../../etc", "esc").directory("esc").entries()),
        await tried(tree.exists("../top.txt")),
    ]


async def host_folders(bench: Bench) -> Any:
    for path in ("a/x.py", "a/y.txt", "b/.git/config", "c.txt", ".gitignore"):
        (bench.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (bench.folder / path).write_text("*.txt\n" if path == ".gitignore" else path)
    host, here = dag.host(), str(bench.folder)
    return [
        sorted(await host.directory(here).glob("**")),
        sorted(await host.directory(here, include=["a"]).glob("**")),
        sorted(await host.directory(here, exclude=["a", "**/.git"]).glob("**")),
        sorted(await host.directory(here, gitignore=True).glob("**")),
        await host.directory(f"{here}/a").name(),
        await host.file(f"{here}/c.txt").name(),
        await tried(host.file(f"{here}/none").contents()),
        await tried(host.directory(f"{here}/none").entries()),
        await tried(host.directory(f"{here}/c.txt").entries()),
        await tried(host.file(f"{here}/a").contents()),
    ]


async def exported(bench: Bench) -> Any:
    tree, out = _tree(), bench.folder / "out"
    (out / "kept").mkdir(parents=True)
    first = await tree.export(str(out)) == str(out)
    kept = (out / "kept").is_dir()
    await tree.export(str(out), wipe=True)
    file = dag.file("name", "text")
    return [
        first,
        kept,
        (out / "kept").exists(),
        (out / "src/link").is_symlink(),
        sorted(p.name for p in out.iterdir()),
        await tried(file.export(str(out))) == str(out / "name"),
        str(await tried(file.export(str(out), allow_parent_dir_path=True))).removeprefix(str(out)),
        (out / "name").read_text(),
        await file.export(str(bench.folder / "new/deep/f")) == str(bench.folder / "new/deep/f"),
    ]
