"""``readingroom admin``: groups, sites, people, machines and policies of a running instance.

Everything may be said twice: the second time changes what differs and prints the same id.
"""

from __future__ import annotations

from typing import Annotated

import typer

from actors.domain.words import Role, spelled
from readingroom.cli import integrity, past, policy, retention, shards, staff, tier, tokens
from readingroom.cli.instance import AsJson, Data, Hand, SiteNames, TenantName, act, say
from storage import admin, peers, sessions

app = typer.Typer(
    help="Set up a running instance: groups, sites, people, machines, policies. A change acts within a second.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _group(name: str, text: str) -> typer.Typer:
    group = typer.Typer(help=text, no_args_is_help=True)
    app.add_typer(group, name=name)
    return group


_tenants = _group("tenant", "Reading groups.")
_sites = _group("site", "The hospitals that a group reads for.")
_users = _group("user", "People and what they are where.")
_people = _group("people", "People and what they are where.")
_aes = _group("ae", "DICOM application entities: who calls us, and where we send.")
_webhooks = _group("webhook", "Who is told of signed reports.")
app.add_typer(staff.readers, name="reader")
app.add_typer(staff.shifts, name="shift")
app.add_typer(policy.app, name="policy")
app.add_typer(tokens.app, name="token")
app.add_typer(past.audits, name="audit")
app.add_typer(shards.shards, name="shards")
app.add_typer(shards.dead, name="dead-letters")
app.add_typer(retention.retention, name="retention")
app.add_typer(retention.hold, name="hold")
app.add_typer(tier.tier, name="tier")
app.command("integrity", epilog="Example: readingroom admin integrity --json")(integrity.integrity)
app.command("replay", epilog="Example: readingroom admin replay 1.2.840.1 --at 2026-03-01T03:14Z --json")(past.replay)

Email = Annotated[str, typer.Option(help="Whose: the address she logs in with.")]


@_tenants.command(
    "add", epilog="Example: readingroom admin tenant add 'North Star Radiology' --time-zone Europe/Berlin"
)
def tenant_add(
    name: str,
    *,
    time_zone: Annotated[str | None, typer.Option(help="Whose midnight ends a day.", show_default="UTC")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Add a reading group with its site `main`; print its ID."""

    async def work(hand: Hand) -> str:
        return await admin.add_tenant(hand.conn, name, time_zone)

    say(act(data, work), as_json=as_json)


@_sites.command("add", epilog="Example: readingroom admin site add --tenant north-star 'Harbor St. Aldous'")
def site_add(  # noqa: PLR0913 - one parameter a flag
    name: str,
    *,
    tenant: TenantName,
    jurisdiction: Annotated[str | None, typer.Option(help="A licence that readers need, as US-CA.")] = None,
    privileged: Annotated[bool | None, typer.Option(help="Whether readers need a privilege of this site.")] = None,
    issuer: Annotated[str | None, typer.Option(help="Issuer of patient ids that arrive without one.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Add a hospital to a group; print its ID."""

    async def work(hand: Hand) -> str:
        tenant_id = await hand.tenant(tenant)
        return await admin.add_site(
            hand.conn, tenant_id, name, jurisdiction=jurisdiction, issuer=issuer, privileged=privileged
        )

    say(act(data, work), as_json=as_json)


def _role(text: str) -> Role:
    word = spelled(text.strip().lower())
    if word not in set(Role):
        raise typer.BadParameter(f"{text!r} is none of {', '.join(Role)}.")
    return Role(word)


@_users.command(
    "add",
    epilog="Example: readingroom admin user add --tenant north-star --role radiologist --email ada@example.org --name 'Ada'",
)
def user_add(  # noqa: PLR0913 - one parameter a flag
    *,
    role: Annotated[Role, typer.Option(parser=_role, metavar="ROLE", help=f"One of {', '.join(Role)}.")],
    email: Email,
    tenant: Annotated[str | None, typer.Option(help="The reading group; an operator has none.")] = None,
    name: Annotated[str | None, typer.Option(help="As colleagues see it.")] = None,
    password: Annotated[str | None, typer.Option(help="Made and printed when absent.")] = None,
    site: SiteNames = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Add a person, or a membership to one who is known; print ID, or ID PASSWORD when one was made."""

    async def work(hand: Hand) -> tuple[str, str | None]:
        tenant_id = await hand.tenant(tenant) if tenant is not None else None
        who = admin.Person(email, role, tenant_id, name, password, site or [])
        added = await admin.add_person(hand.conn, who)
        hand.changed.append(f"user:{added[0]}")
        return added

    say(*act(data, work), as_json=as_json)


@_people.command(
    "deactivate", epilog="Example: readingroom admin people deactivate ada@example.org --tenant north-star"
)
def people_deactivate(
    email: str,
    *,
    tenant: Annotated[str | None, typer.Option(help="In this group only.", show_default="everywhere")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """End a person's sessions, tokens and sockets, and let her begin no more; print her ID."""

    async def work(hand: Hand) -> str:
        user_id = await admin.person(hand.conn, email)
        tenant_id = await hand.tenant(tenant) if tenant is not None else None
        await admin.deactivate(hand.conn, user_id, tenant_id)
        await sessions.revoke_person(hand.conn, user_id, tenant_id)
        hand.changed.append(f"user:{user_id}")
        return user_id

    say(act(data, work), as_json=as_json)


@_aes.command(
    "add",
    epilog="Example: readingroom admin ae add --tenant north-star --site harbor --aet CT1 --host 10.1.0.7 --port 104 "
    "--from 10.1.0.0/16",
)
def ae_add(  # noqa: PLR0913 - one parameter a flag
    *,
    tenant: TenantName,
    aet: Annotated[str, typer.Option(help="The AE title it calls with.")],
    host: Annotated[str, typer.Option(help="Where we send.")],
    port: Annotated[int, typer.Option(help="Where we send.")],
    site: SiteNames = None,
    called: Annotated[str | None, typer.Option(help="The AE title it calls.", show_default="any")] = None,
    source: Annotated[
        str | None, typer.Option("--from", help="Where it calls from, a CIDR.", show_default="any")
    ] = None,
    certificate: Annotated[
        typer.FileText | None, typer.Option(help="Its certificate, PEM: then it is told by that, and by nothing else.")
    ] = None,
    tls: Annotated[bool, typer.Option(help="We send under TLS.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Say whose an application entity is; print its ID. A call that could be two sites' is refused.

    Without --site it is of the whole tenant: it finds every site's images, and its own are those of the site `main`.
    """

    async def work(hand: Hand) -> str:
        tenant_id = await hand.tenant(tenant)
        site_id = await hand.one_site(tenant_id, site)
        wide = site_id is None
        ae = peers.Ae(
            tenant_id,
            site_id or admin.MAIN,
            aet,
            host,
            port,
            called,
            source,
            wide,
            tls,
            certificate.read() if certificate else None,
        )
        return await peers.add_ae(hand.conn, ae)

    say(act(data, work), as_json=as_json)


@_webhooks.command(
    "add", epilog="Example: readingroom admin webhook add --tenant north-star --url https://ris.example/in"
)
def webhook_add(  # noqa: PLR0913 - one parameter a flag
    *,
    tenant: TenantName,
    url: Annotated[str, typer.Option(help="Where to POST {id, type, at, report}.")],
    site: SiteNames = None,
    secret: Annotated[str | None, typer.Option(help="Key of the signature; made and printed when absent.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Deliver signed reports to an address; print ID, or ID SECRET when one was made."""

    async def work(hand: Hand) -> tuple[str, str | None]:
        tenant_id = await hand.tenant(tenant)
        return await peers.add_webhook(hand.conn, tenant_id, await hand.one_site(tenant_id, site), url, secret)

    say(*act(data, work), as_json=as_json, names=("id", "secret"))
