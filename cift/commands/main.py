"""``cift``, or ``python -m cift``: run the venue, trade against it, look into its journal, manage keys."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from cift import __version__
from cift.commands.http import Login
from cift.domain.instruments import INSTRUMENTS
from cift.errors import CiftError
from cift.settings import Settings, SettingsError

DESCRIPTION = """
CIFT Markets: a trading venue in one folder. `cift serve` runs it; everything else is about what it has written or
speaks to it over HTTP. It is configured by the environment (CIFT_DATA, DATABASE_URL, CIFT_RATE, …): `cift serve --print`
shows what is in force, secrets redacted.
"""
EPILOG = """
examples:
  cift serve --port 8000                        the venue, four workers over one book
  cift simulate                                 traders for it; watch them at http://127.0.0.1:8000/
  cift bench --clients 32 --seconds 10          orders a second, and how long each took
  cift keys create alice --scopes read,trade    from then on requests must be signed
  cift verify-journal --data /var/lib/cift      every checksum of every batch
  cift replay --data /var/lib/cift              the state hash, recomputed from the first command
"""


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cift", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = verbs.add_parser("serve", help="run the venue (uvicorn; configuration by environment)")
    serve.add_argument("--host", default="127.0.0.1", help="address (default: %(default)s)")
    serve.add_argument("--port", type=_whole(1, 65535), default=8000, help="port (default: %(default)s)")
    serve.add_argument(
        "--workers", type=_whole(1, 256), default=4, help="processes over one book (default: %(default)s)"
    )
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
    _add_clients(verbs)
    return parser


def _add_clients(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The commands that speak to a venue."""
    simulate = verbs.add_parser(
        "simulate",
        help="trade against a venue, so that there is something to see",
        description="A market maker and takers on the demo accounts, until Ctrl-C; then the maker's orders are taken back.",
    )
    simulate.add_argument("--symbol", action="append", choices=list(INSTRUMENTS), help="only this one; may be repeated")
    simulate.add_argument("--rate", type=_positive, default=50.0, help="orders a second, about (default: %(default)g)")
    simulate.add_argument("--seconds", type=_positive, default=0.0, help="how long (default: until Ctrl-C)")
    simulate.add_argument("--seed", type=int, help="the same prices and sizes again")
    simulate.set_defaults(run=_simulate)

    bench = verbs.add_parser(
        "bench",
        help="load a venue, and say what its clients met",
        description="Clients that buy and sell at one price, each waiting for its answer. They share one Python process: "
        "on the venue's machine the figures are a lower bound. Start the venue with CIFT_RATE=0, or its rate limit is met.",
    )
    bench.add_argument("--symbol", default="CIFT-USD", choices=list(INSTRUMENTS), help="default: %(default)s")
    bench.add_argument("--clients", type=_whole(0, 10_000), default=16, help="REST clients (default: %(default)s)")
    bench.add_argument("--seconds", type=_positive, default=10.0, help="how long (default: %(default)g)")
    bench.add_argument(
        "--websockets", type=_whole(0, 10_000), default=0, help="listeners to book and trades (default: none)"
    )
    bench.add_argument("--slow", type=_whole(0, 10_000), default=0, help="how many of them do not read (default: none)")
    bench.add_argument("--json", action="store_true", help="print JSON")
    bench.set_defaults(run=_bench)
    for client in (simulate, bench):
        client.add_argument("--url", default="http://127.0.0.1:8000", help="the venue (default: %(default)s)")
        client.epilog = "With API keys, CIFT_API_KEY and CIFT_API_SECRET sign the requests (see: cift keys create)."


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e7:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number below 10 million")
    return value


def _whole(least: int, most: int) -> Callable[[str], int]:
    def value(text: str) -> int:
        if not text.isascii() or not text.isdigit() or len(text) > 9 or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} to {most}")
        return int(text)

    return value


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
    words += ["--timeout-graceful-shutdown", "8"]
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


def _login() -> Login | None:
    key, secret = os.environ.get("CIFT_API_KEY", ""), os.environ.get("CIFT_API_SECRET", "")
    if bool(key) != bool(secret):
        raise SettingsError("CIFT_API_KEY and CIFT_API_SECRET: there is one without the other")
    return Login(key, secret) if key else None


def _simulate(options: argparse.Namespace) -> int:
    from cift.commands import simulate

    traded = [INSTRUMENTS[symbol] for symbol in dict.fromkeys(options.symbol or INSTRUMENTS)]
    simulate.run(options.url, _login(), traded, options.rate, options.seconds, options.seed)
    return 0


def _bench(options: argparse.Namespace) -> int:
    import asyncio

    from cift.commands import bench

    if options.slow > options.websockets:
        raise SettingsError("--slow: is more than --websockets")
    if not options.clients and not options.websockets:
        raise SettingsError("--clients and --websockets: at least one client must come")
    words = (options.symbol, options.clients, options.websockets, options.slow, options.seconds)
    return _print(options, asyncio.run(bench.load(options.url, _login(), *words)))


def _openapi(options: argparse.Namespace) -> int:
    from cift.api.main import app

    print(json.dumps(app.openapi(), indent=1))
    return 0
