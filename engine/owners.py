"""Users and groups of a tree, by name or number, as its own ``/etc/passwd`` and ``/etc/group`` know them."""

from __future__ import annotations

from engine.errors import EngineError
from engine.store import Store
from engine.tree import Entry
from engine.trees import Trees


class UnknownUser(EngineError):
    """A name that the tree does not know."""


def _table(store: Store, trees: Trees, root: Entry, path: str) -> list[list[str]]:
    found = trees.find(root, path)
    if found is None or found.kind != "f":
        return []
    return [line.split(":") for line in store.read(found).decode(errors="replace").splitlines() if ":" in line]


def user_of(store: Store, trees: Trees, root: Entry, text: str) -> tuple[int, int, list[int]]:
    """``(uid, gid, further groups)`` of ``user``, ``user:group``, names or numbers.

    Raises:
        UnknownUser: a name is in neither file.
    """
    if not text:
        return 0, 0, []
    user, _, group = text.partition(":")
    user = user or "0"
    rows = _table(store, trees, root, "/etc/passwd")
    groups = _table(store, trees, root, "/etc/group")
    row = next((r for r in rows if len(r) > 3 and (r[0] == user or (user.isdigit() and r[2] == user))), None)
    if row is None and not user.isdigit():
        raise UnknownUser(f"unable to find user {user}: no matching entries in passwd file")
    uid = int(row[2]) if row else int(user)
    gid = int(row[3]) if row else 0
    if user.isdigit() and row is None:
        gid = 0
    if group:
        found = next((r for r in groups if len(r) > 2 and r[0] == group), None)
        if found is None and not group.isdigit():
            raise UnknownUser(f"unable to find group {group}: no matching entries in group file")
        gid = int(found[2]) if found else int(group)
    # Who is given a group has no others.
    further = [int(r[2]) for r in groups if row and not group and len(r) > 3 and row[0] in r[3].split(",")]
    return uid, gid, further


def home_of(store: Store, trees: Trees, root: Entry, uid: int) -> str:
    """The home folder of a user as the tree's passwd has it; without one, root's is /root and others have /."""
    rows = _table(store, trees, root, "/etc/passwd")
    found = next((row[5] for row in rows if len(row) > 5 and row[2] == str(uid)), None)
    return found if found is not None else "/root" if uid == 0 else "/"


def resolve_owner(store: Store, trees: Trees, root: Entry, text: str) -> tuple[int, int]:
    """``(uid, gid)`` of an owner argument; a user without a group has the group of the same number."""
    user, colon, group = text.partition(":")
    uid, gid, _ = user_of(store, trees, root, text.removesuffix(":"))
    if not group:
        gid = 0 if colon else uid if user.isdigit() else gid
    return uid, gid
