"""A server with public and secret resources, by one of the Python libraries.

    python resources.py sdk|fastmcp 3001

The Python SDK, or FastMCP in the version that this Python has. The server is open; ../proxy/server.rs protects it.
"""

import logging
import posixpath
import sys

logging.disable(logging.CRITICAL)  # each miss would be a traceback in colours

library, port = sys.argv[1], int(sys.argv[2])

PRIVATE = {"alice": "SECRET"}
FILES = {"readme": "read me", "secret/keys": "SECRET"}

if library == "sdk":
    from mcp.server import MCPServer

    mcp = MCPServer("resources")
    tree = "files://docs/{+path}"
    options = {"json_response": True, "stateless_http": True}
    transport = "streamable-http"
else:
    from fastmcp import FastMCP

    mcp = FastMCP("resources")
    tree = "files://docs/{path*}"
    options = {"json_response": True, "stateless_http": True, "show_banner": False}
    transport = "http"


@mcp.resource("notes://{owner}/public")
def public(owner: str) -> str:
    return "anyone may read this"


@mcp.resource("notes://{owner}/private")
def private(owner: str) -> str:
    return PRIVATE[owner]


@mcp.resource(tree)
def file(path: str) -> str:
    return FILES[posixpath.normpath(path).lstrip("/")]  # as a file system would find it


@mcp.resource("vault://admin/keys")
def keys() -> str:
    return "SECRET"


@mcp.resource("vault://admin/%7Bkeys%7D")
def braces() -> str:
    return "SECRET"


mcp.run(transport=transport, host="127.0.0.1", port=port, **options)
