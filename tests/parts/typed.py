"""Whether a command that stands in a workflow or a document is one: a target of make, or words that its program takes."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import shlex
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
_PYTHON = re.compile(r"(\.venv/bin/)?python3?(\.\d+)?$")
_TARGETS = {
    name
    for line in (HERE / "Makefile").read_text().splitlines()
    if (found := re.match(r"([a-z][a-z -]*):", line))
    for name in found[1].split()
}


def commands(text: str) -> list[list[str]]:
    """The words of each command in lines of a shell that are this project's own: ``make`` and ``python``, redirections left out."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        for part in re.split(r"\|\||&&|;(?!;)|\s\|\s", line):
            try:
                words = shlex.split(part, comments=True)
            except ValueError:
                continue
            if ">" in words:
                words = words[: words.index(">")]
            while words and re.fullmatch(r"[A-Z_]+=.*|if|!|\{|then|dagger|run|time|sudo", words[0]):
                words.pop(0)
            if words and (words[0] == "make" or _PYTHON.match(words[0])):
                found.append(words)
    return found


def complaint(words: list[str]) -> str:
    """Why the words are no command; nothing if they are one."""
    if words[0] == "make":
        targets = [word for word in words[1:] if "=" not in word]
        return "" if set(targets) <= _TARGETS else f"make has no {sorted(set(targets) - _TARGETS)}"
    if words[1:2] == ["-m"]:
        module, rest = words[2], words[3:]
    elif len(words) > 1 and words[1].endswith(".py"):
        if not (HERE / words[1]).is_file():
            return f"there is no {words[1]}"
        module, rest = words[1].removesuffix(".py").replace("/", "."), words[2:]
    else:
        return f"neither a module nor a file: {words[1:2]}"
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            loaded = importlib.import_module(module if module != "engine" else "engine.__main__")
            if not hasattr(loaded, "arguments"):
                return ""
            loaded.arguments().parse_args([word.strip("[]") for word in rest])
    except SystemExit as stop:
        return "" if stop.code == 0 else said.getvalue().strip()
    except ImportError as error:
        return str(error)
    return ""
