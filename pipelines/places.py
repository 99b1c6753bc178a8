"""Options that all commands share which reach registries."""

from __future__ import annotations

import argparse
from pathlib import Path

from registry.credentials import Credentials
from registry.transport import Settings


def add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("registries")
    group.add_argument(
        "--credentials",
        action="append",
        default=[],
        metavar="HOST=env:NAME|file:PATH",
        help="where user:password of a registry is; else Docker's configuration and helpers are asked",
    )
    group.add_argument("--ca", action="append", default=[], type=Path, help="PEM file of an authority to trust")
    group.add_argument("--plain-http", action="store_true", help="no TLS; for registries on this machine only")


def settings(options: argparse.Namespace) -> Settings:
    return Settings(Credentials(tuple(options.credentials)), tuple(options.ca), options.plain_http)
