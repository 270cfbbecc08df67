"""Each host has its turn, and none takes all seats."""

from __future__ import annotations

import asyncio
import threading

import pytest

from collector.backups.turns import CrowdedError, Seats, Turns


def test_who_has_much_to_do_does_not_hold_up_who_has_little() -> None:
    """With one thread and twenty pieces of one host waiting, another host's only piece is the second to be done."""

    async def work() -> list[str]:
        turns, done, gate = Turns(1), [], threading.Event()

        def piece(host: str) -> None:
            gate.wait(30)
            done.append(host)

        tasks = [asyncio.create_task(turns.run("greedy", lambda: piece("greedy"))) for _ in range(20)]
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(turns.run("modest", lambda: piece("modest"))))
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(*tasks)
        turns.close()
        return done

    done = asyncio.run(work())
    assert done.index("modest") <= 2
    assert len(done) == 21


def test_what_is_cancelled_while_it_waits_takes_no_turn() -> None:
    """And those behind it still get theirs; a failure is told to whom it concerns."""

    async def work() -> None:
        turns, gate = Turns(1), threading.Event()
        first = asyncio.create_task(turns.run("a", lambda: gate.wait(30)))
        await asyncio.sleep(0)
        given_up = asyncio.create_task(turns.run("a", lambda: 1))
        failing = asyncio.create_task(turns.run("b", lambda: 1 // 0))
        last = asyncio.create_task(turns.run("c", lambda: 3))
        await asyncio.sleep(0)
        given_up.cancel()
        gate.set()
        assert await first
        with pytest.raises(ZeroDivisionError):
            await failing
        assert await last == 3
        assert await turns.run("a", lambda: 4) == 4
        turns.close()

    asyncio.run(work())


def test_a_host_has_so_many_seats_and_no_more() -> None:
    """Those that are too many are told so at once; another host is not concerned."""

    async def work() -> None:
        seats = Seats(at_once=1, waiting=1)
        entered = asyncio.Event()
        leave = asyncio.Event()

        async def sit() -> None:
            async with seats.taken("a"):
                entered.set()
                await leave.wait()

        tasks = [asyncio.create_task(sit()), asyncio.create_task(sit())]
        await entered.wait()
        with pytest.raises(CrowdedError):
            async with seats.taken("a"):
                pass
        async with seats.taken("b"):
            pass
        leave.set()
        await asyncio.gather(*tasks)
        async with seats.taken("a"):
            pass

    asyncio.run(work())
