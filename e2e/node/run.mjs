// The table of scenarios.
//
//   node run.mjs [WORD...]     only the scenarios whose names contain one of the words
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { betterAuth } from './better_auth.mjs';
import { bound, signsInWithProof } from './bound.mjs';
import { codex } from './codex.mjs';
import { firstLogin } from './first_login.mjs';
import { fronted } from './fronted.mjs';
import { gateway } from './gateway.mjs';
import { hydra } from './hydra.mjs';
import { introspection } from './introspection.mjs';
import { keycloak } from './keycloak.mjs';
import { runAll } from './loop.mjs';
import { output, scratch, stop, until } from './processes.mjs';
import { resources } from './resources.mjs';
import { slow } from './slow.mjs';
import { spring } from './spring.mjs';
import { statusPage } from './status_page.mjs';
import { examples } from './world.mjs';

const inE2e = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

// ── clients: a command, and the protocol revision that it should negotiate ──

const TYPESCRIPT_1 = { name: 'TypeScript v1', reports: true, protocol: '2025-11-25', command: [process.execPath, inE2e('node/client.mjs'), 'v1'] };
const TYPESCRIPT_2 = { name: 'TypeScript v2', reports: true, protocol: '2026-07-28', command: [process.execPath, inE2e('node/client.mjs'), 'v2'] };
const PYTHON = { name: 'Python', reports: true, protocol: '2026-07-28', command: [inE2e('.venv/bin/python'), inE2e('python/client.py')] };
const FASTMCP = { name: 'FastMCP', reports: true, protocol: '2026-07-28', command: [inE2e('.venv/bin/python'), inE2e('python/fastmcp_client.py')] };
const GO = { name: 'Go', protocol: '2026-07-28', command: [join(examples, 'go_client')] };
const RMCP = { name: 'rmcp', command: [join(examples, 'step_up')], parse: lines };
const TYPESCRIPT = [TYPESCRIPT_1, TYPESCRIPT_2];
const OTHERS = [PYTHON, FASTMCP, GO, RMCP];
const CLIENTS = [...TYPESCRIPT, PYTHON];
const RMCP_WHOAMI = { name: 'rmcp', protocol: '2026-07-28', command: [join(examples, 'slow_client')] };
const MORE = [FASTMCP, GO, RMCP_WHOAMI];

// ── worlds: started at their first use and shared by the scenarios that name them ──

const RS256 = { alg: 'RS256' };
const ES256 = { alg: 'ES256' };
const ED25519 = { alg: 'Ed25519' }; // the header says "Ed25519" (RFC 9864)
const EDDSA = { alg: 'EdDSA' }; // the same keys under the older name
const TENANT = { alg: 'ES256', path: '/tenant' };
const CROWD = {};
const ROTATION = {};
const WITHDRAWAL = {};
const OUTAGE = {};
const NOTES = { server: 'notes' };
const NOTES_WITHOUT_SESSIONS = { server: 'notes', sessions: false };
const SUITE = { asleep: true }; // the suite starts its own server
const COLD_START = { keys: join(scratch, 'keys.json'), asleep: true }; // the scenario starts its processes itself

// ── scenarios: each row is a name, a world and a proof ──

const flow = (where, world, client, subject, namesClient) => [
  `${where}: ${client.name} signs in and calls a tool`,
  world,
  (w) => signsIn(w, client, subject, namesClient),
];

const step = (where, world, client, protocol) => [
  `${where}: ${client.name} asks for notes:write by itself, and for admin`,
  world,
  (w) => stepsUp(w, client, protocol),
];

