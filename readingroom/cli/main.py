"""The command line: ``readingroom up``, ``demo``, ``admin`` and ``sim``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from actors.domain.identity import divide
from readingroom import __version__, logs
from readingroom.settings import Settings

_IN_USE = 3


app = typer.Typer(
    help="The reading-room server: studies in, the right radiologist at once, signed reports out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
worker = typer.Typer(help="Processes that `up` starts.")
app.add_typer(worker, name="worker", hidden=True)
if sys.argv[1:2] != ["worker"]:  # a process that `up` starts serves sooner without these
    from readingroom.cli import admin, sim, status

    admin.app.command("status", epilog=status.EXAMPLE)(status.status)
    app.add_typer(admin.app, name="admin")
    app.add_typer(sim.app, name="sim")

Data = Annotated[Path | None, typer.Option(help="Directory of the instance.", show_default="READINGROOM_DATA")]


def given(**flags: Any) -> Settings:
    """Return the settings: what flags say, else READINGROOM_*, else the defaults."""
    settings = Settings(**{name: value for name, value in flags.items() if value is not None})
    settings.data = settings.data.expanduser().resolve()
    return settings


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer's call
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def main(
    *,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """The reading-room server: studies in, the right radiologist at once, signed reports out."""


@app.command(epilog="Example: readingroom up --data /srv/reading-room --host 0.0.0.0 --gateways 2")
def up(  # noqa: PLR0913 - one parameter a flag
    *,
    data: Data = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="HTTP; 0 takes a free one.", show_default="8080")] = None,
    dicom_port: Annotated[int | None, typer.Option(help="DICOM; 0 takes a free one.", show_default="11112")] = None,
    dicom_listeners: Annotated[int | None, typer.Option(min=1, help="How many share it.", show_default="1")] = None,
    dicom_tls_port: Annotated[int | None, typer.Option(help="DICOM under TLS.", show_default="none")] = None,
    dicom_tls_cert: Annotated[Path | None, typer.Option(help="Our certificate and its key, PEM.")] = None,
    dicom_tls_key: Annotated[Path | None, typer.Option(help="The key, when it is a file of its own.")] = None,
    dicom_tls_ca: Annotated[
        Path | None, typer.Option(help="Who signs callers' certificates; all must show one.")
    ] = None,
    gateways: Annotated[int | None, typer.Option(min=1, help="How many share the port.", show_default="1")] = None,
    shard_hosts: Annotated[
        int | None,
        typer.Option(min=0, help="About one a core; 0: as many as the cluster has room for.", show_default="1"),
    ] = None,
    inference_workers: Annotated[int | None, typer.Option(min=1, show_default="1")] = None,
    attached: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Start everything, print `ready http://HOST:PORT dicom HOST:PORT`, and run until Ctrl-C or SIGTERM.

    Exit codes: 0 stopped, 1 cannot start, 3 the directory is in use.
    """
    from readingroom import supervisor  # noqa: PLC0415 - children need no supervisor
    from readingroom.claim import InUse  # noqa: PLC0415
    from readingroom.embedded import CannotStart  # noqa: PLC0415

    settings = given(
        data=data, host=host, port=port, dicom_port=dicom_port, gateways=gateways, shard_hosts=shard_hosts,
        inference_workers=inference_workers, dicom_listeners=dicom_listeners, dicom_tls_port=dicom_tls_port,
        dicom_tls_cert=dicom_tls_cert, dicom_tls_key=dicom_tls_key, dicom_tls_ca=dicom_tls_ca,
    )  # fmt: skip
    if settings.dicom_tls_port is not None and settings.dicom_tls_cert is None:
        raise typer.BadParameter(
            "--dicom-tls-port needs --dicom-tls-cert: a PEM file with our certificate and its key."
        )
    logs.configure("supervisor", settings.log_level)
    try:
        supervisor.up(settings, attached=attached)
    except InUse as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(_IN_USE) from None
    except (CannotStart, OSError) as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(1) from None


@app.command(epilog="Example: readingroom demo, or headless: readingroom demo --once --json")
def demo(
    *,
    once: Annotated[bool, typer.Option(help="Live the whole journey once, headless, and stop.")] = False,
    json: Annotated[bool, typer.Option(help="Print the result as one JSON object in the last line.")] = False,
    data: Annotated[Path | None, typer.Option(help="Directory to use and keep; else a throw-away one.")] = None,
    port: Annotated[int | None, typer.Option(help="HTTP; 0 takes a free one.", show_default="8080")] = None,
    dicom_port: Annotated[int | None, typer.Option(help="DICOM; 0 takes a free one.", show_default="11112")] = None,
) -> None:
    """Show a small believable world: two reading groups, their people, orders and a stream of real studies."""
    if once:
        from readingroom.demo import once as journey  # noqa: PLC0415

        raise typer.Exit(journey.main(data=data, as_json=json))
    from readingroom.demo import run  # noqa: PLC0415

    raise typer.Exit(run.main(data=data, port=port, dicom_port=dicom_port, as_json=json))


Index = Annotated[int, typer.Option()]


@worker.command("gateway")
def worker_gateway(index: Index = 0) -> None:
    """Serve HTTP and sockets."""
    from readingroom import compose  # noqa: PLC0415

    compose.gateway(_child(f"gateway-{index}"), index)


@worker.command("dicom")
def worker_dicom(index: Index = 0) -> None:
    """Receive DICOM."""
    from readingroom import dicom  # noqa: PLC0415

    dicom.listen(_child(f"dicom-{index}"), index)


@worker.command("actors")
def worker_actors(index: Index = 0) -> None:
    """Keep shard hosts and inference workers alive on Ray."""
    from readingroom import keeper  # noqa: PLC0415

    del index  # there is one
    keeper.keep(_child("actors"))


@worker.command("migrate")
def worker_migrate() -> None:
    """Bring the schema up to date."""
    from readingroom.settings import ROLES  # noqa: PLC0415
    from storage import placement  # noqa: PLC0415
    from storage.migrate import migrate  # noqa: PLC0415

    settings = _child("migrate")
    migrate(settings.admin_dsn, ROLES, settings.secret("roles"))
    made_with = asyncio.run(placement.laid(settings.dsn("rr_timer")))
    if made_with not in {0, settings.shards}:
        typer.echo(f"This instance was made with {made_with} shards: READINGROOM_SHARDS must say so.", err=True)
        raise typer.Exit(1)


def _child(name: str) -> Settings:
    settings = given()
    logs.configure(name, settings.log_level)
    divide(settings.shards)
    return settings


if __name__ == "__main__":
    sys.exit(app())
