"""What the commands do: each asks the hook, or gives a bulk job its runs."""

from __future__ import annotations

import logging
import os
import signal
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial, wraps
from typing import Any, NoReturn

from airflow_provider_tallyfy.api import flows
from airflow_provider_tallyfy.api.errors import (
    TallyfyAuthError,
    TallyfyBulkError,
    TallyfyError,
    TallyfyNotFoundError,
    TallyfyPermissionError,
    TallyfyRateLimitError,
    TallyfyValidationError,
)
from airflow_provider_tallyfy.api.inputs.checks import listed
from airflow_provider_tallyfy.api.inputs.queries import QUERY_FILTERS
from airflow_provider_tallyfy.api.outputs import DETAILS, LISTED_FACTS, checked_fields, select_fields
from airflow_provider_tallyfy.bulk import ActivateAction, ArchiveAction, BulkJob
from airflow_provider_tallyfy.cli.output import progress, write
from airflow_provider_tallyfy.compat import read_all_connections
from airflow_provider_tallyfy.defaults import MAX_XCOM_BYTES
from airflow_provider_tallyfy.files.ids_and_rows import read_run_ids
from airflow_provider_tallyfy.files.storage import checked_path, write_json
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook

Show = Callable[..., None]

_FIELDS = ("id", "name", "status", "archived_at", "completed_at", "url")
_CHOICES = (*QUERY_FILTERS, "older_than", "limit")
_CONCURRENCY = 8

_USAGE = 2
#: The exit codes of Tallyfy's own command line client; what is not here ends with 1.
_EXIT_CODES: dict[type[TallyfyError], int] = {
    TallyfyAuthError: 3,
    TallyfyPermissionError: 3,
    TallyfyNotFoundError: 5,
    TallyfyRateLimitError: 6,
    TallyfyBulkError: 9,
    TallyfyValidationError: 7,
}


def _command(work: Callable[[Namespace, TallyfyHook, Show], None]) -> Callable[[Namespace], None]:
    """Give a command its hook and a way to print; end the process with a message and an exit code if it fails."""

    @wraps(work)
    def run(args: Namespace) -> None:
        read_all_connections()
        logging.disable(logging.INFO)
        show = partial(write, output=getattr(args, "output", "json"), file=sys.stdout)
        try:
            # Whatever is logged or printed besides is not data.
            with redirect_stdout(sys.stderr), TallyfyHook(args.conn_id, args.organization_id) as hook:
                work(args, hook, show)
        except TallyfyError as error:
            _end(str(error), next((code for kind, code in _EXIT_CODES.items() if isinstance(error, kind)), 1))
        except KeyboardInterrupt:
            _end("Interrupted.", 128 + signal.SIGINT)
        except BrokenPipeError:  # whoever read the output has enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(1) from None

    return run


def _end(message: str, code: int) -> NoReturn:
    print(message, file=sys.stderr)  # noqa: T201
    raise SystemExit(code)


@_command
def check(args: Namespace, hook: TallyfyHook, show: Show) -> None:
    """Test the connection."""
    show(hook.check_connection())


@_command
def list_runs(args: Namespace, hook: TallyfyHook, show: Show) -> None:
    """List runs."""
    fields = checked_fields(listed(args.fields, "fields") or _FIELDS, LISTED_FACTS)
    details = not {*DETAILS}.isdisjoint(fields)
    runs = hook.list_runs(**_filters(args), archived=args.archived, details=details)
    show([select_fields(run, fields) for run in runs])


@_command
def get_run(args: Namespace, hook: TallyfyHook, show: Show) -> None:
    """Read a run."""
    show(hook.get_run(args.run_id))


@_command
def export_run(args: Namespace, hook: TallyfyHook, show: Show) -> None:
    """Export a run, to a file or the standard output."""
    path = None if args.output_path is None else checked_path(args.output_path, "output_path")
    exported = hook.export_run(args.run_id)
    if path is None:
        show(exported)
    else:
        write_json(path, exported)


