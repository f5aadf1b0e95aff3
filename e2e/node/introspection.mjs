// Scenarios with opaque tokens, which the server introspects (RFC 7662), with two makes of issuers.
import { deepStrictEqual, match, notStrictEqual, strictEqual } from 'node:assert/strict';
import { until } from './processes.mjs';
import { signIn } from './sign_in.mjs';

const asking = { INTROSPECT_ID: 'http://127.0.0.1/asks', INTROSPECT_SECRET: 'a secret: %, & and +' };
const opaque = (environment) => ({ format: 'opaque', server: 'opaque', environment: { ...asking, ...environment } });
const django = (answers, environment) => ({ make: 'django', answers, server: 'opaque', environment: { ...asking, ...environment } });

const OPAQUE = opaque();
const CROWD = opaque();
const SHORT = opaque({ BELIEVED_FOR: '1' });
const SIGNED = opaque({ INTROSPECT_ID: 'asks-signed', SIGNED_ANSWERS: '1' });
const DJANGO = django('username', { BELIEVED_FOR: '1' });
const DJANGO_WITH_SUB = django('sub');
const DJANGO_BY_NAME = django('username', { SUBJECT_IS_USERNAME: '1' });

/** The rows of the table in run.mjs. */
export function introspection({ flow, accepts, refuses, clients }) {
  async function oneQuestion(world) {
    const token = await world.token();
    strictEqual(token.includes('.'), false);
    await Promise.all(Array.from({ length: 50 }, () => accepts(world, token)));
    deepStrictEqual(await world.admin('hits'), { metadata: 1, jwks: 0, introspection: 1 });
  }

  async function revoked(world) {
    const token = await world.token();
    await accepts(world, token);
    await world.revoke(token);
    await until('the token is refused', async () => (await world.post(token)).status !== 200, 5_000);
    await refuses(world, token);
  }

  async function invented(world) {
    await refuses(world, 'a-token-that-nobody-has-issued');
  }

  async function otherResource(world) {
    await refuses(world, await world.token({ target: 'http://other.example/mcp' }));
  }

  async function endpointFails(world) {
    const token = await world.token();
    await world.admin('break');
    const response = await world.post(token);
    strictEqual(response.status, 503);
    match(response.headers.get('retry-after') ?? 'none', /^[1-9]\d*$/);
    strictEqual(response.headers.get('www-authenticate'), null);
    await world.admin('repair');
    await until('the same token is accepted', async () => (await world.post(token)).status === 200);
  }

  async function signed(world) {
    const before = await world.admin('hits');
    await accepts(world, await world.token());
    notStrictEqual((await world.admin('hits')).jwks, before.jwks);
    await refuses(world, 'a-token-that-nobody-has-issued');
  }

  async function userWithoutSub(world) {
    await accepts(world, await world.token()); // a token of a client, without a user
    const { tokens } = await signIn(world);
    await refuses(world, tokens.access_token);
  }

  async function clientAmongNames(world) {
    const { tokens } = await signIn(world);
    await accepts(world, tokens.access_token);
    await refuses(world, await world.token());
  }

  async function otherTokens(world) {
    const { client, tokens } = await signIn(world);
    await accepts(world, tokens.access_token);
    await refuses(world, tokens.refresh_token);
    await refuses(world, client.registration_access_token); // which django-oauth-toolkit keeps among its access tokens
  }

  return [
    ...clients.map((client) => flow('opaque', OPAQUE, client)),
    ['opaque: fifty requests with one token, one question', CROWD, oneQuestion],
    ['opaque: a revoked token ends with its answer', SHORT, revoked],
    ['opaque: an invented token: 401 invalid_token', OPAQUE, invented],
    ['opaque: a token for another resource: 401 invalid_token', OPAQUE, otherResource],
    ['opaque: the endpoint fails: 503, and 200 after it recovered', SHORT, endpointFails],
    ['opaque: answers that the issuer signs', SIGNED, signed],

    ...clients.map((client) => flow('django, sub added', DJANGO_WITH_SUB, client, '1')),
    ...clients.map((client) => flow('django, by name', DJANGO_BY_NAME, client)),
    ['django: a user without sub: 401 invalid_token', DJANGO, userWithoutSub],
    ['django, by name: a client without a user: 401 invalid_token', DJANGO_BY_NAME, clientAmongNames],
    ['django, sub added: refresh and registration tokens: 401 invalid_token', DJANGO_WITH_SUB, otherTokens],
    ['django: a revoked token ends with its answer', DJANGO, revoked],
    ['django: an invented token: 401 invalid_token', DJANGO, invented],
    ['django: a token for another resource: 401 invalid_token', DJANGO, otherResource],
    ['django: the endpoint fails: 503, and 200 after it recovered', DJANGO, endpointFails],
  ];
}
