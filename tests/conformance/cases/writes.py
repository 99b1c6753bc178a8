"""Writing into directories and containers: modes, owners, filters, links, what is listed afterwards."""

from __future__ import annotations

from typing import Any

import dagger
from compare import Bench, tried
from dagger import dag


def _tree() -> dagger.Directory:
    tree = dag.directory().with_new_file("a/b/c.txt", "c").with_new_file("a/x.py", "x").with_new_file("B.txt", "B")
    return tree.with_new_file("z.md", "z", permissions=0o600).with_new_directory("empty", permissions=0o711)


async def _listed(bench: Bench, tree: dagger.Directory, form: str = "%a %u:%g %F %n") -> Any:
    script = f"cd /t; find . | sort | xargs stat -c '{form}'"
    return await tried(bench.box.with_directory("/t", tree).with_exec(["sh", "-c", script]).stdout())


async def modes_of_new_files(bench: Bench) -> Any:
    tree = dag.directory()
    for mode in (0, 1, 0o7, 0o400, 0o444, 0o755, 0o1644, 0o2755, 0o4711, 0o7777):
        tree = tree.with_new_file(f"m{mode:o}", "x", permissions=mode)
    return await _listed(bench, tree)


async def modes_of_new_directories(bench: Bench) -> Any:
    tree = dag.directory()
    for mode in (0o500, 0o700, 0o755, 0o777, 0o1777, 0o2775):
        tree = tree.with_new_directory(f"d{mode:o}/in", permissions=mode)
    return await _listed(bench, tree)


async def a_directory_made_twice(bench: Bench) -> Any:
    tree = dag.directory().with_new_directory("d", permissions=0o700).with_new_directory("d", permissions=0o750)
    return await _listed(bench, tree.with_new_directory("d/e").with_new_directory("d"))


async def directories_with_an_owner(bench: Bench) -> Any:
    box = bench.box
    made = box.with_directory("/o", _tree(), owner="1000:7", include=["a/**", "z.md"])
    made = made.with_directory("/p", _tree(), owner="cift", exclude=["a"]).with_directory(
        "/p", _tree(), include=["a/x.py"]
    )
    return await made.with_exec(["sh", "-c", "find /o /p | sort | xargs stat -c '%a %u:%g %n'"]).stdout()


async def owners_that_nobody_knows(bench: Bench) -> Any:
    tree = _tree()
    return [
        await tried(bench.box.with_directory("/o", tree, owner="nobody-here").sync()) and 1,
        await tried(bench.box.with_file("/o", dag.file("f", ""), owner="cift:nobody-here").directory("/").entries())
        == 1,
        await tried(
            bench.box.with_new_file("/o", "", owner="4000000").with_exec(["stat", "-c", "%u:%g", "/o"]).stdout()
        ),
        await tried(bench.box.with_new_file("/o", "", owner=":5").with_exec(["stat", "-c", "%u:%g", "/o"]).stdout()),
        await tried(bench.box.with_new_file("/o", "", owner="cift:").with_exec(["stat", "-c", "%u:%g", "/o"]).stdout()),
        await tried(dag.directory().with_file("f", dag.file("x", ""), owner="cift").entries()),
        await tried(dag.directory().chown(".", "cift").entries()),
    ]


async def owners_of_what_was_there(bench: Bench) -> Any:
    box = bench.box.with_directory("/o", _tree(), owner="5:6").with_new_file("/o/z.md", "again")
    box = box.with_file("/o/B.txt", dag.file("n", "new"))
    box = box.with_directory("/o", dag.directory().with_new_file("a/x.py", "over").with_new_file("n", ""))
    return await box.with_exec(["sh", "-c", "find /o | sort | xargs stat -c '%a %u:%g %n'"]).stdout()


async def permissions_of_directories_laid_over(bench: Bench) -> Any:
    one = dag.directory().with_new_directory("d", permissions=0o700).with_new_file("d/f", "1", permissions=0o600)
    two = dag.directory().with_new_directory("d", permissions=0o777).with_new_file("d/g", "2", permissions=0o666)
    return [
        await _listed(bench, one.with_directory(".", two)),
        await _listed(bench, two.with_directory("d", one)),
        await _listed(bench, one.with_directory("d", two.directory("d"))),
        await _listed(bench, one.with_directory("new", two, permissions=0o705)),
    ]


async def gitignore_of_what_is_laid_in(bench: Bench) -> Any:
    tree = _tree().with_new_file(".gitignore", "*.txt\n!B.txt\n/a/x.py\n").with_new_file("a/b/.gitignore", "!c.txt\n")
    return [
        sorted(await dag.directory().with_directory("t", tree, gitignore=True).glob("**")),
        sorted(
            await bench.box.with_directory("/t", tree, gitignore=True, exclude=["empty"]).directory("/t").glob("**")
        ),
        sorted(await tree.filter(gitignore=True, include=["a"]).glob("**")),
    ]


async def rules_of_gitignore(bench: Bench) -> Any:
    paths = [
        "a.log",
        "d/a.log",
        "d/e/a.log",
        "build/x",
        "d/build/x",
        "foo bar",
        "#hash",
        "!bang",
        "t ",
        "q?",
        "x1",
        "x2",
        "doc/a/z",
        "doc/z",
    ]
    answers = {}
    for rules in (
        "d/*.log",
        "/*.log",
        "**/build",
        "build/",
        "foo\\ bar",
        "\\#hash",
        "\\!bang",
        "t\\ ",
        "x[0-1]",
        "doc/**/z",
        "d/**",
        "*\n!d/",
        "*\n!*/\n!a.log",
        "d\n!d/a.log",
        "x?",
    ):
        tree = dag.directory().with_new_file(".gitignore", rules + "\n")
        for path in paths:
            tree = tree.with_new_file(path, "")
        answers[rules] = sorted(await tree.filter(gitignore=True).glob("**"))
    return answers


async def patterns_of_include(bench: Bench) -> Any:
    patterns = [
        "a",
        "a/",
        "./a",
        "/a",
        "a/*",
        "a/**",
        "**/c.txt",
        "*.txt",
        "a/b/../x.py",
        "**",
        "*",
        "[aB]*",
        "{a,z.md}",
        "a/?",
        "A",
        "!a",
        "",
        "empty/",
        "**/b",
        "a*/b*/c*",
    ]
    return {p: await tried(dag.directory().with_directory(".", _tree(), include=[p]).glob("**")) for p in patterns}


async def patterns_of_exclude(bench: Bench) -> Any:
    patterns = [
        ["a/"],
        ["./a"],
        ["a/**"],
        ["**/*.txt", "!a/b/c.txt"],
        ["*", "!a/x.py"],
        ["a", "!a/b/c.txt"],
        ["[zB]*"],
        ["**/b"],
        ["/z.md"],
        [""],
        ["a/b/"],
        ["a/*/c.txt"],
        ["**/**"],
        ["!a"],
        ["a/b", "!a/b"],
    ]
    return {str(p): await tried(dag.directory().with_directory(".", _tree(), exclude=p).glob("**")) for p in patterns}
