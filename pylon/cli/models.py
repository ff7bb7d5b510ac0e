"""`pylon models`: which models can answer here, and fetching the small one of the embedded engine."""

from __future__ import annotations

import sys

import click
import msgspec

from pylon.backends.models import SMOLLM2, pull
from pylon.backends.registry import Backends
from pylon.cli.common import Context, command, err, json_option, out, pass_context, printable, run, show_json
from pylon.config import models_dir


class File(msgspec.Struct, frozen=True):
    """A model file in the cache."""

    name: str
    path: str
    bytes: int


class Offer(msgspec.Struct, frozen=True):
    """A model that a backend offers now."""

    name: str
    backend: str
    context: int
    loaded: bool
    slots: int


class Pulled(msgspec.Struct, frozen=True):
    """What `pull` did."""

    model: str
    path: str
    bytes: int
    fetched: bool


@click.group()
def models() -> None:
    """The models that can answer here."""


@models.command("list")
@json_option
@pass_context
@command
def list_(context: Context, as_json: bool) -> None:
    """Show the models on disk and those of the engines found."""
    files = [
        File(SMOLLM2.name if path == SMOLLM2.path else path.stem, str(path), path.stat().st_size)
        for path in sorted(models_dir().glob("*.gguf"))
    ]
    config = context.config()

    async def look() -> tuple[list[Offer], list[str]]:
        backends = Backends()
        try:
            await backends.start(config.backends)
            offers = [
                Offer(model.name, backend.name, model.context, model.loaded, model.slots)
                for backend, found in backends.available()
                for model in found
            ]
            return offers, backends.remarks()
        finally:
            await backends.aclose()

    offers, remarks = run(look)
    if as_json:
        show_json({"files": files, "models": offers, "remarks": remarks})
        return
    for offer in offers:
        state = "ready" if offer.loaded else "started when asked"
        line = f"{offer.name}  {offer.backend}, context {offer.context:,} tokens, {offer.slots} at a time, {state}"
        out.print(printable(line), markup=False)
    for file in files:
        out.print(printable(f"{file.path}  {file.bytes / 1e6:,.0f} MB"), markup=False)
    for remark in remarks:
        out.print(printable(remark), markup=False)
    if not offers and not remarks:
        out.print("no model can answer here: run `pylon models pull`")


@models.command("pull")
@json_option
@pass_context
@command
def pull_(context: Context, as_json: bool) -> None:
    """Fetch the small model (SmolLM2-135M, 98 MB) for the embedded engine; no account is needed."""
    context.config()
    fetched = pull(say=lambda text: err.print(text, markup=False), progress=sys.stderr.isatty())
    if as_json:
        show_json(Pulled(SMOLLM2.name, str(SMOLLM2.path), SMOLLM2.size, fetched))
    else:
        out.print(f"{SMOLLM2.name} is {'here' if fetched else 'here already'}: {SMOLLM2.path}", markup=False)
