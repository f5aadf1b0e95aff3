"""The Python SDK as a client, without a user: from a 401 to the answer of a tool.

    python client.py http://127.0.0.1:3000/mcp            prints {"protocol", "tools", "whoami"}
    python client.py http://127.0.0.1:3000/mcp step-up    for the notes: prints {"protocol", "granted", "answers"}
    python client.py http://127.0.0.1:3000/mcp calls|listen|listen-again    see ../node/slow.mjs
    python client.py http://127.0.0.1:3000/mcp anonymous|write|write-anonymously    see ../node/first_login.mjs
    python client.py http://127.0.0.1:3000/mcp progress    see ../node/gateway.mjs

With PROTOCOL=2025-11-25 in its environment, it uses the older protocol. With CLIENT_ID, it does not register.
"""

import asyncio
import json
import os
import sys

import httpx2
import slow
from approve import approve
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata

REDIRECT = "http://127.0.0.1:9/callback"  # nothing listens there: `approve` stops at the redirect


class Memory:
    """Stores the registration and the tokens of the provider."""

    tokens = client_info = None
    logins = 0

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client_info

    async def set_client_info(self, client_info):
        self.client_info = client_info


async def whoami(client: Client, memory: Memory) -> dict:
    tools = await client.list_tools()
    return {
        "tools": [tool.name for tool in tools.tools],
        "whoami": json.loads(await text(client, "whoami")),
    }


async def step_up(client: Client, memory: Memory) -> dict:
    granted = [memory.tokens.scope]
    answers = [await text(client, "list_notes")]
    milk = {"text": "buy milk"}
    for note in [milk, {**milk, "owner": "bob"}]:  # in `notes` only an admin may write for bob: the tool itself refuses
        answers.append(await text(client, "add_note", note))  # on 403 the SDK steps up by itself
        granted.append(memory.tokens.scope)
    answers.append(await text(client, "list_notes"))  # the scope that was granted first still is
    return {"granted": granted, "answers": answers}


async def anonymous(client: Client, memory: Memory) -> dict:
    outcome = {"before": await text(client, "hello")}
    outcome["written"] = await text(client, "write")  # on 401 the SDK logs in by itself
    return {**outcome, "after": await text(client, "hello"), "granted": memory.tokens.scope}


async def write(client: Client, memory: Memory) -> dict:
    try:
        result = await client.call_tool("write", {})
    except Exception as error:
        return {"error": f"{error!r} {error.__cause__!r}"}
    granted = memory.tokens.scope if memory.tokens else None
    return {"result": result.model_dump(by_alias=True), "granted": granted, "logins": memory.logins}


async def text(client: Client, tool: str, arguments: dict | None = None) -> str:
    answer = await client.call_tool(tool, arguments or {})
    return answer.content[0].text


async def main(url: str, task: str = "whoami") -> None:
    callback: dict[str, str] = {}

    async def redirect(authorization_url: str) -> None:
        memory.logins += 1
        callback.update(await approve(authorization_url, REDIRECT))

    async def redirected() -> AuthorizationCodeResult:
        return AuthorizationCodeResult(**callback)

    metadata = OAuthClientMetadata(
        client_name="e2e python",
        redirect_uris=[REDIRECT],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        token_endpoint_auth_method="none",
    )
    memory = Memory()
    if client_id := os.environ.get("CLIENT_ID"):
        memory.client_info = OAuthClientInformationFull(client_id=client_id, **metadata.model_dump())
    provider = OAuthClientProvider(url, metadata, memory, redirect, redirected)
    mode = "legacy" if os.environ.get("PROTOCOL") == "2025-11-25" else "auto"
    async with (
        httpx2.AsyncClient(auth=provider, timeout=20) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode, message_handler=slow.ears) as client,
    ):
        async def wait(seconds: int, progress=None) -> str:
            answer = await client.call_tool("wait", {"seconds": seconds}, progress_callback=progress)
            return answer.content[0].text

        tasks = {"whoami": whoami, "step-up": step_up, "anonymous": anonymous, "write": write, "write-anonymously": write}
        if task in tasks:
            result = await tasks[task](client, memory)
        else:
            result = await slow.run(task, wait, client.protocol_version, client.listen)
        print(json.dumps({"protocol": client.protocol_version, **result}))


asyncio.run(main(*sys.argv[1:]))
