// Scenarios with Ory Hydra: metadata only at the place of OpenID Connect, JWTs with `scp`, and opaque tokens. By name only, since
// Hydra takes minutes to build: e2e/run hydra.
import { deepStrictEqual, ok, rejects, strictEqual } from 'node:assert/strict';
import { until } from './processes.mjs';
import { byHand, claims, signIn } from './sign_in.mjs';

const common = { make: 'hydra', onDemand: 'hydra' };
const BY_NAME = { ...common, byName: true }; // `AuthorizationServer::ory`
const OPAQUE = {
  ...common,
  format: 'opaque',
  server: 'opaque',
  // The metadata do not name the introspection endpoint, and it asks for no credentials.
  environment: (resource, admin) => ({
    INTROSPECTION_ENDPOINT: `${admin}/admin/oauth2/introspect`,
    INTROSPECT_ID: 'unused',
    INTROSPECT_SECRET: 'unused',
    BELIEVED_FOR: '1',
  }),
};

/** The rows of the table in run.mjs. */
export function hydra({ flow, signsIn, accepts, refuses, clients: [v1, v2, python], more: [fastmcp, go, rmcp] }) {
  /** Hydra answers `"client_uri": ""`, `"contacts": null` and `"jwks": {}`. */
  async function unreadable(world) {
    await rejects(() => signsIn(world, v1), /client_uri[^]*registerClient/);
    await rejects(() => signsIn(world, v2), /client_uri[^]*registerClient/);
    await rejects(() => signsIn(world, go), /failed to decode successful registration response/);
  }

  async function places(world) {
    const status = async (name) => (await fetch(`${world.issuer}/.well-known/${name}`)).status;
    deepStrictEqual([await status('oauth-authorization-server'), await status('openid-configuration')], [404, 200]);
  }

  async function scp(world) {
    const token = await world.token();
    deepStrictEqual([claims(token).scp, claims(token).aud], [['read'], [world.resource]]);
    await accepts(world, token);
  }

  async function otherTokens(world) {
    const { tokens } = await signIn(world, { scope: 'openid offline read', client_id: 'notes-app' });
    await accepts(world, tokens.access_token);
    await refuses(world, tokens.id_token);
    await refuses(world, tokens.refresh_token);
  }

  async function otherResource(world) {
    await refuses(world, await world.token({ target: 'http://other.example/mcp' }));
    const unasked = await world.token({ target: '' });
    await refuses(world, unasked);
  }

  async function revoked(world) {
    const token = await world.token();
    ok(token.startsWith('ory_at_'), token);
    strictEqual(token.split('.').length, 2);
    await accepts(world, token);
    await world.revoke(token);
    await until('the token is refused', async () => (await world.post(token)).status !== 200, 5_000);
    await refuses(world, token);
  }

  return [
    ['hydra: metadata only at the place of OpenID Connect', BY_NAME, places],
    ...[byHand(v1), byHand(v2), python, fastmcp, byHand(go), rmcp].map((client) => flow('hydra', BY_NAME, client)),
    ['hydra: the SDKs of TypeScript and Go cannot read its answer to a registration', BY_NAME, unreadable],
    ['hydra: a JWT with scp: 200', BY_NAME, scp],
    ['hydra: ID and refresh tokens: 401 invalid_token', BY_NAME, otherTokens],
    ['hydra: a token for another resource, or for none: 401 invalid_token', BY_NAME, otherResource],
    ...[byHand(v1), byHand(v2), python].map((client) => flow('hydra, opaque', OPAQUE, client)),
    ['hydra, opaque: ID and refresh tokens: 401 invalid_token', OPAQUE, otherTokens],
    ['hydra, opaque: a revoked token ends with its answer', OPAQUE, revoked],
    ['hydra, opaque: a token for another resource, or for none: 401 invalid_token', OPAQUE, otherResource],
  ];
}
