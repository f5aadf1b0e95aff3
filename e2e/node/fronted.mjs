// nginx and Caddy in front of the gateway: as a reverse proxy, and as one that asks the gateway about each request (forward-auth).
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { request } from 'node:http';
import { fileURLToPath } from 'node:url';
import { asked } from './fronts.mjs';
import { inFrontOfTypescript, progresses } from './gateway.mjs';
import { until } from './processes.mjs';

const OLD = '2025-11-25';
const NEW = '2026-07-28';
const ECHO = [process.execPath, fileURLToPath(new URL('echo.mjs', import.meta.url))];
const MEGABYTES = 'x'.repeat(3_000_000);
const LONG_TOKEN = 'x'.repeat(15_000);

/** The rows of the table in run.mjs. */
export function fronted({ stepsUp, clients }) {
  const speaking = (protocol) => clients.filter((client) => protocol === OLD || client.protocol !== OLD);
  return ['nginx', 'caddy'].flatMap((front) => {
    const before = inFrontOfTypescript('v2', {}, { front, needs: front });
    const beforeSessions = inFrontOfTypescript('v1', {}, { front, needs: front });
    const asks = { ...inFrontOfTypescript('v2'), front, needs: front, asks: true, settings: asked(front) };
    const sessions = { ...asked(front), forward_auth: { ...asked(front).forward_auth, unsigned_sessions: true } };
    const asksSessions = { ...inFrontOfTypescript('v1'), front, needs: front, asks: true, settings: sessions };
    const echo = { server: 'gateway', upstream: ECHO, front, needs: front, asks: true, settings: asked(front) };
    return [
      ...[[before, NEW], [beforeSessions, OLD]].flatMap(([world, protocol]) => speaking(protocol).map((client) => [
        `${front} before the gateway, ${protocol}: ${client.name} signs in and asks for notes:write by itself`,
        world,
        (w) => stepsUp(w, client, protocol, [['notes:read'], ['notes:read', 'notes:write']]),
      ])),
      ...[[asks, NEW], [asksSessions, OLD]].flatMap(([world, protocol]) => speaking(protocol).map((client) => [
        `${front} asks the gateway, ${protocol}: ${client.name} signs in and calls tools`,
        world,
        (w) => stepsUp(w, client, protocol, [['notes:read']]),
      ])),
      ...[['before', before], ['asks', asks]].flatMap(([how, world], at) => speaking(NEW).filter(({ reports }) => reports).map((client, of) => [
        `${front} ${how} the gateway: ${client.name} sees progress as it comes, and cancels`,
        world,
        (w) => progresses(w, client, NEW, `4${at}${of}`),
      ])),
      [`${front} before the gateway: a body of 3 MB and a token of 15 KB`, before, large],
      [`${front} asks the gateway: a body of 3 MB and a token of 15 KB`, asks, large],
      [`${front} asks the gateway: the challenges of a 401 and of a 403`, echo, challenges],
      [`${front} asks the gateway: the server is told who calls, and gets no credentials`, echo, identity],
      [`${front} asks the gateway: what a client says about itself does not count`, echo, forged],
      [`${front} asks the gateway: other paths, methods and sessions reach nothing`, echo, elsewhere],
    ];
  });
}

const message = (text) => {
  const meta = { 'io.modelcontextprotocol/protocolVersion': NEW, 'io.modelcontextprotocol/clientCapabilities': {} };
  return { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'add_note', arguments: { text, owner: 'large' }, _meta: meta } };
};
const NEW_HEADERS = { 'MCP-Protocol-Version': NEW, 'Mcp-Method': 'tools/call', 'Mcp-Name': 'add_note' };

async function large(world) {
  const token = await world.token({ scope: 'notes:read notes:write' });
  await until('a token is accepted', async () => (await world.post(token)).status === 200);
  strictEqual((await world.send(token, message(MEGABYTES), NEW_HEADERS)).status, 200);
  const response = await world.send(LONG_TOKEN, message('x'), NEW_HEADERS);
  strictEqual(response.status, 401);
  match(response.headers.get('www-authenticate'), /^Bearer error="invalid_token"/);
}

/** A token, when the gateway has the keys: it may have started before the issuer. */
async function accepted(world) {
  const token = await world.token({ scope: 'notes:read' });
  await until('a token is accepted', async () => (await raw(world, token)).status === 200);
  return token;
}

