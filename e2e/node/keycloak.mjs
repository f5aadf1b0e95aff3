// Scenarios with Keycloak: JWTs, step-up, lightweight tokens, logout, rotation and DPoP, with the realm of examples/keycloak.
import { deepStrictEqual, match, rejects, strictEqual } from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { output, until } from './processes.mjs';
import { byHand, claims, signIn } from './sign_in.mjs';

const make = 'keycloak';
const BY_NAME = { make, byName: true }; // `AuthorizationServer::keycloak`
const NOTES = { make, server: 'notes', environment: { LOGOUTS_OF: 'notes-app' } };
const DPOP = { make, server: 'bound_tokens' };
const INTROSPECTED = {
  make,
  server: 'opaque',
  // Keycloak answers only to a client that is in the token's audience: its id is the URL of the resource.
  environment: (resource) => ({ INTROSPECT_ID: resource, INTROSPECT_SECRET: 'change-me', INTROSPECT_JWTS: '1', BELIEVED_FOR: '1' }),
};
const ECHO = [process.execPath, fileURLToPath(new URL('echo.mjs', import.meta.url))];
/** A gateway with a token of Keycloak for the server behind it, by this grant. */
const gatewayWith = (grant, target) => ({
  make,
  server: 'gateway',
  upstream: ECHO,
  environment: { SECRET: 'change-me' },
  settings: (resource) => ({ exchange: { grant, client_id: resource, secret: 'env:SECRET', scopes: ['events:read'], ...target } }),
});
const GATEWAY_EXCHANGE = gatewayWith('token_exchange', { audience: 'calendar' });
const EXCHANGE = { make, server: 'exchange', environment: (_, other) => ({ CALENDAR: `${other}/events`, SECRET: 'change-me' }) };

