// Calls that take longer than their token lives, and streams that listen: see slow/server.rs. Every access token lives four
// seconds, and every client has a refresh token, which the issuer replaces at each use and never accepts twice.
//
// Each client has the same tasks, and prints what it has seen as JSON, with `protocol`, the revision:
//
//   wait          calls a tool of seven seconds twice at once, without and with a request for progress, and then a tool that
//                 answers at once: {"silent", "told", "reports", "after"}, the texts of the answers and how many reports came
//   revoked       makes two calls of a minute: {"silent", "told"}, the messages of their errors
//   listen        listens for ten seconds, with what the SDK does by itself: {"heard", "end"}, at which second the last
//                 notification came, and how the SDK describes the end of the stream
//   listen-again  listens again whenever a stream ends
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { examples, output, until } from './world.mjs';

const inE2e = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

const TTL = 4;
const OLD = '2025-11-25';
const NEW = '2026-07-28';

// ── worlds: how the server answers ──

const common = { server: 'slow', ttl: TTL, together: true };
const SESSIONS = { ...common, environment: { STREAMED: 'true' } };
const STREAMED = { ...common, sessions: false, environment: { STREAMED: 'true' } };
const JSON_ANSWERS = { ...common, sessions: false, environment: { STREAMED: 'false' } };
const INTROSPECTED = {
  ...common,
  ttl: 300,
  format: 'opaque',
  environment: { STREAMED: 'true', INTROSPECT_ID: 'http://127.0.0.1/asks', INTROSPECT_SECRET: 'a secret: %, & and +' },
};

/** How each revision can be answered. The sessions of 2025 are always streamed; 2026 has none. */
const ANSWERS = [
  ['2025-11-25, session, streamed', SESSIONS, OLD],
  ['2025-11-25, streamed', STREAMED, OLD],
  ['2025-11-25, JSON', JSON_ANSWERS, OLD],
  ['2026-07-28, streamed', STREAMED, NEW],
  ['2026-07-28, JSON', JSON_ANSWERS, NEW],
];

// ── clients ──

const typescript = (version) => [process.execPath, inE2e('node/client.mjs'), version];
const python = (script) => [inE2e('.venv/bin/python'), inE2e(`python/${script}`)];

/** The clients, the revisions that they speak, and what they do when a listening stream ends. */
const CLIENTS = [
  { name: 'TypeScript v1', command: typescript('v1'), protocols: [OLD] },
  { name: 'TypeScript v2', command: typescript('v2'), protocols: [OLD, NEW] },
  { name: 'Python', command: python('client.py'), protocols: [OLD, NEW] },
  { name: 'FastMCP', command: python('fastmcp_client.py'), protocols: [OLD, NEW] },
  { name: 'rmcp', command: [join(examples, 'slow_client')], protocols: [OLD, NEW], alwaysTold: true },
  { name: 'Go', command: [join(examples, 'go_client')], protocols: [OLD, NEW] },
];

export function slow() {
  const rows = [];
  for (const [how, world, protocol] of ANSWERS) {
    for (const client of CLIENTS.filter(({ protocols }) => protocols.includes(protocol))) {
      rows.push([`a call longer than its token, ${how}: ${client.name} gets its answer`, world, (w) => answered(w, client, protocol)]);
    }
  }
  for (const [how, world, protocol] of ANSWERS) {
    for (const client of CLIENTS.filter(({ protocols }) => protocols.includes(protocol))) {
      rows.push([`a revocation ends open calls, ${how}: ${client.name} reports errors`, world, (w) => revoked(w, client, protocol, how)]);
    }
  }
  for (const client of CLIENTS) {
    rows.push([`listening, 2025-11-25: ${client.name}`, SESSIONS, (w) => listens(w, client, OLD, 'listen')]);
    if (!client.protocols.includes(NEW)) continue;
    rows.push([`listening, 2026-07-28: ${client.name} by itself`, STREAMED, (w) => listens(w, client, NEW, 'listen')]);
    rows.push([`listening, 2026-07-28: ${client.name} listens again`, STREAMED, (w) => listens(w, client, NEW, 'listen-again')]);
  }
  return rows;
}

async function run(world, { command: [program, ...args] }, protocol, task, login = 'alice') {
  const env = { PROTOCOL: protocol, LOGIN: login, BROWSER: inE2e('node/browser.mjs') };
  const printed = JSON.parse(await output(program, [...args, world.resource, task], env, 60));
  strictEqual(printed.protocol, protocol);
  return printed;
}

async function answered(world, client, protocol) {
  const { silent, told, reports, after } = await run(world, client, protocol, 'wait');
  return JSON.stringify({ silent, told, reports, after });
}

async function revoked(world, client, protocol, how) {
  const login = `${client.name} ${how}`.replace(/\W+/g, '-');
  const running = run(world, client, protocol, 'revoked', login);
  await until('the calls have begun', async () => (await world.control('calls', login)) === (client.alwaysTold ? 1 : 2), 40_000);
  await world.control('revoke', login);
  const begin = Date.now();
  const { silent, told } = await running;
  return JSON.stringify({ silent, told, took: Date.now() - begin });
}

async function listens(world, client, protocol, task) {
  const { heard, end } = await run(world, client, protocol, task);
  return JSON.stringify({ heard, end });
}