async function challenges(world) {
  await accepted(world);
  const metadata = `resource_metadata="${world.metadataUrl}"`;
  const none = await world.post();
  strictEqual(none.status, 401);
  strictEqual(none.headers.get('www-authenticate'), `Bearer scope="notes:read", ${metadata}`);
  const other = await world.post(await world.token({ scope: 'read' }));
  strictEqual(other.status, 403);
  ok(other.headers.get('www-authenticate').startsWith('Bearer error="insufficient_scope", scope="notes:read"'), 'one challenge, which names the scope');
  ok(other.headers.get('www-authenticate').includes(metadata), other.headers.get('www-authenticate'));
  strictEqual((await fetch(world.metadataUrl)).status, 200);
}

/** A request as it is. Returns its status and, of a 200, the JSON. */
function raw(world, token, { method = 'POST', path = '/mcp', headers = {}, body = '{}' } = {}) {
  const { hostname, port } = new URL(world.resource);
  return new Promise((resolve, reject) => {
    const sent = { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }), ...headers };
    const asking = request({ hostname, port, method, path, headers: sent, timeout: 10_000 }, (response) => {
      let text = '';
      response.on('data', (data) => { text += data; });
      response.on('end', () => resolve({ status: response.statusCode, seen: response.statusCode === 200 ? JSON.parse(text) : undefined }));
    });
    asking.on('error', reject).end(body);
  });
}

/** The values of the headers that a CGI application would take for this one. */
const values = (seen, name) => seen.headers.filter((_, at) => at % 2 === 1 && seen.headers[at - 1].toLowerCase().replaceAll(/[^a-z0-9]/g, '-') === name && seen.headers[at] !== '');

async function identity(world) {
  const token = await accepted(world);
  const { status, seen } = await raw(world, token, { headers: { DPoP: 'x', Cookie: 'a=b' }, body: MEGABYTES });
  strictEqual(status, 200);
  strictEqual(seen.length, MEGABYTES.length);
  deepStrictEqual(values(seen, 'x-auth-issuer'), [world.issuer]);
  deepStrictEqual(values(seen, 'x-auth-client-id'), ['machine']);
  deepStrictEqual(values(seen, 'x-auth-scopes'), ['notes:read']);
  for (const name of ['authorization', 'dpop', 'cookie']) deepStrictEqual(values(seen, name), [], name);
}

async function forged(world) {
  const token = await accepted(world);
  for (const name of ['X-Auth-Subject', 'X_Auth_Subject', 'X.Auth.Client.Id', 'x-auth_scopes', 'X-Auth-Issuer']) {
    const { status, seen } = await raw(world, token, { headers: { [name]: 'root' } });
    ok([200, 403].includes(status), `${name}: ${status}`);
    ok(!JSON.stringify(seen?.headers ?? []).includes('root'), `${name} reaches the server: ${seen?.headers}`);
  }
  // The description of the request is the proxy's.
  for (const headers of [
    { 'X-Original-URI': '/other', 'X-Original-Method': 'GET' },
    { 'X-Forwarded-Uri': '/other', 'X-Forwarded-Method': 'GET', 'X-Forwarded-Host': 'other.example.com', 'X-Forwarded-Proto': 'https' },
  ]) {
    strictEqual((await raw(world, token, { headers })).status, 200, JSON.stringify(headers));
    const at = await raw(world, token, { path: '/mcp/other', headers: { 'X-Original-URI': '/mcp', 'X-Forwarded-Uri': '/mcp' } });
    ok(at.status !== 200 || at.seen === undefined, 'another path is not admitted');
  }
  strictEqual((await raw(world, undefined, { headers: { 'X-Auth-Subject': 'root' } })).status === 200, false);
}

async function elsewhere(world) {
  const token = await accepted(world);
  for (const path of ['/mcp/x', '//mcp', '/%6dcp', '/MCP', '/x/../mcp', '/mcp/../mcp', '/mcp%2f', '/mcp;a', '/forward-auth', '/ask-mcp-auth', '/']) {
    const { seen } = await raw(world, token, { path });
    strictEqual(seen, undefined, path);
  }
  for (const method of ['TRACE', 'PUT', 'PATCH']) {
    ok(![200].includes((await raw(world, token, { method })).status), method);
  }
  strictEqual((await raw(world, token, { headers: { 'X-HTTP-Method-Override': 'DELETE' } })).status, 403);
  strictEqual((await raw(world, token, { headers: { 'Mcp-Session-Id': '1' } })).status, 403);
  strictEqual((await raw(world, token, { path: '/mcp?a=b' })).seen.target, 'POST /mcp?a=b');
}
