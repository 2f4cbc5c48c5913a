"""PostgreSQL and Redis from the system's packages, each in a folder and on a port of its own."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from demo.local_airflow import free_port

# A guard against waiting for ever, not a measure of speed.
_LONGEST = 60.0


class Server:
    """
    A server process.

    :param name: its folder and its log are called so.
    :param folder: below this one; readable by the user of the server.
    :param user: whose process it is; ``None`` for the user of the tests.
    """

    def __init__(self, name: str, folder: Path, user: str | None = None) -> None:
        self.folder = folder / name
        self.folder.mkdir()
        self.port = free_port()
        self._user = user
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        if user:
            shutil.chown(self.folder, user, user)

    def command(self) -> Sequence[str]:
        """Return the command line that starts it in the foreground."""
        raise NotImplementedError

    def is_ready(self) -> bool:
        """Whether it answers."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=self._user, cwd=self.folder
            )
        deadline = time.monotonic() + _LONGEST
        while not self.is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.command()[0]} does not answer:\n{self._log.read_text()[-2000:]}")
            time.sleep(0.1)

    def stop(self, number: int = signal.SIGINT) -> None:
        """
        End it.

        :param number: signal to send first; what does not end by it is killed.
        """
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(_LONGEST)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def run(self, *command: str) -> str:
        """
        Run a program as the user of the server and return what it printed.

        :param command: the program with its arguments.
        """
        done = subprocess.run(
            command, user=self._user, cwd=self.folder, capture_output=True, text=True, check=False, timeout=_LONGEST
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed:\n{done.stderr}")
        return done.stdout


class PostgreSQL(Server):
    """The newest PostgreSQL that is installed. It refuses to run as root, so root runs it as ``postgres``."""

    def __init__(self, folder: Path) -> None:
        super().__init__("postgresql", folder, "postgres" if os.getuid() == 0 else None)
        installed = Path("/usr/lib/postgresql").glob("*/bin/postgres")
        self._bin = max(installed, key=lambda path: int(path.parts[-3])).parent
        self._where = ("--host=127.0.0.1", f"--port={self.port}", "--username=airflow")
        self.url = f"airflow@127.0.0.1:{self.port}/airflow"
        self.run(f"{self._bin}/initdb", "--pgdata=data", "--username=airflow", "--auth=trust", "--no-sync")

    def __enter__(self) -> Self:
        super().__enter__()
        self.run(f"{self._bin}/createdb", *self._where, "airflow")
        return self

    def command(self) -> Sequence[str]:
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": 300,
            "fsync": "off",  # a killed server loses nothing without it, only a killed machine
        }
        return [f"{self._bin}/postgres", "-D", "data", *(f"--{name}={value}" for name, value in settings.items())]

    def is_ready(self) -> bool:
        command = [f"{self._bin}/pg_isready", "--quiet", "--host=127.0.0.1", f"--port={self.port}"]
        return subprocess.run(command, check=False).returncode == 0

    def query(self, sql: str) -> list[list[str]]:
        """
        Return the rows of a query, every value as text.

        :param sql: the query.
        """
        options = ("--dbname=airflow", "--no-psqlrc", "--csv", "--tuples-only", "--command")
        printed = self.run(f"{self._bin}/psql", *self._where, *options, sql)
        return list(csv.reader(printed.splitlines()))

    def dump(self) -> str:
        """Return everything that it holds, as text."""
        return self.run(f"{self._bin}/pg_dump", *self._where, "airflow")


class Redis(Server):
    """Redis, with a file that keeps every message that ever went through it."""

    def __init__(self, folder: Path) -> None:
        super().__init__("redis", folder)
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> Sequence[str]:
        persistence = ("--appendonly", "yes", "--auto-aof-rewrite-percentage", "0", "--save", "")
        return ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), *persistence]

    def is_ready(self) -> bool:
        command = ["redis-cli", "-p", str(self.port), "ping"]
        return subprocess.run(command, check=False, capture_output=True).stdout == b"PONG\n"
