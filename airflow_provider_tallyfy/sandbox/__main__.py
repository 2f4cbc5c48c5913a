"""``python -m airflow_provider_tallyfy.sandbox``: serve the sandbox until interrupted."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

try:
    from airflow_provider_tallyfy.sandbox.seeds import DEFAULT, SeedError, read_seed
    from airflow_provider_tallyfy.sandbox.server import DEFAULT_HOST, Sandbox
except ModuleNotFoundError as missing:
    sys.exit(f'The sandbox needs {missing.name}: pip install "airflow-provider-tallyfy[sandbox]".')

_LAST_PORT = 65535


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    command = argparse.ArgumentParser(
        prog="python -m airflow_provider_tallyfy.sandbox", description="A Tallyfy to try things on."
    )
    command.add_argument("--host", help=f"address to listen on (default: {DEFAULT_HOST}, for this machine only)")
    command.add_argument("--port", type=_port, default=8765, help="port; 0 takes a free one (default: %(default)s)")
    command.add_argument("--behavior", choices=["lenient", "strict"], default="lenient")
    command.add_argument("--seed", metavar="FILE.json", help="templates, tags and runs to begin with")
    command.add_argument("--token", help="the access token to accept (default: a random one)")
    command.add_argument("--organization-id", help="the organization's id (default: a random one)")
    return command


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to {_LAST_PORT}")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM."""
    command = parser()
    options = command.parse_args(arguments)
    try:
        sandbox = _sandbox(options)
    except SeedError as error:
        command.error(f"--seed {options.seed}: {error}")
    except OSError as error:
        command.error(f"cannot listen on {options.host or DEFAULT_HOST}:{options.port}: {error.strerror}")
    _serve(sandbox)
    return 0


def _sandbox(options: argparse.Namespace) -> Sandbox:
    return Sandbox(
        options.behavior,
        host=options.host,
        port=options.port,
        token=options.token,
        organization_id=options.organization_id,
        seed=read_seed(options.seed) if options.seed else DEFAULT,
    )


def _serve(sandbox: Sandbox) -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with sandbox:
        sys.stdout.write(
            f"web app       {sandbox.url}/\n"
            f"base URL      {sandbox.base_url}\n"
            f"organization  {sandbox.organization_id}\n"
            f"token         {sandbox.token}\n"
            f"client        {sandbox.client_id} / {sandbox.client_secret} at {sandbox.token_url}\n"
            f"control       {sandbox.url}/_sandbox/state\n"
            f"\nTo connect Airflow to it:\n\n"
            f"airflow connections add tallyfy_default --conn-json '{sandbox.connection_json()}'\n"
        )
        sys.stdout.flush()
        stop.wait()


if __name__ == "__main__":
    sys.exit(main())