const scenarios = [
  ...CLIENTS.map((client) => flow('RS256', RS256, client)),
  ...[...CLIENTS, ...MORE].map((client) => flow('ES256', ES256, client)),
  ...CLIENTS.map((client) => flow('Ed25519', ED25519, client)),
  ...CLIENTS.map((client) => flow('issuer with a path', TENANT, client)),
  flow('EdDSA', EDDSA, TYPESCRIPT_2),

  ...[TYPESCRIPT_2, ...OTHERS].map((client) => step('step-up, 2026-07-28', NOTES, client, '2026-07-28')),
  // Go registers again at each login.
  ...[...TYPESCRIPT, ...OTHERS].map((client) => step('step-up, sessions', NOTES, client, '2025-11-25')),
  ...[...TYPESCRIPT, ...OTHERS].map((client) => step('step-up, no sessions', NOTES_WITHOUT_SESSIONS, client, '2025-11-25')),

  ['an argument that needs another scope: 403 from within the tool', NOTES_WITHOUT_SESSIONS, argumentsDecide],

  ['conformance 2025-11-25: the official suite finds the same with and without us', SUITE, () => conforms('2025-11-25')],
  ['conformance 2026-07-28: the official suite finds the same with and without us', SUITE, () => conforms('2026-07-28')],

  ['metadata names the resource and the issuer, byte for byte', TENANT, metadata],
  ['no token: 401 and the exact challenge', ES256, noToken],
  ['a good token: 200', ES256, goodToken],
  ['a token for another resource: 401 invalid_token', ES256, otherResource],
  ['an expired token: 401 invalid_token', ES256, expired],
  ['a token with a changed signature: 401 invalid_token', ES256, changedSignature],
  ['a token without the scope: 403 insufficient_scope', ES256, missingScope],
  ['first use: twenty requests at once, one discovery, one fetch of the keys', CROWD, firstUse],
  ['rotation: the new key is accepted at once, for one more fetch of the keys', ROTATION, rotation],
  ['withdrawal: tokens of a key that is no longer published end', WITHDRAWAL, withdrawal],
  ['outage: keys failing, then the issuer gone: with cached keys still 200', OUTAGE, outage],
  ['cold start: 503 while the issuer is down, 200 once it is up', COLD_START, coldStart],

  ...betterAuth({ flow, accepts, refuses, clients: CLIENTS }),
  ...introspection({ flow, accepts, refuses, clients: CLIENTS }),
  ...bound({ client: TYPESCRIPT_2, refuses, accepts }),
  ...keycloak({ flow, step, stepsUp, signsIn: signsInWithProof, accepts, refuses, clients: CLIENTS, more: MORE, rmcp: RMCP }),
  ...spring({ flow, step, signsIn: signsInWithProof, accepts, refuses, clients: CLIENTS, more: MORE }),
  ...hydra({ flow, signsIn, accepts, refuses, clients: CLIENTS, more: MORE }),
  ...firstLogin(CLIENTS),
  ...gateway({ stepsUp, clients: [...TYPESCRIPT, ...OTHERS] }),
  ...statusPage,
  ...fronted({ stepsUp, clients: [...TYPESCRIPT, PYTHON] }),
  ...codex(),
  ...resources(),
  ...slow(),
];

// ── the proofs ──

async function signsIn(world, client, subject = world.realm?.alice ?? 'alice', namesClient = true) {
  const [program, ...args] = client.command;
  const browser = inE2e('node/browser.mjs');
  const { protocol, tools, whoami } = JSON.parse(await output(program, [...args, world.resource], { BROWSER: browser, ...client.env }));
  strictEqual(whoami.subject, subject);
  strictEqual(whoami.issuer, world.issuer);
  deepStrictEqual(withoutOffline(whoami.scopes), ['read']);
  strictEqual(Boolean(whoami.client_id), namesClient);
  ok(tools.includes('whoami'), 'the tool is listed');
  strictEqual(protocol, client.protocol);
}

const STEPS = [['notes:read'], ['notes:read', 'notes:write'], ['admin', 'notes:read', 'notes:write']];

/** `steps`: the scopes that are granted one after the other. */
async function stepsUp(world, client, version, steps = STEPS) {
  const [program, ...args] = client.command;
  const browser = inE2e('node/browser.mjs');
  const text = await output(program, [...args, world.resource, 'step-up'], { PROTOCOL: version, BROWSER: browser, ...client.env });
  const { protocol, granted, answers } = (client.parse ?? JSON.parse)(text);
  strictEqual(protocol, version);
  const each = granted.map((scopes) => withoutOffline(scopes.split(' ')).sort());
  deepStrictEqual(each.filter((scopes, at) => !isDeepStrictEqual(scopes, each[at - 1])), steps);
  const [before, added, addedForBob, after] = answers;
  ok(Number(addedForBob) >= 1, addedForBob);
  strictEqual(after, [...before.split('\n').filter(Boolean), 'buy milk'].join('\n')); // alice's notes, whichever client wrote them
  strictEqual(added, String(after.split('\n').length));
}

async function argumentsDecide(world) {
  const token = await world.token({ scope: 'notes:read notes:write' });
  const version = '2026-07-28';
  const add = (owner) => {
    const meta = { 'io.modelcontextprotocol/protocolVersion': version, 'io.modelcontextprotocol/clientCapabilities': {} };
    const params = { name: 'add_note', arguments: { text: 'buy milk', owner }, _meta: meta };
    const headers = { 'MCP-Protocol-Version': version, 'Mcp-Method': 'tools/call', 'Mcp-Name': 'add_note' };
    return world.send(token, { jsonrpc: '2.0', id: 1, method: 'tools/call', params }, headers);
  };
  strictEqual((await add('machine')).status, 200); // its own notes
  const response = await add('alice');
  strictEqual(response.status, 403);
  begins(challenge(response), 'Bearer error="insufficient_scope", scope="');
  const [, scopes] = challenge(response).match(/scope="([^"]*)"/);
  deepStrictEqual(scopes.split(' ').sort(), ['admin', 'notes:read', 'notes:write']);
}

