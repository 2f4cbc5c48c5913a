"""What commands print: data on the standard output, progress on the terminal."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from airflow_provider_tallyfy.api.text import MAX_NAME, one_line


def write(data: Any, output: str, file: TextIO) -> None:
    """Write a sentence, an object, or a list of objects; json and yaml keep numbers and booleans."""
    if isinstance(data, str):
        file.write(f"{data}\n")
    elif output == "json":
        file.write(f"{json.dumps(data, indent=2)}\n")
    elif output == "yaml":
        import yaml

        yaml.safe_dump(json.loads(json.dumps(data)), file, sort_keys=False, allow_unicode=True)
    else:
        rows = [{"name": name, "value": value} for name, value in data.items()] if isinstance(data, Mapping) else data
        columns = list(dict.fromkeys(name for row in rows for name in row))
        is_raw = output == "csv" and not file.isatty()
        cells = [[_text(row.get(name), is_raw=is_raw) for name in columns] for row in rows]
        (_write_csv if output == "csv" else _write_table)(columns, cells, file)
    file.flush()


def _text(value: Any, *, is_raw: bool) -> str:
    """Write a value as text; names may hold control characters, which a terminal would obey."""
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
    return text if is_raw else one_line(text, MAX_NAME)


def _write_csv(columns: list[str], cells: list[list[str]], file: TextIO) -> None:
    csv.writer(file, lineterminator="\n").writerows([columns, *cells] if columns else [])


def _write_table(columns: list[str], cells: list[list[str]], file: TextIO) -> None:
    """Write a table, as wide as a terminal, or else as wide as its cells."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not cells:
        print("Nothing found.", file=sys.stderr)  # noqa: T201
        return
    table = Table(*columns, box=box.SIMPLE_HEAD)
    for row in cells:
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    Console(file=file, width=None if file.isatty() else Console(width=100_000).measure(table).maximum).print(table)


@contextmanager
def progress(text: str) -> Iterator[Callable[[int], None]]:
    """Show a bar on the terminal, if there is one; it moves when the function is called with how many there are."""
    if not sys.stderr.isatty():
        yield lambda total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(text, total=None)
        yield lambda total: bar.update(task, total=total, advance=1)