/** The rows of the table in run.mjs. */
export function keycloak({ flow, step, signsIn, stepsUp, accepts, refuses, clients: [v1, v2, python], more, rmcp }) {
  const [fastmcp, go] = more;

  /** Tokens for other uses, of which each is signed with keys of the realm. */
  async function otherTokens(world) {
    const { tokens } = await signIn(world, { scope: 'openid read', client_id: 'notes-app' });
    await accepts(world, tokens.access_token);
    deepStrictEqual([claims(tokens.id_token).typ, claims(tokens.refresh_token).typ], ['ID', 'Refresh']);
    await refuses(world, tokens.id_token);
    await refuses(world, tokens.refresh_token);
  }

  async function otherResource(world) {
    await accepts(world, await world.token());
    const token = await world.token({ scope: 'read elsewhere' }); // both
    deepStrictEqual(claims(token).aud.sort(), [world.resource, 'http://other.example/mcp'].sort());
    await accepts(world, token);
    await refuses(world, await world.token({ scope: 'elsewhere' }));
  }

  /** A client of Keycloak has only the scopes with which it has registered. */
  async function registeredForLess(world) {
    await rejects(() => stepsUp(world, v2, '2026-07-28'), /the issuer refuses: error=invalid_scope/);
  }

  async function v1StepsUp(world) {
    await world.realm.change('notes-app', { 'use.refresh.tokens': 'false' }); // with one, it would refresh instead
    await stepsUp(world, byHand(v1), '2025-11-25');
    await world.realm.change('notes-app', { 'use.refresh.tokens': 'true' });
  }

  async function rotation(world) {
    const old = await world.token();
    await accepts(world, old);
    await world.realm.rotate();
    await accepts(world, await world.token());
    await accepts(world, old);
  }

  async function lightweight(world) {
    await world.realm.change('notes-app', { 'client.use.lightweight.access.token.enabled': 'true' });
    const { tokens } = await signIn(world, { client_id: 'notes-app' });
    strictEqual(claims(tokens.access_token).auth_time, undefined); // which is only in the answer
    await accepts(world, tokens.access_token);
    await world.realm.logOut();
    await until('the token is refused', async () => (await world.post(tokens.access_token)).status !== 200, 5_000);
    await refuses(world, tokens.access_token);
    await refuses(world, await world.token({ scope: 'elsewhere' })); // Keycloak does not tell this client whether it is active
  }

  async function loggedOut(world) {
    const { tokens } = await signIn(world, { scope: 'notes:read', client_id: 'notes-app' });
    await accepts(world, tokens.access_token);
    await world.realm.logOut();
    await until('the token is refused', async () => (await world.post(tokens.access_token)).status !== 200, 10_000);
    const response = await world.post(tokens.access_token);
    strictEqual(response.status, 401);
    match(response.headers.get('www-authenticate'), /^Bearer error="invalid_token"/);
  }

  /** The tool calls a second server in the name of the caller, whose own token this server refuses. */
  async function exchanges(world) {
    const [program, ...args] = v2.command;
    const { whoami } = JSON.parse(await output(program, [...args, world.resource]));
    deepStrictEqual(whoami, { subject: world.realm.alice, issuer: world.issuer, client_id: world.resource, scopes: ['events:read'] });
    const { tokens } = await signIn(world);
    const calendar = (token) => fetch(`${world.adminOrigin}/events`, { headers: { Authorization: `Bearer ${token}` } });
    strictEqual((await calendar(tokens.access_token)).status, 401);
  }

  /** The server behind the gateway gets a token for itself, in the name of the caller, and never that of the caller. */
  async function gatewayExchanges(world) {
    const { tokens } = await signIn(world, { scope: 'notes:read', client_id: 'notes-app' });
    await until('a token is accepted', async () => (await world.post(tokens.access_token)).status === 200);
    const ask = (token) => fetch(world.resource, { method: 'POST', body: '{}', headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` } });
    const { headers } = await (await ask(tokens.access_token)).json();
    const all = headers.filter((_, at) => at % 2 === 1 && headers[at - 1].toLowerCase() === 'authorization');
    strictEqual(all.length, 1);
    const { aud, sub, azp, scope } = claims(all[0].slice('Bearer '.length));
    deepStrictEqual({ aud, sub, azp, scope }, { aud: 'calendar', sub: world.realm.alice, azp: world.resource, scope: 'events:read' });
    await world.realm.change(world.resource, { 'standard.token.exchange.enabled': 'false' });
    const other = await signIn(world, { scope: 'notes:read', client_id: 'notes-app' });
    strictEqual((await ask(other.tokens.access_token)).status, 403);
    match(world.processes.server.log(), /`invalid_request`: .*Standard Token Exchange is not enabled for this client/);
  }

  async function mayNotExchange(world) {
    await world.realm.change(world.resource, { 'standard.token.exchange.enabled': 'false' });
    const [program, ...args] = v2.command;
    const before = world.processes.server.log().length;
    await rejects(() => output(program, [...args, world.resource]), /ProtocolError/);
    match(world.processes.server.log().slice(before), /`invalid_request`: .*Standard Token Exchange is not enabled for this client/);
  }

  return [
    ...[v1, v2, python, ...more].map((client) => flow('keycloak', BY_NAME, client)),
    ['keycloak: ID and refresh tokens: 401 invalid_token', BY_NAME, otherTokens],
    ['keycloak: a token for another resource: 401 invalid_token', BY_NAME, otherResource],
    ['keycloak: rotation by the admin API: the new key is accepted at once', BY_NAME, rotation],
    ...[v2, python, fastmcp, go, rmcp].map((client) => step('keycloak', NOTES, byHand(client), '2026-07-28')),
    step('keycloak, sessions', NOTES, byHand(go), '2025-11-25'),
    ['keycloak: TypeScript v1, made by hand and without refresh tokens, asks for notes:write by itself, and for admin', NOTES, v1StepsUp],
    ['keycloak: a client that registered itself cannot step up: invalid_scope', NOTES, registeredForLess],
    ['keycloak: an administrator logs a user out: the logout token revokes her token', NOTES, loggedOut],
    ['keycloak: a lightweight token is introspected, and ends with its session', INTROSPECTED, lightweight],
    ['keycloak: token exchange: a tool calls a second server in the name of its caller', EXCHANGE, exchanges],
    ['keycloak: token exchange: a server that may not exchange tokens is told what to change', EXCHANGE, mayNotExchange],
    ['keycloak: token exchange: the server behind the gateway gets a token in the name of the caller', GATEWAY_EXCHANGE, gatewayExchanges],
    ['keycloak: DPoP: TypeScript v2 signs in and calls a tool', DPOP, (world) => signsIn(world, v2)],
  ];
}
