"""docs/cli.md: every command with its arguments, options, defaults and JSON fields, read from the commands themselves.

`python -m pylon.cli.reference` prints the page (`make docs` writes it).
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator

import click

from pylon import errors
from pylon.cli.main import pylon
from pylon.cli.reference_json import fields

INTRODUCTION = """\
# Commands

Made from the program by `make docs`: every command, its arguments and options, and what `--json` prints. Amounts named `…_msat` are
millisats, ids are 64 hex digits, times Unix seconds. Fields may be added, never renamed.
"""
EXITS = """\
## Exit codes

An error is one sentence on standard error and, where there is one, a second that says what to do. With `--json` the document has the
member `error`, with `code`, `message` and `hint`, beside what was achieved all the same.
"""
Row = tuple[str, ...]


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION, *(_section(command, context) for command, context in commands(pylon, click.Context(pylon, info_name="pylon")))]
    return "\n".join([*parts, EXITS, _table(("exit", "`code`", "means"), _exits())])


def commands(command: click.Command, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """This command and all below it, in the order in which `--help` lists them."""
    yield command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            if (found := command.get_command(context, name)) is not None and not found.hidden:
                yield from commands(found, click.Context(found, parent=context, info_name=name))


def _section(command: click.Command, context: click.Context) -> str:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    text = [f"## `{context.command_path}`\n", inspect.cleandoc(command.help or "") + "\n", f"```text\n{usage}\n```\n"]
    arguments = [_argument(param, context) for param in command.params if isinstance(param, click.Argument)]
    if arguments:
        text.append(_table(("argument", "", "default"), arguments))
    options = [_option(param, context) for param in command.params if isinstance(param, click.Option) and not param.hidden]
    if options:
        text.append(_table(("option", "default", ""), options))
    if names := fields(context.command_path):
        text.append("JSON: " + ", ".join(f"`{name}`" for name in names) + "\n")
    return "\n".join(text)


def _argument(param: click.Argument, context: click.Context) -> Row:
    need = "needed" if param.required else "may be left out"
    return f"`{param.make_metavar(context).strip('[]')}`", need, _default(param, context)


def _option(param: click.Option, context: click.Context) -> Row:
    names = ", ".join(f"`{name}`" for name in sorted((*param.opts, *param.secondary_opts), key=lambda name: name.startswith("--")))
    value = "" if param.is_flag else f" `{_value(param, context)}`"
    again = " May be repeated." if param.multiple and "repeat" not in (param.help or "") else ""
    variable = f" Environment: `{param.envvar}`." if isinstance(param.envvar, str) else ""
    bounds = f" {_bounds(param.type)}" if isinstance(param.type, click.IntRange | click.FloatRange) else ""
    need = " Needed." if param.required else ""
    return names + value, _default(param, context), f"{param.help or ''}{bounds}{need}{again}{variable}".strip()


def _value(param: click.Option, context: click.Context) -> str:
    if param.metavar is None and isinstance(param.type, click.IntRange):
        return "N"
    if param.metavar is None and isinstance(param.type, click.FloatRange):
        return "SECONDS"
    return param.make_metavar(context)


def _bounds(kind: click.IntRange | click.FloatRange) -> str:
    least, most = (f"{bound:,}" if bound is not None else "" for bound in (kind.min, kind.max))
    if least and most:
        return f"From {'more than ' if kind.min_open else ''}{least} to {most}."
    return f"At least {least}." if least else f"At most {most}." if most else ""


def _default(param: click.Parameter, context: click.Context) -> str:
    value = param.get_default(context, call=False)
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        return ""
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _exits() -> list[Row]:
    """Every error by its exit status; what it means is the first sentence of its docstring."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.PylonError)]
    rows: list[Row] = [("0", "", "Done.")]
    for kind in sorted(kinds, key=lambda kind: kind.exit_status):
        means = "Something is broken." if kind is errors.PylonError else (kind.__doc__ or "").partition("\n")[0]
        rows.append((str(kind.exit_status), f"`{kind.code}`", means))
    return rows


def _table(head: Row, rows: list[Row]) -> str:
    lines = [head, ("---",) * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(cells).strip() + " |" for cells in lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
