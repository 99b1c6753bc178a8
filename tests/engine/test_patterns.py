"""What patterns let a walk leave out."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.patterns import Patterns

_NAMES = st.sampled_from(["a", "b", "ab", "a.py", ".git"])
_PATHS = st.lists(_NAMES, min_size=2, max_size=5).map("/".join)
_PARTS = st.sampled_from(["a", "b", "ab", "*", "**", "a*", "?", "[ab]", "{a,b/a}", "*.py", ".", "..", "", "\\a"])
_RULES = st.lists(
    st.tuples(st.sampled_from(["", "!"]), st.lists(_PARTS, min_size=1, max_size=4)), min_size=1, max_size=4
)


def _rules(drawn: Sequence[tuple[str, list[str]]]) -> Patterns:
    return Patterns([sign + "/".join(parts) for sign, parts in drawn])


@given(_RULES, _PATHS)
def test_a_folder_out_of_reach_holds_nothing_that_matches(drawn: Sequence[tuple[str, list[str]]], path: str) -> None:
    patterns, parts = _rules(drawn), path.split("/")
    if patterns.match(path):
        assert all(patterns.reach("/".join(parts[:depth])) for depth in range(1, len(parts)))


@given(_RULES, _PATHS)
def test_all_that_is_in_a_closed_folder_matches(drawn: Sequence[tuple[str, list[str]]], path: str) -> None:
    patterns, parts = _rules(drawn), path.split("/")
    if any(patterns.close("/".join(parts[:depth])) for depth in range(1, len(parts))):
        assert patterns.match(path)


@pytest.mark.parametrize(
    ("pattern", "folder", "reached"),
    [("src/*.py", "src", True), ("src/*.py", "src/a", False), ("src/*.py", ".venv", False), ("**/*.py", ".venv", True)],
)
def test_only_folders_that_could_hold_a_match_are_looked_into(pattern: str, folder: str, reached: bool) -> None:
    assert Patterns([pattern]).reach(folder) is reached
