"""The tasks against ../slow/server.rs, for the clients in Python. See ../node/slow.mjs for what they print.

`progress` is for ../node/gateway.mjs."""

import asyncio
import os
import time

from mcp.client.subscriptions import SubscriptionLost

start = time.monotonic()
heard = 0.0  # when the last notification came


async def ears(message) -> None:
    """Hears what the server says without being asked, in the protocol of 2025."""
    if getattr(message, "method", "") == "notifications/tools/list_changed":
        hear()


def hear() -> None:
    global heard
    heard = time.monotonic() - start


async def run(task: str, wait, protocol: str, listen) -> dict:
    global start
    start = time.monotonic()
    reports = 0

    async def report(progress, total, message) -> None:
        nonlocal reports
        reports += 1

    if task == "calls":
        silent, told = await asyncio.gather(wait(7), wait(7, report))
        result = {"silent": silent, "told": told, "reports": reports, "after": await wait(0)}
        outcomes = await asyncio.gather(wait(60), wait(60, report), return_exceptions=True)
        return {**result, "errors": [str(outcome) if isinstance(outcome, Exception) else None for outcome in outcomes]}

    if task == "progress":
        times = []
        begun = asyncio.Event()

        async def note(progress, total, message) -> None:
            times.append(time.monotonic() - start)

        async def begins(progress, total, message) -> None:
            begun.set()

        waited = await wait(3, note)
        call = asyncio.create_task(wait(int(os.environ["LONG"]), begins))
        await begun.wait()
        call.cancel()
        outcome = (await asyncio.gather(call, return_exceptions=True))[0]
        return {"waited": waited, "reports": times, "cancelled": repr(outcome)}

    end = None

    async def listening() -> None:
        nonlocal end
        while True:
            try:
                async with listen(tools_list_changed=True) as subscription:
                    async for _ in subscription:
                        hear()
                    end = "graceful"
            except SubscriptionLost as lost:
                end = str(lost)
            if task == "listen":
                return

    stop = asyncio.create_task(asyncio.sleep(10))
    # In the protocol of 2025, the SDK opens its listening stream by itself.
    tasks = {stop} if protocol == "2025-11-25" else {stop, asyncio.create_task(listening())}
    await stop
    for other in tasks - {stop}:
        other.cancel()
        await asyncio.gather(other, return_exceptions=True)
    return {"heard": heard, "end": end}
