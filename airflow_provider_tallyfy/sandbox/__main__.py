"""``python -m airflow_provider_tallyfy.sandbox``: serve the sandbox until interrupted."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

from airflow_provider_tallyfy.sandbox.seeds import DEFAULT
from airflow_provider_tallyfy.sandbox.server import Sandbox
from airflow_provider_tallyfy.sandbox.world import read_seed


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    command = argparse.ArgumentParser(
        prog="python -m airflow_provider_tallyfy.sandbox", description="A Tallyfy to try things on."
    )
    command.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    command.add_argument("--port", type=int, default=8765, help="port; 0 takes a free one (default: %(default)s)")
    command.add_argument("--behaviour", choices=["lenient", "strict"], default="lenient")
    command.add_argument("--seed", metavar="FILE.json", help="templates, tags and runs to begin with")
    command.add_argument("--token", help="the access token to accept (default: a random one)")
    command.add_argument("--organization-id", help="the organization's id (default: a random one)")
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM.

    :param arguments: Command line; the process's own by default.
    """
    options = parser().parse_args(arguments)
    seed = read_seed(options.seed) if options.seed else DEFAULT
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with Sandbox(
        options.behaviour,
        host=options.host,
        port=options.port,
        token=options.token,
        organization_id=options.organization_id,
        seed=seed,
    ) as sandbox:
        sys.stdout.write(
            f"base URL      {sandbox.base_url}\n"
            f"organization  {sandbox.organization_id}\n"
            f"token         {sandbox.token}\n"
            f"client        {sandbox.client_id} / {sandbox.client_secret} at {sandbox.token_url}\n"
            f"control       {sandbox.url}/_sandbox/state\n"
            f"AIRFLOW_CONN_TALLYFY_DEFAULT='{sandbox.connection_json()}'\n"
        )
        sys.stdout.flush()
        stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
