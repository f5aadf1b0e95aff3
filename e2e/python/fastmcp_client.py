"""FastMCP as a client, without a user.

    python fastmcp_client.py http://127.0.0.1:3000/mcp            prints {"protocol", "tools", "whoami"}
    python fastmcp_client.py http://127.0.0.1:3000/mcp step-up    for the notes: prints {"protocol", "granted", "answers"}
    python fastmcp_client.py http://127.0.0.1:3000/mcp calls|listen|listen-again    see ../node/slow.mjs
    python fastmcp_client.py http://127.0.0.1:3000/mcp progress    see ../node/gateway.mjs

With PROTOCOL=2025-11-25 in its environment, it uses the older protocol. With CLIENT_ID, it does not register.
"""

import asyncio
import json
import os
import sys

import slow
from approve import approve
from fastmcp import Client
from fastmcp.client.auth import OAuth
from mcp.client.subscriptions import listen
from mcp.shared.auth import AuthorizationCodeResult


class WithoutBrowser(OAuth):
    """Signs in by the forms of the issuer."""

    async def redirect_handler(self, authorization_url: str) -> None:
        redirect = f"http://localhost:{self.redirect_port}/callback"
        self.answer = await approve(authorization_url, redirect)

    async def callback_handler(self) -> AuthorizationCodeResult:
        return AuthorizationCodeResult(**self.answer)


async def step_up(text, granted) -> dict:
    scopes = [granted()]
    answers = [await text("list_notes")]
    milk = {"text": "buy milk"}
    for note in [milk, {**milk, "owner": "bob"}]:  # in `notes` only an admin may write for bob: the tool itself refuses
        answers.append(await text("add_note", note))  # on 403 the SDK steps up by itself
        scopes.append(granted())
    answers.append(await text("list_notes"))  # the scope that was granted first still is
    return {"granted": scopes, "answers": answers}


async def main(url: str, task: str = "whoami") -> None:
    mode = "legacy" if os.environ.get("PROTOCOL") == "2025-11-25" else "auto"
    auth = WithoutBrowser(client_name="e2e fastmcp", client_id=os.environ.get("CLIENT_ID"))
    async with Client(url, auth=auth, mode=mode, message_handler=slow.ears) as client:

        async def text(tool: str, arguments: dict | None = None, progress=None) -> str:
            answer = await client.call_tool(tool, arguments, progress_handler=progress)
            return answer.content[0].text

        async def wait(seconds: int, progress=None) -> str:
            return await text("wait", {"seconds": seconds}, progress)

        # FastMCP has no method for subscriptions: its session has.
        protocol = client.session.protocol_version
        if task == "whoami":
            tools = [tool.name for tool in await client.list_tools()]
            result = {"tools": tools, "whoami": json.loads(await text("whoami"))}
        elif task == "step-up":
            result = await step_up(text, lambda: auth.context.current_tokens.scope)
        else:
            result = await slow.run(task, wait, protocol, lambda **wanted: listen(client.session, **wanted))
        print(json.dumps({"protocol": protocol, **result}), flush=True)


asyncio.run(main(*sys.argv[1:]))
