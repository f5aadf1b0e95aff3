"""The Python SDK as a client: from a 401 to the answer of the tool `whoami`, without a human.

    python client.py http://127.0.0.1:3000/mcp     prints {"protocol", "tools", "whoami"}
"""

import asyncio
import json
import sys

import httpx2
from approve import approve
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

REDIRECT = "http://127.0.0.1:9/callback"  # nobody listens there: `approve` stops at the redirect


class Memory:
    """Where the provider keeps its registration and its tokens."""

    tokens = client_info = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client_info

    async def set_client_info(self, client_info):
        self.client_info = client_info


async def main(url: str) -> None:
    callback: dict[str, str] = {}

    async def redirect(authorization_url: str) -> None:
        callback.update(await approve(authorization_url, REDIRECT))

    async def redirected() -> AuthorizationCodeResult:
        return AuthorizationCodeResult(**callback)

    metadata = OAuthClientMetadata(
        client_name="e2e python",
        redirect_uris=[REDIRECT],
        grant_types=["authorization_code"],
        response_types=["code"],
        token_endpoint_auth_method="none",
    )
    provider = OAuthClientProvider(url, metadata, Memory(), redirect, redirected)
    async with (
        httpx2.AsyncClient(auth=provider, timeout=20) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        tools = await client.list_tools()
        answer = await client.call_tool("whoami", {})
        print(
            json.dumps(
                {
                    "protocol": client.protocol_version,
                    "tools": [tool.name for tool in tools.tools],
                    "whoami": json.loads(answer.content[0].text),
                }
            )
        )


asyncio.run(main(sys.argv[1]))