/** Some clients ask for `offline_access` where the issuer offers it. */
const withoutOffline = (scopes) => scopes.filter((scope) => scope !== 'offline_access');

/** Parses what the example `step_up` prints. */
function lines(text) {
  const after = (word) => [...text.matchAll(new RegExp(`^${word} +(.*)$`, 'gm'))].map(([, rest]) => rest);
  const granted = after('granted');
  ok(after('refused')[1].startsWith('Bearer error="insufficient_scope", scope="notes:read notes:write", '), text);
  return { protocol: after('protocol')[0], granted, answers: after('answer').map((text) => JSON.parse(text)) };
}

async function conforms(revision) {
  return output(process.execPath, [inE2e('conformance/run.mjs'), revision], {}, 180);
}

async function metadata(world) {
  const response = await fetch(world.metadataUrl);
  strictEqual(response.status, 200);
  match(response.headers.get('content-type'), /^application\/json\b/);
  const document = await response.json();
  strictEqual(document.resource, world.resource);
  deepStrictEqual(document.authorization_servers, [world.issuer]);
}

async function noToken(world) {
  const response = await world.post();
  strictEqual(response.status, 401);
  strictEqual(challenge(response), `Bearer scope="read", resource_metadata="${world.metadataUrl}"`);
}

async function goodToken(world) {
  await accepts(world, await world.token());
}

async function otherResource(world) {
  await refuses(world, await world.token({ target: 'http://other.example/mcp' }));
}

async function expired(world) {
  await refuses(world, await world.token({ client: 'late' }));
}

async function changedSignature(world) {
  const [header, claims, signature] = (await world.token()).split('.');
  const bytes = Buffer.from(signature, 'base64url');
  bytes[0] ^= 1;
  await refuses(world, [header, claims, bytes.toString('base64url')].join('.'));
}

async function missingScope(world) {
  const response = await world.post(await world.token({ scope: 'write' }));
  strictEqual(response.status, 403);
  begins(challenge(response), `Bearer error="insufficient_scope", scope="read", resource_metadata="${world.metadataUrl}"`);
}

async function firstUse(world) {
  const tokens = await Promise.all(Array.from({ length: 20 }, () => world.token()));
  await Promise.all(tokens.map((token) => accepts(world, token)));
  deepStrictEqual(await world.admin('hits'), { metadata: 1, jwks: 1 });
}

async function rotation(world) {
  const old = await world.token();
  await accepts(world, old);
  const before = await world.admin('hits');

  await world.admin('rotate');
  await accepts(world, await world.token());
  await accepts(world, old);
  const after = await world.admin('hits');
  ok(after.jwks - before.jwks <= 1, `fetched the keys ${after.jwks - before.jwks} times more`);
}

async function withdrawal(world) {
  const old = await world.token();
  await accepts(world, old);

  await world.admin('rotate');
  await world.admin('drop-old');
  await accepts(world, await world.token()); // so the server has fetched the new key set
  await refuses(world, old);
}

async function outage(world) {
  await accepts(world, await world.token());
  await world.admin('break');
  await accepts(world, await world.token()); // another token, so that the token cache does not hide missing keys
  const last = await world.token();
  await stop(world.processes.issuer);
  await accepts(world, last);
}

async function coldStart(world) {
  await world.startIssuer(); // only to get a token
  const token = await world.token();
  await stop(world.processes.issuer);

  await world.startServer();
  strictEqual((await world.post()).status, 401); // this needs no issuer
  const response = await world.post(token);
  strictEqual(response.status, 503);
  match(response.headers.get('retry-after') ?? 'none', /^[1-9]\d*$/);
  strictEqual(challenge(response), null); // an outage must not make a client sign in again

  await world.startIssuer(); // with the same keys
  await until('the same token is accepted', async () => (await world.post(token)).status === 200);
}

// ── helpers for the proofs ──

const challenge = (response) => response.headers.get('www-authenticate');

const begins = (text, start) => strictEqual(text?.slice(0, start.length), start);

async function accepts(world, token) {
  const response = await world.post(token);
  strictEqual(response.status, 200, `${response.status}, ${challenge(response)}`);
}

async function refuses(world, token) {
  const response = await world.post(token);
  strictEqual(response.status, 401);
  begins(challenge(response), `Bearer error="invalid_token", scope="read", resource_metadata="${world.metadataUrl}"`);
}

process.exit((await runAll(scenarios, process.argv.slice(2))) ? 0 : 1);
