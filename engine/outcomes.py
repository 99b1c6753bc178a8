"""Outcomes of steps: the key that one is remembered under, and what is remembered of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.graph import Exec
from engine.store import Missing
from engine.tree import Entry, content_key, entry_of

if TYPE_CHECKING:
    from engine.solve import Solver


def key_of(solver: Solver, step: Exec, root: Entry, sources: dict[str, Entry]) -> str:
    """Made of all that the step can depend on, of its trees by their content."""
    box = step.container
    mounts = [
        [
            m.at,
            m.kind,
            content_key(sources[m.at]) if m.at in sources else None,
            m.volume and m.volume.identity,
            m.secret and solver.secrets.key(m.secret),
            m.owner,
            m.mode,
            m.size,
            m.read_only,
        ]
        for m in box.mounts
    ]
    parts = [
        content_key(root),
        step.args,
        step.stdin,
        step.redirect_stdin,
        step.redirect_stdout,
        step.redirect_stderr,
        step.expect,
        step.no_init,
        box.env,
        box.user,
        box.workdir,
        box.platform,
        mounts,
        [(name, solver.secrets.key(secret)) for name, secret in box.secret_env],
        [(alias, service.digest) for alias, service in box.services],
    ]
    if step.redirect_stdout or step.redirect_stderr:
        parts.append("opened before the program starts")  # Older engines did otherwise.
    return "step 3 " + hashlib.sha256(json.dumps(parts).encode("utf-8", "surrogateescape")).hexdigest()


def plain(outcome: dict[str, Any], bases: dict[str, Entry]) -> dict[str, Any]:
    """An outcome as JSON keeps it, with the trees that it was made from."""
    return {
        **outcome,
        "bases": {at: entry.ref for at, entry in bases.items() if entry.kind == "d"},
        "root": outcome["root"].row(""),
        "mounts": {at: entry.row("") for at, entry in outcome["mounts"].items()},
    }


def recall(solver: Solver, key: str, bases: dict[str, Entry]) -> dict[str, Any] | None:
    """A remembered outcome, if all that it names is still in the store, with the times of the bases that it has now."""
    value = solver.store.recall(key)
    if value is None:
        return None
    outcome = {
        **value,
        "root": entry_of(value["root"]),
        "mounts": {at: entry_of(row) for at, row in value["mounts"].items()},
    }
    try:
        if all(solver.store.whole(entry) for entry in (outcome["root"], *outcome["mounts"].values())):
            before = value.get("bases", {})
            outcome["root"] = _moved(solver, outcome["root"], before.get("/"), bases["/"])
            for at, entry in outcome["mounts"].items():
                outcome["mounts"][at] = _moved(solver, entry, before.get(at), bases[at])
            return outcome
    except Missing:
        pass
    solver.store.forget(key)
    return None


def _moved(solver: Solver, made: Entry, before: str | None, now: Entry) -> Entry:
    """A tree that a step made from one of the same content as the one that it would be made from now, which may have other
    times: a comparison with that would tell of nothing else. Its layers are the same, for no step depends on times."""
    if before in (None, now.ref) or made.kind != "d":
        return made
    try:
        with solver.store.transaction():
            tree = solver.trees.moved(made, replace(now, ref=before), now)
    except Missing:
        return made
    names = solver.store.index.layers(made.ref)
    if names is not None and tree.ref != made.ref and solver.store.index.layers(tree.ref) is None:
        solver.store.index.set_layers(tree.ref, names)
    return tree
