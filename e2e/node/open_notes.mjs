// Notes by the TypeScript SDK, open to everyone who reaches it: gateway.mjs protects it.
//
//   node open_notes.mjs v1|v2 3001|stdio
//
// Over HTTP, v1 has sessions; v2 serves both protocols without. It prints `cancelled SECONDS` when a client cancels the tool `wait`.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { z } from 'zod';

const [version, port] = process.argv.slice(2);
const { McpServer } = await import(version === 'v1' ? '@modelcontextprotocol/sdk/server/mcp.js' : '@modelcontextprotocol/server');

const notes = new Map();
const content = (text) => ({ content: [{ type: 'text', text }] });
/** The shape of arguments: v1 takes its fields, v2 a schema. */
const shape = (fields) => (version === 'v1' ? fields : z.object(fields));

function newServer() {
  const server = new McpServer({ name: 'notes', version: '1.0.0' });
  server.registerTool('list_notes', {}, () => content((notes.get('me') ?? []).join('\n')));
  server.registerTool('add_note', { inputSchema: shape({ text: z.string(), owner: z.string().default('me') }) }, ({ text, owner }) => {
    notes.set(owner, [...(notes.get(owner) ?? []), text]);
    return content(String(notes.get(owner).length));
  });
  server.registerTool('wait', { inputSchema: shape({ seconds: z.number() }) }, async ({ seconds }, context) => {
    const { signal, sendNotification, _meta } = version === 'v1'
      ? context
      : { signal: context.mcpReq.signal, sendNotification: context.mcpReq.notify, _meta: context.mcpReq._meta };
    signal.addEventListener('abort', () => (port === 'stdio' ? console.error : console.log)('cancelled', seconds));
    for (let second = 1; second <= seconds && !signal.aborted; second += 1) {
      await new Promise((resolve) => { setTimeout(resolve, 1000); });
      const params = { progressToken: _meta?.progressToken, progress: second, total: seconds };
      if (params.progressToken !== undefined && !signal.aborted) await sendNotification({ method: 'notifications/progress', params });
    }
    return content(`waited ${seconds} s`);
  });
  return server;
}

async function withSessions() {
  const { StreamableHTTPServerTransport } = await import('@modelcontextprotocol/sdk/server/streamableHttp.js');
  const sessions = new Map();
  return async (req, res) => {
    const session = req.headers['mcp-session-id'];
    let transport = sessions.get(session);
    if (session && !transport) return void res.writeHead(404).end();
    if (!transport) {
      transport = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (id) => { sessions.set(id, transport); },
      });
      await newServer().connect(transport);
    }
    await transport.handleRequest(req, res);
  };
}

async function withoutSessions() {
  const { createMcpHandler } = await import('@modelcontextprotocol/server');
  const { toNodeHandler } = await import('@modelcontextprotocol/node');
  return toNodeHandler(createMcpHandler(newServer));
}

async function overStdio() {
  if (version === 'v1') {
    const { StdioServerTransport } = await import('@modelcontextprotocol/sdk/server/stdio.js');
    await newServer().connect(new StdioServerTransport());
  } else {
    const { serveStdio } = await import('@modelcontextprotocol/server/stdio');
    serveStdio(newServer);
  }
}

async function overHttp() {
  const handler = await (version === 'v1' ? withSessions() : withoutSessions());
  createServer((req, res) => {
    if (req.url === '/mcp') handler(req, res);
    else res.writeHead(404).end();
  }).listen(Number(port), '127.0.0.1');
}

await (port === 'stdio' ? overStdio() : overHttp());
