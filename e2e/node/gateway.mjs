// `mcp-auth serve` in front of servers that know nothing of OAuth: open_notes.mjs and ../python/open_notes.py.
import { ok, strictEqual } from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { output, until } from './processes.mjs';

const inE2e = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

const OLD = '2025-11-25';
const NEW = '2026-07-28';

const tools = { list_notes: ['notes:read'], add_note: ['notes:write'], wait: [], '*': 'deny' };

const python = [inE2e('.venv/bin/python'), inE2e('python/open_notes.py')];
const typescript = [process.execPath, inE2e('node/open_notes.mjs')];
/** A world with the gateway in front of a server of TypeScript, and with more settings. */
export const inFrontOfTypescript = (version, settings, world) => ({
  server: 'gateway',
  upstream: [...typescript, version],
  settings: { tools, ...settings },
  ...world,
});

const FASTMCP = { server: 'gateway', upstream: python, settings: { tools } };
const TYPESCRIPT_1 = inFrontOfTypescript('v1');
const TYPESCRIPT_2 = inFrontOfTypescript('v2');
const overStdio = (command) => ({ server: 'gateway', stdio: [...command, 'stdio'], settings: { tools } });
const FASTMCP_STDIO = overStdio(python);
const TYPESCRIPT_1_STDIO = overStdio([...typescript, 'v1']);
const TYPESCRIPT_2_STDIO = overStdio([...typescript, 'v2']);

/** The revision that a server speaks with clients. */
const SERVERS = [
  ['FastMCP, 2025-11-25', FASTMCP, OLD],
  ['FastMCP, 2026-07-28', FASTMCP, NEW],
  ['TypeScript v1, 2025-11-25', TYPESCRIPT_1, OLD],
  ['TypeScript v2, 2025-11-25', TYPESCRIPT_2, OLD],
  ['TypeScript v2, 2026-07-28', TYPESCRIPT_2, NEW],
  ['FastMCP over stdio, 2025-11-25', FASTMCP_STDIO, OLD],
  ['FastMCP over stdio, 2026-07-28', FASTMCP_STDIO, NEW],
  ['TypeScript v1 over stdio, 2025-11-25', TYPESCRIPT_1_STDIO, OLD],
  ['TypeScript v2 over stdio, 2025-11-25', TYPESCRIPT_2_STDIO, OLD],
  ['TypeScript v2 over stdio, 2026-07-28', TYPESCRIPT_2_STDIO, NEW],
];
/** The same servers again, for scenarios that mostly wait; but processes that are started take time, which clients do not have. */
const WAITING = new Map(SERVERS.map(([, world]) => [world, { ...world, together: !world.stdio }]));

/** The clients for which a process of the server is started, which takes seconds of a processor, only to wait. */
const PATIENT = ['TypeScript v2', 'Python'];

/** The rows of the table in run.mjs. */
export function gateway({ stepsUp, clients }) {
  const speaking = (protocol) => clients.filter((client) => protocol === OLD || client.protocol !== OLD);
  return SERVERS.flatMap(([where, world, protocol]) => [
    ...speaking(protocol).map((client) => [
      `gateway in front of ${where}: ${client.name} signs in and asks for notes:write by itself`,
      world,
      (w) => stepsUp(w, client, protocol, [['notes:read'], ['notes:read', 'notes:write']]),
    ]),
    ...speaking(protocol).filter(({ name, reports }) => reports && (!world.stdio || PATIENT.includes(name))).map((client, at) => [
      `gateway in front of ${where}: ${client.name} sees progress as it comes, and cancels`,
      WAITING.get(world),
      (w) => progresses(w, client, protocol, `${protocol.slice(2, 4)}${at}`),
    ]),
  ]);
}

/** `long`: the length of the call that is cancelled, by which the server names it. */
export async function progresses(world, client, protocol, long) {
  const [program, ...args] = client.command;
  const text = await output(program, [...args, world.resource, 'progress'], { PROTOCOL: protocol, LONG: long }, 60);
  const { waited, reports, cancelled, ...printed } = JSON.parse(text);
  strictEqual(printed.protocol, protocol);
  strictEqual(waited, 'waited 3 s');
  ok(reports.length >= 2 && reports.at(-1) - reports[0] > 0.9, `a second between two reports: ${reports}`);
  ok(cancelled, 'the call ends without a result');
  const { upstream, server } = world.processes; // what a process of the gateway prints is in the gateway's log
  await until('the server is told', () => (upstream?.printed() ?? server.log()).includes(`cancelled ${long}`), 5_000);
}
