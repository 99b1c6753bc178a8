"""Rust fuzzer: a binary of a cargo workspace compiled as a libFuzzer target, and run for a while without network.

libFuzzer is Debian's, a library with a ``main``. cargo-fuzz needs nightly Rust, and libfuzzer-sys a C++ compiler; what both
do comes down to the flags below, which a stable rustc takes.
"""

from __future__ import annotations

import dagger

from pipelines.network import Network
from pipelines.stages.bases import builder, script
from pipelines.stages.crates import compiled, fetched

STAGE = "rust fuzzer"
#: What is found: new inputs of the corpus, inputs that fail, what libFuzzer said, and its exit status.
CORPUS, FAILED, LOG, STATUS = "corpus", "failed", "log", "status"

_LIBRARY = "/usr/lib/llvm-19/lib/clang/19/lib/linux/libclang_rt.fuzzer-x86_64.a"
_FLAGS = (
    "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 "
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table "
    "-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 "
    # Nothing in the program asks for the library: it is the library that has main, and asks for the target.
    f"-Clink-arg=-Wl,--whole-archive -Clink-arg={_LIBRARY} -Clink-arg=-Wl,--no-whole-archive "
    "-Clink-arg=-l:libstdc++.so.6 -Clink-arg=-lm -Clink-arg=-lc"
)
#: A target of its own, or else the flags go to build scripts too.
_TARGET = "$(rustc -vV | while read -r key value; do [ $key != host: ] || echo $value; done)"


async def fuzzed(
    base: dagger.Directory,
    library: dagger.Directory,
    source: dagger.Directory,
    workspace: str,
    network: Network,
    seconds: int,
    seed: int,
) -> dagger.Directory:
    """A directory of what a run of the workspace's binary ``fuzz`` has found, from the corpus beside its manifest on.

    Raises:
        dagger.ExecError: it does not compile, or libFuzzer could not run.
    """
    root = base.with_directory("/", library)
    build = f"cargo build --release --bin fuzz --locked --offline --target {_TARGET}"
    box = builder(root, STAGE).with_env_variable("RUSTFLAGS", _FLAGS)
    # The crates of the target are few: none is compiled ahead.
    ready = compiled(box, fetched(box, source, workspace, network), source, workspace, "true")
    program = ready.with_exec(script(build, f"cp /target/{_TARGET}/release/fuzz /fuzz"))
    run = (
        f"/fuzz -max_total_time={seconds} -seed={seed} -max_len=400 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 "
        f"-artifact_prefix=/out/{FAILED}/ /out/{CORPUS} corpus"
    )
    done = program.with_exec(
        script(
            f"mkdir -p /out/{CORPUS} /out/{FAILED} corpus",
            # A finding is a result: the step must not fail, or it could not be taken out.
            f"status=0; {run} > /out/{LOG} 2>&1 || status=$?",
            f"echo $status > /out/{STATUS}",
        )
    )
    return await done.directory("/out").sync()
