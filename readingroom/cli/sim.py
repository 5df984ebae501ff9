"""``readingroom sim``: policies compared on simulated nights, and what-if on the live state."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from readingroom.cli.instance import AsJson, Data, TenantName  # noqa: TC001 - typer reads them

app = typer.Typer(
    help="Simulate nights under each policy of assignment; `what-if` does it on the live state.",
    invoke_without_command=True,
    no_args_is_help=False,
)
_WRONG = 2
Out = Annotated[Path | None, typer.Option(help="Directory for an HTML page and PNG plots.")]
_EXAMPLE = "Example: readingroom sim --scenario stress --policies strict_priority,gcmu_matching --out /tmp/stress"


@app.callback(epilog=_EXAMPLE)
def sim(  # noqa: PLR0913 - one parameter a flag
    ctx: typer.Context,
    *,
    scenario: Annotated[str, typer.Option(help="night, stress, large, or the setting of a published study.")] = "night",
    policies: Annotated[str, typer.Option(help="Names with commas between, or `all`.")] = "all",
    seeds: Annotated[int, typer.Option(min=1, help="Nights; each is lived under every policy.")] = 30,
    first: Annotated[int, typer.Option(min=0, help="The first seed.")] = 1,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 is one a core.")] = 0,
    out: Out = None,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Simulate nights under each policy and compare: turnaround, breaches, fairness, with confidence intervals.

    Needs no instance. Every policy lives the same nights, so that differences are the policy's.
    """
    if ctx.invoked_subcommand is not None:
        return
    from simulation.compare import compare  # noqa: PLC0415 - the other commands start without scipy
    from simulation.nights import SCENARIOS  # noqa: PLC0415
    from simulation.policies import POLICIES  # noqa: PLC0415

    names = list(POLICIES) if policies == "all" else [name.strip() for name in policies.split(",")]
    for kind, given, known in (("scenario", [scenario], SCENARIOS), ("policies", names, POLICIES)):
        unknown = [name for name in given if name not in known]
        if unknown:
            typer.echo(f"--{kind}: there is no {unknown[0]}; there are {', '.join(known)}.", err=True)
            raise typer.Exit(_WRONG)
    cores = min(workers or len(os.sched_getaffinity(0)), seeds)
    found = compare(SCENARIOS[scenario], names, range(first, first + seeds), cores)
    if out is not None:
        from simulation.report import write  # noqa: PLC0415

        for path in write(found, out):
            typer.echo(str(path), err=True)
    if json_:
        typer.echo(json.dumps(found.as_json()))
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    from simulation.report import rows  # noqa: PLC0415

    heading, *body = rows(found)
    about = f"{found.about}; {seeds} nights, minutes, mean ± 95 % interval"
    table = Table(*heading, title=f"{scenario}: {about}")
    for line in body:
        table.add_row(*line)
    Console().print(table)


@app.command("published", epilog="Example: readingroom sim published --seeds 10")
def published(
    *,
    seeds: Annotated[int, typer.Option(min=2, help="Nights of each setting.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Live published results again: direction and size beside what was printed. Takes minutes."""
    from simulation.published import every  # noqa: PLC0415 - brings scipy

    lines = every(range(1, seeds + 1))
    if as_json:
        rows = [
            {"study": t.study, "figure": t.figure, "printed": t.printed, "unit": t.unit, "holds": t.holds}
            | t.here.as_json()
            for t in lines
        ]
        typer.echo(json.dumps({"seeds": seeds, "rows": rows}))
        return
    for told in lines:
        here = f"{told.here.mean:+.1f} ±{told.here.half:.1f} {told.unit}"
        typer.echo(f"{told.study}: {told.figure}: printed {told.printed or '-'}, here {here}")


@app.command(
    "what-if", epilog="Example: readingroom sim what-if --tenant north --close-shift ada@example.org --hours 4"
)
def what_if(  # noqa: PLR0913 - one parameter a flag
    *,
    tenant: TenantName,
    data: Data = None,
    close_shift: Annotated[list[str] | None, typer.Option(help="A reader, by e-mail or id, stops now.")] = None,
    add_reader: Annotated[
        list[str] | None, typer.Option(help="UNTIL or SPECIALTY@UNTIL, as neuro@06:00 in the group's time zone.")
    ] = None,
    send: Annotated[list[str] | None, typer.Option(help="SITE:COUNT:MODALITY[:PRIORITY], as harbor:40:CT.")] = None,
    scale: Annotated[list[str] | None, typer.Option(help="FACTOR or SITE:FACTOR, as harbor:1.3.")] = None,
    hours: Annotated[float, typer.Option(min=0.5, max=24, help="How far ahead.")] = 8.0,
    seed: Annotated[int, typer.Option(min=0)] = 1,
    as_json: AsJson = False,
) -> None:
    """Forecast breaches of a running group as planned and with changes. Changes nothing.

    Forks open studies, readers and hours as they stand; every flag may be repeated.
    """
    from readingroom.cli import forecast  # noqa: PLC0415 - brings scipy

    asked = forecast.Asked(close_shift or [], add_reader or [], send or [], scale or [])
    said = forecast.ask(data, tenant, asked, hours, seed)
    typer.echo(json.dumps(said) if as_json else forecast.told(said))
