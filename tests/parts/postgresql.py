"""A PostgreSQL server on loopback, out of Debian's locked packages.

It refuses to run as root, so it gets a user namespace in which it is not, and a process namespace that dies as a whole.
"""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pg8000.dbapi
import pytest

from engine.tools import LOCK as SANDBOX
from tests.parts.registries import free_port
from tests.parts.toolbox import LOCK, program

PASSWORD = "k9:p@ss/w%rd"
"""With all that has to be quoted in an address."""
_QUOTED = "k9%3Ap%40ss%2Fw%25rd"
_BIN = "/usr/lib/postgresql/17/bin"


class Server:
    """One cluster in a folder; it can be killed and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        usr = Path(program("postgres", LOCK.with_name("postgresql.lock"))[0]).parents[2]
        sandbox = program("bwrap", SANDBOX)
        busybox = Path(sandbox[-1]).with_name("busybox")
        (folder / "cluster").mkdir(parents=True)
        (folder / "passwd").write_text("postgres:x:1000:1000::/tmp:/bin/sh\n")
        (folder / "password").write_text(PASSWORD)
        options = (
            "--unshare-user --uid 1000 --gid 1000 --unshare-pid --die-with-parent --clearenv --setenv LC_ALL C --setenv TZ GMT "
            f"--ro-bind {usr} /usr --symlink usr/lib64 /lib64 --symlink usr/lib /lib --proc /proc --dev /dev --tmpfs /tmp "
            f"--ro-bind {busybox} /bin/sh --ro-bind {folder}/passwd /etc/passwd --ro-bind {folder}/password /etc/password "
            f"--bind {folder}/cluster /cluster"
        )
        self._words = [*sandbox, *options.split()]
        make = "initdb -D /cluster -U postgres -E UTF8 --locale=C --no-sync -A scram-sha-256 --pwfile=/etc/password"
        made = subprocess.run(
            [*self._words, *f"{_BIN}/{make}".split()], capture_output=True, text=True, timeout=120, check=False
        )
        if made.returncode and "namespace" in made.stderr:
            pytest.skip(f"this machine has no user namespaces for PostgreSQL: {made.stderr[-200:]}")
        assert made.returncode == 0, made.stdout + made.stderr
        self.port = free_port()
        self.url = f"postgresql://postgres:{_QUOTED}@127.0.0.1:{self.port}/postgres"
        self.log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it takes connections."""
        options = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "", "jit": "off"}
        options |= {"timezone": "GMT", "log_timezone": "GMT", "shared_buffers": "16MB"}
        words = [*self._words, f"{_BIN}/postgres", "-D", "/cluster"]
        for name, value in options.items():
            words += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log)
        for _ in range(300):
            if self._process.poll() is not None:
                break
            try:
                self.connection().close()
                return
            except (pg8000.dbapi.Error, OSError):
                time.sleep(0.1)
        raise AssertionError(f"PostgreSQL did not start:\n{self.log.read_text()[-2000:]}")

    def connection(self) -> pg8000.dbapi.Connection:
        return pg8000.dbapi.connect(
            "postgres", host="127.0.0.1", port=self.port, password=PASSWORD, database="postgres", timeout=10
        )

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        connection = self.connection()
        try:
            cursor = connection.cursor()
            cursor.execute(sql)
            return [tuple(row) for row in cursor.fetchall()]
        finally:
            connection.close()

    def kill(self) -> None:
        """kill -9 of all its processes at once."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(10)
            self._process = None
