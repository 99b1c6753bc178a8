"""``python -m cift``: serve, look into a journal, manage keys."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from cift import __version__
from cift.errors import CiftError
from cift.settings import Settings, SettingsError

EPILOG = """
examples:
  cift serve --port 8000                        the venue, four workers over one book
  cift keys create alice --scopes read,trade    from then on requests must be signed
  cift verify-journal --data /var/lib/cift      every checksum of every batch
  cift replay --data /var/lib/cift              the state hash, recomputed from the first command
"""


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cift", description="CIFT Markets.", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = verbs.add_parser("serve", help="run the venue (uvicorn; configuration by environment)")
    serve.add_argument("--host", default="127.0.0.1", help="address (default: %(default)s)")
    serve.add_argument("--port", type=int, default=8000, help="port (default: %(default)s)")
    serve.add_argument("--workers", type=int, default=4, help="processes over one book (default: %(default)s)")
    serve.add_argument("--print", action="store_true", help="print the configuration, secrets redacted, and end")
    serve.set_defaults(run=_serve)

    verify = verbs.add_parser("verify-journal", help="check every batch of a journal; changes nothing")
    verify.set_defaults(run=_verify)
    replay = verbs.add_parser("replay", help="replay a journal and print its state hash; changes nothing")
    replay.add_argument(
        "--from-snapshot", action="store_true", help="begin with the newest snapshot, not the first command"
    )
    replay.set_defaults(run=_replay)
    for reader in (verify, replay):
        reader.add_argument("--data", type=Path, help="folder of the journal (default: CIFT_DATA)")
        reader.add_argument("--json", action="store_true", help="print JSON")

    keys = verbs.add_parser("keys", help="API keys").add_subparsers(required=True, metavar="ACTION")
    create = keys.add_parser("create", help="issue a key; its secret is shown this once")
    create.add_argument("account", help="the account that it belongs to, made if it is new")
    create.add_argument("--scopes", default="read,trade", help="by comma (default: %(default)s)")
    create.set_defaults(run=_create)
    revoke = keys.add_parser("revoke", help="take a key back")
    revoke.add_argument("id", help="the key's id")
    revoke.set_defaults(run=_revoke)
    keys.add_parser("list", help="ids, accounts and scopes").set_defaults(run=_list)

    verbs.add_parser("openapi", help="print the OpenAPI document").set_defaults(run=_openapi)
    return parser


def main(argv: list[str] | None = None) -> int:
    options = arguments().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except (CiftError, SettingsError, OSError) as error:
        print(f"cift: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _serve(options: argparse.Namespace) -> int:
    settings = Settings.of_environment()
    if options.print:
        print(json.dumps(settings.redacted(), indent=1))
        return 0
    words = ["--host", options.host, "--port", str(options.port), "--workers", str(options.workers), "--no-access-log"]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "cift.uvicorn", "cift.api.main:app", *words])


def _folder(options: argparse.Namespace) -> Path:
    folder: Path = options.data or Settings.of_environment().data
    if not folder.is_dir():
        raise SettingsError(f"{folder}: there is no such folder; name one with --data or CIFT_DATA")
    return folder


def _print(options: argparse.Namespace, found: dict[str, object]) -> int:
    print(json.dumps(found) if options.json else "\n".join(f"{name}: {value}" for name, value in found.items()))
    return 0


def _verify(options: argparse.Namespace) -> int:
    from cift.adapters import journal
    from cift.domain.records import RECORD_SIZE

    folder, last, batches = _folder(options), 0, 0
    for batch in journal.read(folder, RECORD_SIZE):
        batches, last = batches + 1, batch.first + len(batch.payload) // RECORD_SIZE - 1
    return _print(
        options, {"segments": len(journal.segments(folder)), "batches": batches, "last_sequence": last, "intact": True}
    )


def _replay(options: argparse.Namespace) -> int:
    from cift.adapters import journal, state
    from cift.domain.records import RECORD_SIZE

    folder = _folder(options)
    replayed = state.load(folder)[0] if options.from_snapshot else state.State()
    count = state.replay(replayed, journal.read(folder, RECORD_SIZE, replayed.sequence))
    return _print(
        options, {"commands_replayed": count, "last_sequence": replayed.sequence, "state_hash": replayed.hash()}
    )


def _create(options: argparse.Namespace) -> int:
    from cift.adapters import keys

    key_id, secret = keys.create(Settings.of_environment(), options.account, tuple(options.scopes.split(",")))
    print(f"key: {key_id}\nsecret: {secret}")
    return 0


def _revoke(options: argparse.Namespace) -> int:
    from cift.adapters import keys

    keys.revoke(Settings.of_environment(), options.id)
    return 0


def _list(options: argparse.Namespace) -> int:
    from cift.adapters import keys

    for key_id, row in sorted(keys.listed(Settings.of_environment()).items()):
        print(f"{key_id}  {row['account']}  {','.join(row['scopes'])}")
    return 0


def _openapi(options: argparse.Namespace) -> int:
    from cift.api.main import app

    print(json.dumps(app.openapi(), indent=1))
    return 0
