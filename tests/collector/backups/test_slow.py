"""Clients that are slow, go away, or come in crowds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from backup.stores.contract import FileKind
from collector.backups import records, uploads
from collector.backups.turns import Seats
from tests.collector import support
from tests.collector.backups.support import Guest, basic, files_below, name_of

CONTENT = b"0123456789"


async def dripping(pause: float) -> AsyncIterator[bytes]:
    """Half of it, and the rest much later."""
    yield CONTENT[:5]
    await asyncio.sleep(pause)
    yield CONTENT[5:]


def test_who_sends_too_slowly_is_cut_off(web1: Guest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is left of what came."""
    monkeypatch.setattr("collector.backups.uploads.IDLE", 0.2)
    before = files_below(tmp_path / "backups")
    headers = {"Content-Length": "10"}
    answer = web1.request("POST", f"data/{name_of(CONTENT)}", content=dripping(30), headers=headers)
    assert (answer.status_code, answer.headers["connection"]) == (408, "close")
    assert web1.listed("data") == {}
    assert files_below(tmp_path / "backups") == before


def test_who_pauses_is_waited_for(web1: Guest) -> None:
    """As long as something comes in time."""
    headers = {"Content-Length": "10"}
    answer = web1.request("POST", f"data/{name_of(CONTENT)}", content=dripping(0.3), headers=headers)
    assert answer.status_code == 200
    assert web1.listed("data") == {name_of(CONTENT): 10}


def test_a_slow_disk_costs_no_client_its_receipt(
    keeper: support.Home, web1: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came in time is acknowledged, however long that takes: no file is there without its receipt."""
    keep = uploads._keep

    def slow(*given: Any) -> bool:
        time.sleep(0.5)  # longer than a client may be idle
        return keep(*given)

    monkeypatch.setattr(uploads, "_keep", slow)
    monkeypatch.setattr(uploads, "IDLE", 0.2)
    name = web1.save("data", CONTENT)
    with keeper.database.read() as connection:
        receipt = records.receipt(connection, web1.repository, FileKind.PACK, name)
    assert receipt is not None and receipt.host == web1.user


def test_what_is_cut_is_not_kept(web1: Guest, tmp_path: Path) -> None:
    """Fewer bytes than were announced are no file, also where they have the name's hash."""
    before = files_below(tmp_path / "backups")
    headers = {"Content-Length": "20"}
    answer = web1.request("POST", f"data/{name_of(CONTENT)}", content=dripping(0), headers=headers)
    assert answer.status_code == 400
    assert files_below(tmp_path / "backups") == before


def test_a_crowd_of_one_host_is_told_to_come_later(keeper: support.Home, web1: Guest) -> None:
    """Each request is served or told so; no other host is concerned."""
    serving = keeper.app.state.services.backups.app
    object.__setattr__(serving, "seats", Seats(at_once=1, waiting=1))
    headers = {**basic(web1.user, web1.password), "Content-Length": "10"}
    url = f"/backup/{web1.repository}/data/{name_of(CONTENT)}"

    async def crowd() -> list[int]:
        client = keeper.client._client
        told, all_told = 0, asyncio.Event()

        async def held() -> AsyncIterator[bytes]:
            """Until all others were told."""
            yield CONTENT[:5]
            await asyncio.wait_for(all_told.wait(), 60)
            yield CONTENT[5:]

        async def send() -> httpx.Response:
            nonlocal told
            answer = await client.request("POST", url, headers=headers, content=held())
            told += answer.status_code == 503
            if told == 4:
                all_told.set()
            return answer

        answers = await asyncio.gather(*(send() for _ in range(6)))
        assert all(answer.headers["retry-after"] for answer in answers if answer.status_code == 503)
        return [answer.status_code for answer in answers]

    statuses = keeper.client._portal.call(crowd)
    assert sorted(set(statuses)) == [200, 503]
    assert statuses.count(200) == 2
    assert web1.listed("data") == {name_of(CONTENT): 10}
