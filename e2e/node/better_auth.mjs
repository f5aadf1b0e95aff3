// Scenarios with better-auth: JWTs of an issuer that is part of an application and signs other tokens too.
import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { claims, signIn } from './sign_in.mjs';

const BETTER_AUTH = { make: 'better-auth' };
const BY_NAME = { make: 'better-auth', byName: true }; // `AuthorizationServer::better_auth`, not `discover`

/** The rows of the table in run.mjs. */
export function betterAuth({ flow, accepts, refuses, clients }) {
  async function twoAudiences(world) {
    const { tokens } = await signIn(world, { scope: 'openid read' });
    const { aud } = claims(tokens.access_token);
    deepStrictEqual(aud, [world.resource, `${world.issuer}/oauth2/userinfo`]);
    await accepts(world, tokens.access_token);
  }

  async function otherResource(world) {
    const { tokens } = await signIn(world, { target: 'http://other.example/mcp' });
    strictEqual(claims(tokens.access_token).aud, 'http://other.example/mcp');
    await refuses(world, tokens.access_token);
  }

  async function noResource(world) {
    const { tokens } = await signIn(world, { target: null });
    strictEqual(tokens.access_token.includes('.'), false);
    await refuses(world, tokens.access_token);
  }

  async function idToken(world) {
    const { tokens } = await signIn(world, { scope: 'openid read' });
    await accepts(world, tokens.access_token);
    await refuses(world, tokens.id_token);
  }

  async function sessionToken(world) {
    const signal = AbortSignal.timeout(10_000);
    const session = await fetch(`${world.issuer}/sign-in/email`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Origin: new URL(world.issuer).origin },
      body: JSON.stringify({ email: 'alice@example.com', password: 'any password' }),
      signal,
    });
    const Cookie = session.headers.getSetCookie().map((cookie) => cookie.split(';')[0]).join('; ');
    const { token } = await (await fetch(`${world.issuer}/token`, { headers: { Cookie }, signal })).json();
    strictEqual(claims(token).sub, 'alice');
    await refuses(world, token);
  }

  return [
    ...clients.map((client) => flow('better-auth', BETTER_AUTH, client)),
    ['better-auth: a token with two audiences: 200', BETTER_AUTH, twoAudiences],
    ['better-auth: a token for another resource: 401 invalid_token', BETTER_AUTH, otherResource],
    ['better-auth: a token for no resource is opaque: 401 invalid_token', BETTER_AUTH, noResource],
    ['better-auth: an ID token: 401 invalid_token', BETTER_AUTH, idToken],
    ['better-auth: a JWT of the session, signed with the same keys: 401 invalid_token', BETTER_AUTH, sessionToken],

    ...clients.map((client) => flow('better-auth, by name', BY_NAME, client)),
    ['better-auth, by name: a token with two audiences: 200', BY_NAME, twoAudiences],
    ['better-auth, by name: a token for another resource: 401 invalid_token', BY_NAME, otherResource],
    ['better-auth, by name: an ID token: 401 invalid_token', BY_NAME, idToken],
    ['better-auth, by name: a JWT of the session: 401 invalid_token', BY_NAME, sessionToken],
  ];
}
