"""
Tables that are made from the code when the documentation is built.

``parameters`` shows what a class takes, ``classes`` what a module has, ``methods`` what a class can do, and
``arguments`` what the command line takes.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import chain, repeat
from textwrap import indent
from typing import Any, ClassVar

from airflow.cli.cli_config import Arg, GroupCommand
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata, OptionSpec

from airflow_provider_tallyfy.cli.definition import get_tallyfy_cli_commands


@dataclass(frozen=True)
class Parameter:
    """
    A parameter of a class.

    :param default: its default as code, or ``None`` if it must be given.
    :param meaning: what the docstring of the class says about it.
    """

    name: str
    annotation: str
    default: str | None
    meaning: str

    def row(self) -> list[str]:
        """Give its row of a table."""
        lines = [f"**{self.name}**", f"``{self.annotation}``"]
        if "(templated" in self.meaning:
            lines.append("templated")
        meaning = self.meaning[0].upper() + self.meaning[1:].replace(" (templated)", "", 1)
        if self.default is None:
            return [_line_block(lines), "*required*", meaning]
        said = re.escape(self.default.strip('"'))  # by the column
        return [_line_block(lines), f"``{self.default}``", re.sub(rf" Default: (``)?{said}(``)?\.$", "", meaning)]


def parameters_of(kind: type) -> list[Parameter]:
    """Give the parameters of a class, in the order of its signature."""
    documented = re.findall(r"^:param (\w+): (.*?)(?=^:|\Z)", inspect.getdoc(kind) or "", re.M | re.S)
    meanings = {name: " ".join(text.split()) for name, text in documented}
    signature = inspect.signature(inspect.unwrap(kind.__init__))  # type: ignore[misc]
    return [
        Parameter(each.name, each.annotation, _default(each), meanings[each.name])
        for each in signature.parameters.values()
        if each.name != "self" and each.kind is not each.VAR_KEYWORD
    ]


def how_to(kind: type) -> str:
    """Name the label of the section that shows how to use a class."""
    room = kind.__module__.split(".")[1]
    return f"howto/{'notifier' if room == 'notifications' else room.removesuffix('s')}:{kind.__name__}"


def first_sentence(it: object) -> str:
    """Give the first sentence of a docstring, without the page of Tallyfy's documentation that it names."""
    text = " ".join((inspect.getdoc(it) or "").split("\n\n")[0].split())
    return re.sub(r' \((documentation )?page ".*?"\)', "", re.split(r"(?<=\.) ", text)[0])


def arguments_of(group: GroupCommand, path: str = "") -> Iterator[tuple[Arg, str]]:
    """Give each argument of each command, with the name of the command."""
    for command in group.subcommands:
        name = f"{path}{command.name}"
        if isinstance(command, GroupCommand):
            yield from arguments_of(command, f"{name} ")
        else:
            yield from ((arg, name) for arg in command.args)


def _default(parameter: inspect.Parameter) -> str | None:
    if parameter.default is parameter.empty:
        return None
    if isinstance(parameter.default, str):
        return json.dumps(parameter.default)
    return repr(parameter.default).removeprefix("datetime.")


def _line_block(lines: Iterable[str]) -> str:
    return "\n".join(f"| {line}" for line in lines)


def _imported(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


class CodeTable(SphinxDirective):
    """Base of the directives: a table, written as reStructuredText and read by Sphinx."""

    required_arguments = 1

    #: The name of the directive, and the class of its tables.
    kind: ClassVar[str]
    #: The widths of the columns, in percent.
    widths: ClassVar[str]

    def table(self, header: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> list[nodes.Node]:
        """Make a table."""
        lines = [f".. list-table:: {title}", f"   :class: code-table {self.kind}", "   :header-rows: 1"]
        lines += [f"   :widths: {self.widths}", ""]
        for row in (header, *rows):
            marks = chain(["   * - "], repeat("     - "))
            lines += [mark + indent(cell, " " * len(mark)).lstrip() for mark, cell in zip(marks, row, strict=False)]
        return self.parse_text_to_nodes("\n".join(lines))


class ParametersTable(CodeTable):
    """``.. parameters:: module.Class`` shows name, type, default and meaning of what a class takes."""

    kind = "parameters"
    widths = "28 20 52"
    #: A class that takes some of them as well: they are named, and its section has them.
    option_spec: ClassVar[OptionSpec] = {"shared": str}

    def run(self) -> list[nodes.Node]:
        """Make the table."""
        kind = _imported(self.arguments[0])
        other = _imported(self.options["shared"]) if "shared" in self.options else None
        elsewhere = parameters_of(other) if other else []
        own = [each for each in parameters_of(kind) if each not in elsewhere]
        self.env.ref_context["py:module"] = kind.__module__  # the docstring names classes of its module
        title = f"Parameters of {kind.__name__}"
        found = self.table(("parameter", "default", "meaning"), (each.row() for each in own), title)
        if other:
            names = [f"``{each.name}``" for each in elsewhere if each in parameters_of(kind)]
            named = f"{', '.join(names[:-1])} and {names[-1]}"
            text = f"It also takes {named}, as :ref:`{other.__name__} <{how_to(other)}>` does."
            found += self.parse_text_to_nodes(text)
        return found


class ClassesTable(CodeTable):
    """``.. classes:: module ...`` shows what each public class is for, and where there is more about it."""

    kind = "classes"
    widths = "36 40 24"
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Make the table."""
        modules = [import_module(name) for name in self.arguments[0].split()]
        kinds = [getattr(module, name) for module in modules for name in module.__all__]
        rows = [
            (f":class:`~{kind.__module__}.{kind.__name__}`", first_sentence(kind), f":ref:`{how_to(kind)}`")
            for kind in kinds
            if inspect.isclass(kind)
        ]
        return self.table(("class", "what it does", "how to use it"), rows)


class MethodsTable(CodeTable):
    """``.. methods:: module.Class`` shows what each public method of a class does."""

    kind = "methods"
    widths = "30 70"

    def run(self) -> list[nodes.Node]:
        """Make the table."""
        kind = _imported(self.arguments[0])
        public = {name: it for name, it in vars(kind).items() if inspect.isfunction(it) and not name.startswith("_")}
        rows = [
            (f":meth:`~{self.arguments[0]}.{name}`", first_sentence(method))
            for name, method in public.items()
            if ":meta private:" not in (method.__doc__ or "")
        ]
        return self.table(("method", "what it does"), rows)


class ArgumentsTable(CodeTable):
    """``.. arguments::`` shows the arguments of all commands."""

    kind = "arguments"
    widths = "25 45 30"
    required_arguments = 0

    def run(self) -> list[nodes.Node]:
        """Make the table."""
        [tallyfy] = get_tallyfy_cli_commands()
        everywhere = {name for _, name in arguments_of(tallyfy)}
        commands: dict[tuple[str, str], list[str]] = {}
        for arg, name in arguments_of(tallyfy):
            flags, text = ", ".join(f"``{flag}``" for flag in arg.flags), arg.kwargs["help"]
            commands.setdefault((flags, text[0].upper() + text[1:]), []).append(name)
        rows = [
            (flags, text, "all" if set(names) == everywhere else ", ".join(f"``{name}``" for name in names))
            for (flags, text), names in commands.items()
        ]
        return self.table(("argument", "meaning", "commands"), rows)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Make the directives known."""
    for directive in (ParametersTable, ClassesTable, MethodsTable, ArgumentsTable):
        app.add_directive(directive.kind, directive)
    app.add_css_file("code_tables.css")
    return {"parallel_read_safe": True}
