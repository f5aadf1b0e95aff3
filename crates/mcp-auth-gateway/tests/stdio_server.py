"""An MCP server over stdio that does what a test asks for. It reads one line at a time."""

import json
import os
import signal
import subprocess
import sys
import time

count = 0
cancelled = []
asked = {}


def write(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def send(**message):
    write(json.dumps({"jsonrpc": "2.0", **message}))


def answer(request, text):
    send(id=request["id"], result={"content": [{"type": "text", "text": text}]})


def call(request, line):
    global count
    params = request["params"]
    arguments = params.get("arguments") or {}
    name = params["name"]
    token = (params.get("_meta") or {}).get("progressToken")
    if name == "echo":
        answer(request, line)
    elif name == "env":
        answer(request, json.dumps(dict(os.environ)))
    elif name == "count":
        count += 1
        answer(request, f"{os.getpid()} {count}")
    elif name == "progress":
        send(method="notifications/progress", params={"progressToken": 999, "progress": 0})
        send(method="notifications/progress", params={"progressToken": token, "progress": 1})
        answer(request, "done")
    elif name == "notify":
        send(method="notifications/message", params={"level": "info", "data": arguments.get("data")})
        answer(request, "done")
    elif name == "list_changed":
        send(method="notifications/tools/list_changed")
        answer(request, "done")
    elif name == "ask":
        asked["q-1"] = request
        write('{"jsonrpc":"2.0", "id":"q\\u002d1", "method":"elicitation/create","params":{"_meta":{"progressToken":1.50},"message":"who?"}}')
    elif name == "exit":
        os._exit(3)
    elif name == "hang":
        pass
    elif name == "cancelled":
        answer(request, json.dumps(cancelled))
    elif name == "garbage":
        write("Server listening on port 3000")
        write('[{"jsonrpc":"2.0"}]')
        write("{" + "x" * arguments.get("length", 0) + "}")
        answer(request, "done")
    elif name == "big":
        answer(request, "x" * arguments["length"])
    elif name == "flood":
        for _ in range(arguments["times"]):
            send(method="notifications/progress", params={"progressToken": token, "progress": 1, "message": "x" * 100_000})
        answer(request, "done")
    elif name == "say":
        sys.stderr.write(arguments["text"] + "\n")
        sys.stderr.flush()
        answer(request, "said")
    elif name == "child":
        child = subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        answer(request, f"{os.getpid()} {child.pid}")
    elif name == "deaf":
        os.close(0)  # first, so that the next request meets it closed
        answer(request, str(os.getpid()))
        time.sleep(1000)
    elif name == "stay":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        answer(request, str(os.getpid()))
        time.sleep(1000)
    else:
        send(id=request["id"], error={"code": -32602, "message": "no such tool"})


def main():
    if "fail" in sys.argv:
        sys.exit(1)
    for line in sys.stdin:
        line = line.rstrip("\n")
        message = json.loads(line)
        method = message.get("method")
        if method is None:
            request = asked.pop(message["id"], None)
            if request is not None:
                answer(request, line)
        elif method == "initialize" and message["params"].get("refuse"):
            send(id=message["id"], error={"code": -32602, "message": "no"})
        elif method == "initialize":
            result = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {}, "serverInfo": {"name": "test", "version": "1"}}
            send(id=message["id"], result=result)
        elif method == "tools/call":
            call(message, line)
        elif method == "subscriptions/listen":
            meta = {"io.modelcontextprotocol/subscriptionId": message["id"]}
            send(method="notifications/subscriptions/acknowledged", params={"_meta": meta})
            send(method="notifications/tools/list_changed", params={"_meta": meta})
        elif method == "notifications/cancelled":
            cancelled.append(message["params"]["requestId"])
        elif method == "notifications/progress":
            sys.stderr.write(line + "\n")
        elif "id" in message:
            send(id=message["id"], error={"code": -32601, "message": "Method not found"})


main()
