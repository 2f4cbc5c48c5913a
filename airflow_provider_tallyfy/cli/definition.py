"""The commands and their arguments. Airflow reads them whenever ``airflow`` starts, so this imports nothing heavy."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable, Sequence

from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand, lazy_load_command

from airflow_provider_tallyfy.defaults import DEFAULT_CONN_ID

_OUTPUTS = ("table", "json", "yaml", "csv")

_CONNECTION = (
    Arg(("--conn-id",), help=f"the Airflow connection (default: {DEFAULT_CONN_ID})", default=DEFAULT_CONN_ID),
    Arg(("--organization-id",), help="id of the organization (default: the connection's)"),
)
_OUTPUT = Arg(("-o", "--output"), help=f"{', '.join(_OUTPUTS)} (default: table)", choices=_OUTPUTS, default="table")
_RUN_ID = Arg(("run_id",), help="id of the run")
_RUN_IDS = Arg(("run_ids",), help='ids of the runs, or "-" to read them from the standard input', nargs="*")
_WRITE = (
    Arg(("--dry-run",), help="say what would be changed, and change nothing", action="store_true"),
    Arg(("--yes",), help="do not ask", action="store_true"),
)
_FILTERS = (
    Arg(("--status",), help="only runs in this status: active, complete, problem, issue or archived"),
    Arg(("--template-id",), help="only runs of this template: its title or id"),
    Arg(("--query",), help="only runs whose name matches this text"),
    Arg(("--tags",), help="only runs with one of these tags: titles or ids with commas between them"),
    Arg(("--exclude-tags",), help="only runs with none of these tags: titles or ids with commas between them"),
    Arg(("--owners",), help="only runs that one of these users owns or has tasks in: addresses, names or ids"),
    Arg(("--folder",), help="only runs in this folder: its name or id"),
    Arg(("--older-than",), help="only runs that have been in their state for longer than this, such as 90d or 12h"),
    Arg(("--limit",), help="at most this many runs, the earliest launched first"),
)


def _archived(default: str) -> Arg:
    text = f"exclude, include or only: whether to choose from archived runs (default: {default})"
    return Arg(("--archived",), help=text, default=default)


def _command(name: str, function: str, text: str, *args: Arg) -> ActionCommand:
    body = lazy_load_command(f"airflow_provider_tallyfy.cli.commands.{function}")
    return ActionCommand(name=name, help=text, func=body, args=(*args, *_CONNECTION))


def get_tallyfy_cli_commands() -> list[GroupCommand]:
    """Return the commands, as the key ``cli`` of the provider's metadata must (Airflow >= 3.2)."""
    fields = Arg(("--fields",), help="which facts of the runs, with commas between them")
    path = Arg(("--output-path",), help="file to write the JSON to (default: the standard output)")
    runs = GroupCommand(
        name="runs",
        help="List, read, archive, restore and export runs",
        subcommands=(
            _command("list", "list_runs", "List runs", *_FILTERS, _archived("exclude"), fields, _OUTPUT),
            _command("get", "get_run", "Read a run", _RUN_ID, _OUTPUT),
            _command(
                "archive",
                "archive_runs",
                "Archive runs: the given ones, or those that filters choose",
                *(_RUN_IDS, *_FILTERS, _archived("exclude"), *_WRITE, _OUTPUT),
            ),
            _command(
                "activate",
                "activate_runs",
                "Restore archived runs: the given ones, or those that filters choose",
                *(_RUN_IDS, *_FILTERS, _archived("only"), *_WRITE, _OUTPUT),
            ),
            _command("export", "export_run", "Let Tallyfy export a run as JSON", _RUN_ID, path),
        ),
    )
    search = Arg(("--query",), help="only templates whose title matches this text")
    templates = _command("list", "list_templates", "List templates", search, _OUTPUT)
    commands = (
        _command("check", "check", "Test the connection"),
        runs,
        _command("answers", "answers", "Read what people have filled in, by label", _RUN_ID, _OUTPUT),
        GroupCommand(name="templates", help="List templates", subcommands=(templates,)),
        GroupCommand(name="tags", help="List tags", subcommands=(_command("list", "list_tags", "List tags", _OUTPUT),)),
    )
    return [GroupCommand(name="tallyfy", help="Runs of human workflows in Tallyfy", subcommands=commands)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Carry out a command, on an Airflow that does not take commands of providers, too."""
    [tallyfy] = get_tallyfy_cli_commands()
    parser = ArgumentParser(prog="python -m airflow_provider_tallyfy", description=tallyfy.help)
    _add_commands(parser, tallyfy.subcommands)
    args = parser.parse_args(arguments)
    args.func(args)


def _add_commands(parser: ArgumentParser, commands: Iterable[ActionCommand | GroupCommand]) -> None:
    parsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in commands:
        own = parsers.add_parser(command.name, help=command.help, description=command.help)
        if isinstance(command, GroupCommand):
            _add_commands(own, command.subcommands)
        else:
            for arg in command.args:
                arg.add_to_parser(own)
            own.set_defaults(func=command.func)
