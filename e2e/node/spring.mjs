// Scenarios with Spring Authorization Server: JWTs that do not name the client, opaque tokens, and DPoP.
import { deepStrictEqual, rejects, strictEqual } from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { output, until } from './processes.mjs';
import { claims, header, signIn } from './sign_in.mjs';

const browser = fileURLToPath(new URL('browser.mjs', import.meta.url));

const make = 'spring';
const BY_NAME = { make, byName: true }; // `AuthorizationServer::spring`
const DPOP = { make, server: 'bound_tokens' };
const OPAQUE = { make, format: 'opaque', server: 'opaque', environment: { INTROSPECT_ID: 'machine', INTROSPECT_SECRET: 'secret', BELIEVED_FOR: '1' } };

/** The rows of the table in run.mjs. */
export function spring({ flow, signsIn, accepts, refuses, clients, more: [fastmcp, go, rmcp] }) {
  const withScope = { ...go, name: `${go.name}, told to register with its scope,`, env: { REGISTER_WITH: 'read' } };

  /** A client that registers without scopes gets none from Spring. */
  async function registersWithout(world) {
    const [program] = go.command;
    await rejects(() => output(program, [world.resource], { BROWSER: browser }), /the issuer refuses: error=invalid_scope/);
  }

  async function unnamedClient(world) {
    const token = await world.token();
    strictEqual(header(token).typ, undefined);
    deepStrictEqual(Object.keys(claims(token)).sort(), ['aud', 'exp', 'iat', 'iss', 'jti', 'nbf', 'scope', 'sub']);
    deepStrictEqual(claims(token).scope, ['read']);
    await accepts(world, token);
  }

  async function otherTokens(world) {
    const { tokens } = await signIn(world, { scope: 'openid read' });
    await accepts(world, tokens.access_token);
    await refuses(world, tokens.id_token);
  }

  async function otherResource(world) {
    await refuses(world, await world.token({ scope: 'read elsewhere' }));
  }

  async function revoked(world) {
    const token = await world.token();
    strictEqual(token.includes('.'), false);
    await accepts(world, token);
    await world.revoke(token);
    await until('the token is refused', async () => (await world.post(token)).status !== 200, 5_000);
    await refuses(world, token);
  }

  return [
    ...[...clients, fastmcp, withScope, rmcp].map((client) => flow('spring', BY_NAME, client, 'alice', false)),
    ['spring: Go registers without scopes, and gets none: invalid_scope', BY_NAME, registersWithout],
    ['spring: a JWT without a type and without a claim for the client: 200', BY_NAME, unnamedClient],
    ['spring: an ID token: 401 invalid_token', BY_NAME, otherTokens],
    ['spring: a token for another resource: 401 invalid_token', BY_NAME, otherResource],
    ...clients.map((client) => flow('spring, opaque', OPAQUE, client)),
    ['spring, opaque: a revoked token ends with its answer', OPAQUE, revoked],
    ['spring, opaque: a token for another resource: 401 invalid_token', OPAQUE, otherResource],
    ['spring: DPoP: TypeScript v2 signs in and calls a tool', DPOP, (world) => signsIn(world, clients[1])],
  ];
}