@_command
def answers(args: Namespace, hook: TallyfyHook, show: Show) -> None:
    """Read what people have filled in."""
    show(hook.get_form_values(args.run_id))


@_command
def list_templates(args: Namespace, hook: TallyfyHook, show: Show) -> None:
    """List templates."""
    show(hook.list_templates(query=args.query))


@_command
def list_tags(args: Namespace, hook: TallyfyHook, show: Show) -> None:
    """List tags."""
    show(hook.list_tags())


@_command
def archive_runs(args: Namespace, hook: TallyfyHook, show: Show) -> None:
    """Archive runs."""
    _change(args, hook, show, ArchiveAction)


@_command
def activate_runs(args: Namespace, hook: TallyfyHook, show: Show) -> None:
    """Restore archived runs."""
    _change(args, hook, show, ActivateAction)


def _filters(args: Namespace) -> dict[str, Any]:
    return {name: value for name in _CHOICES if (value := getattr(args, name)) is not None}


def _change(args: Namespace, hook: TallyfyHook, show: Show, kind: type[ArchiveAction] | type[ActivateAction]) -> None:
    """Bring runs into another state, and show what became of each, whatever ends it."""
    chosen = _chosen(args, hook, kind.verb)
    action = kind(hook.organization_id, chosen)
    rows: list[dict[str, Any]] = []
    try:
        with progress(kind.verb.capitalize()) as advance:

            def take(row: dict[str, Any]) -> None:
                rows.append(row)
                advance(action.total)

            job = BulkJob(
                action,
                hook,
                purpose=kind.verb,
                concurrency=_CONCURRENCY,
                max_failures=None,
                fail_on_errors=True,
                report_path=None,
                max_xcom_bytes=MAX_XCOM_BYTES,
                push_xcoms=False,
                describe_plan=(lambda requests, most: {}) if args.dry_run else None,
                log=logging.Logger("tallyfy", logging.CRITICAL),
                on_outcome=take,
            )
            with _ended_by_signals(job):
                job.run(None)
    finally:
        if rows or not chosen:
            counts = Counter(row["state"] for row in rows)
            print(", ".join(f"{count} {state}" for state, count in counts.items()) or "No runs.", file=sys.stderr)  # noqa: T201
            show(rows)


def _chosen(args: Namespace, hook: TallyfyHook, verb: str) -> list[Any]:
    """Choose the runs, by ids or by filters, and make sure that the user means it."""
    filters = _filters(args)
    if bool(args.run_ids) == bool(filters):
        _end(f"Which runs? Give either ids or filters.\nFilters: {', '.join(_CHOICES)}.", _USAGE)
    must_ask = not (args.yes or args.dry_run)
    if must_ask and not sys.stdin.isatty():
        _end(f"To {verb} runs is a change, and there is no terminal to ask on.\nNothing was sent.\nAdd --yes.", _USAGE)
    if filters:
        chosen: list[Any] = list(hook.each_run(filters | {"archived": args.archived}))
    else:
        chosen = read_run_ids(sys.stdin.read() if args.run_ids == ["-"] else args.run_ids)
        if len(chosen) == 1:  # what is wrong with a single run is the command's own error
            chosen = [hook.execute(flows.find_run(hook.organization_id, chosen[0]))]
    question = f"{verb.capitalize()} {len(chosen)} run(s) of organization {hook.organization_id}? [y/N] "
    if must_ask and chosen and input(question).strip().lower() not in ("y", "yes"):
        _end("Nothing was changed.", 1)
    return chosen


@contextmanager
def _ended_by_signals(job: BulkJob) -> Iterator[None]:
    """Let the first signal end the job in good order, and the second at once."""
    received: list[int] = []

    def kill(number: int, frame: object) -> None:
        received.append(number)
        signal.signal(number, before[number])
        job.kill(f"interrupted by {signal.Signals(number).name}")

    before = {int(number): signal.signal(number, kill) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except TallyfyError as error:
        if received:
            _end(str(error), 128 + received[0])
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
