"""Notes by FastMCP, open to everyone who reaches it: ../node/gateway.mjs protects it.

    python open_notes.py 3001|stdio

It prints `cancelled SECONDS` when a client cancels the tool `wait`.
"""

import asyncio
import sys

from fastmcp import Context, FastMCP

PORT = sys.argv[1]
mcp = FastMCP("notes")
notes: dict[str, list[str]] = {}


@mcp.tool
def list_notes() -> str:
    return "\n".join(notes.get("me", []))


@mcp.tool
def add_note(text: str, owner: str = "me") -> str:
    own = notes.setdefault(owner, [])
    own.append(text)
    return str(len(own))


@mcp.tool
async def wait(seconds: int, context: Context) -> str:
    try:
        for second in range(seconds):
            await asyncio.sleep(1)
            await context.report_progress(second + 1, seconds)
    except asyncio.CancelledError:
        print("cancelled", seconds, file=sys.stderr if PORT == "stdio" else sys.stdout, flush=True)
        raise
    return f"waited {seconds} s"


if PORT == "stdio":
    mcp.run(show_banner=False)
else:
    mcp.run(transport="http", host="127.0.0.1", port=int(PORT), show_banner=False)
