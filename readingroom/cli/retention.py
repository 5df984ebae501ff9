"""``readingroom admin retention`` and ``hold``: how long things are kept, and what must stay whatever the policy says."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
import typer

from actors.domain.patient import patient_id
from readingroom.cli import instance
from readingroom.cli.instance import AsJson, ByWhom, Data, Hand, TenantName, act, refuse, say
from storage import admin, holds
from storage.eraser import Eraser
from storage.objects import object_store
from storage.pool import Database

retention = typer.Typer(
    help="How long images and reports are kept. Without a command: show it.", invoke_without_command=True
)
hold = typer.Typer(help="Legal holds: what stays whatever the policy says.", no_args_is_help=True)

Reason = Annotated[str, typer.Option(help="Why; kept with the hold.")]


def _print(shown: object) -> None:
    typer.echo(msgspec.json.encode(shown).decode())


async def _expired(data: Any) -> dict[str, list[dict[str, Any]]]:
    settings = instance.settings_of(data)
    db = await Database(settings.dsn("rr_keeper"), max_size=1).open()
    try:
        found = await Eraser(db, object_store(settings)).expired()
    finally:
        await db.close()
    return {tenant_id: [msgspec.to_builtins(one) for one in studies] for tenant_id, studies in found.items()}


@retention.callback(epilog="Example: readingroom admin retention --dry-run")
def show(
    context: typer.Context,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the studies that would go now.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show how long each group keeps what it has; nothing is erased by this."""
    if context.invoked_subcommand is not None:
        return

    async def work(hand: Hand) -> dict[str, Any]:
        return {tenant_id: await holds.policy(hand.conn, tenant_id) for tenant_id in await hand.tenants()}

    policies = act(data, work)
    going = asyncio.run(_expired(data)) if dry_run else {}
    if as_json:
        _print({t: {"policy": p} | ({"expired": going.get(t, [])} if dry_run else {}) for t, p in policies.items()})
        return
    for tenant_id, policy in policies.items():
        kept = "for ever" if policy is None else f"{policy['years']:g} years after the last change"
        typer.echo(f"{tenant_id}: {kept}{_more(policy)}")
        for one in going.get(tenant_id, []):
            typer.echo(
                f"  {one['study_uid']}  {one['site_id']}  {one['images']} images, last changed {one['changed_at']}"
            )


def _more(policy: dict[str, Any] | None) -> str:
    if policy is None:
        return ""
    said = [f"{name} {years:g}" for name, years in sorted(policy["modalities"].items())]
    if policy["until_age"]:
        said.append(f"not before the patient is {policy['until_age']}")
    return f" ({', '.join(said)})" if said else ""


@retention.command(
    "set", epilog="Example: readingroom admin retention set --tenant north-star --years 10 --modality MG=20"
)
def keep(  # noqa: PLR0913 - options
    *,
    tenant: TenantName,
    years: Annotated[float | None, typer.Option(help="Years after the last change; without it: for ever.")] = None,
    modality: Annotated[list[str] | None, typer.Option(help="Other years for one, as MG=20; repeat.")] = None,
    until_age: Annotated[int | None, typer.Option(help="Nothing goes before the patient is so old.")] = None,
    by: ByWhom = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Set how long a group keeps what it has."""
    own: dict[str, float] = {}
    for said in modality or []:
        name, _, value = said.partition("=")
        try:
            own[name.strip().upper()] = float(value)
        except ValueError:
            refuse(f"--modality {said}: one is MG=20.")

    async def work(hand: Hand) -> str:
        tenant_id = await hand.tenant(tenant)
        await holds.keep(hand.conn, tenant_id, years, own, until_age, by=await hand.person(by))
        return tenant_id

    say(act(data, work), as_json=as_json)


@hold.command(
    "add", epilog="Example: readingroom admin hold add --tenant north-star --mrn 004417 --reason 'claim 12/26'"
)
def add(  # noqa: PLR0913 - options
    *,
    tenant: TenantName,
    reason: Reason,
    study: Annotated[str | None, typer.Option(help="Study Instance UID.")] = None,
    mrn: Annotated[str | None, typer.Option(help="Patient's number: all that is hers, also later.")] = None,
    issuer: Annotated[str | None, typer.Option(help="Issuer of the number.", show_default="the site's")] = None,
    site: Annotated[str, typer.Option(help="Whose number, when no issuer is named.")] = admin.MAIN,
    by: ByWhom = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Put a study or a patient on hold; print the hold's ID."""
    if (study is None) == (mrn is None):
        refuse("Name --study or --mrn.")

    async def work(hand: Hand) -> str:
        tenant_id = await hand.tenant(tenant)
        whose = None
        if mrn is not None:
            place = await admin.site(hand.conn, tenant_id, site)
            whose = patient_id(tenant_id, issuer or await holds.issuer(hand.conn, tenant_id, place), mrn)
        who = await hand.person(by)
        return await holds.place(hand.conn, tenant_id, reason, study_uid=study, patient_id=whose, by=who)

    say(act(data, work), as_json=as_json)


@hold.command("lift", epilog="Example: readingroom admin hold lift HOLD --tenant north-star --reason settled")
def lift(  # noqa: PLR0913 - options
    hold_id: str,
    *,
    tenant: TenantName,
    reason: Reason,
    by: ByWhom = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """End a hold."""

    async def work(hand: Hand) -> str:
        await holds.lift(hand.conn, await hand.tenant(tenant), hold_id, reason, by=await hand.person(by))
        return hold_id

    say(act(data, work), as_json=as_json)


@hold.command("list", epilog="Example: readingroom admin hold list --tenant north-star --json")
def listed(*, tenant: TenantName, data: Data = None, as_json: AsJson = False) -> None:
    """List the holds that stand."""

    async def work(hand: Hand) -> list[dict[str, Any]]:
        return await holds.holds(hand.conn, await hand.tenant(tenant))

    found = act(data, work)
    if as_json:
        _print({"holds": found})
        return
    for one in found:
        what = f"study {one['study_uid']}" if one["study_uid"] else f"patient {one['patient_id']}"
        typer.echo(f"{one['hold_id']}  {what}  since {one['placed_at']:%Y-%m-%d}: {one['reason']}")
