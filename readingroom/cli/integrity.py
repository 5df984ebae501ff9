"""``readingroom admin integrity``: stored files that are not what was written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import typer

from readingroom.cli.instance import AsJson, Data, Hand, act
from storage import damage

if TYPE_CHECKING:
    Found = tuple[list[dict[str, Any]], list[dict[str, Any]]]


def integrity(*, data: Data = None, as_json: AsJson = False) -> None:
    """List stored files that are not what was written, and when every file was checked last; exit 1 when there are any."""

    async def work(hand: Hand) -> Found:
        return await damage.listed(hand.conn), await damage.rounds(hand.conn)

    files, rounds = act(data, work)
    if as_json:
        typer.echo(msgspec.json.encode({"files": files, "rounds": rounds}).decode())
    else:
        for one in files:
            found = f"{one['found_at']:%Y-%m-%d %H:%M}"
            typer.echo(f"{one['cause']}  {one['tenant_id']}  {one['study_uid']}  {one['path']}  found {found}")
        for one in rounds:
            last = f"{one['round_at']:%Y-%m-%d %H:%M}" if one["round_at"] else "not yet"
            typer.echo(f"{one['tenant_id']}: every file checked: {last}")
    if files:
        raise typer.Exit(1)
