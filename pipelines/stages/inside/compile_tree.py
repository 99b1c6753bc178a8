"""``python3 compile_tree.py ROOT FOLDER KNOWN``: byte-compile a folder of a tree, as `compileall` does, but take what is known.

KNOWN is a tree in which the folder was compiled before, for another platform. Byte code is the same on every platform, so
that of a source with the same bytes is copied.
"""

from __future__ import annotations

import filecmp
import importlib.util
import py_compile
import shutil
import sys
from pathlib import Path


def main(root: Path, folder: str, known: Path) -> None:
    for source in sorted((root / folder).rglob("*.py")):
        path = source.relative_to(root)
        target = Path(importlib.util.cache_from_source(str(source)))
        before = known / target.relative_to(root)
        if before.is_file() and (known / path).is_file() and filecmp.cmp(source, known / path, shallow=False):
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(before, target)
        else:
            mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
            py_compile.compile(str(source), dfile=f"/{path}", doraise=True, invalidation_mode=mode)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
