// A client without an SDK, for tokens that no SDK would send here, and to see what the issuer issues.
import { createHash, randomBytes } from 'node:crypto';
import { approve } from './approve.mjs';

const redirectUrl = 'http://127.0.0.1:9/callback'; // nothing listens there: `approve` stops at the redirect

/**
 * Registers a client, unless it is given one's id, lets alice, or another user, sign in, and requests a token for `target`, or for no resource if
 * that is null. Returns the issuer's answers: `client` (RFC 7591) and `tokens` (RFC 6749 §5.1).
 */
export async function signIn(world, { scope = 'read', target = world.resource, login = 'alice', client_id } = {}) {
  const endpoints = await discover(world.issuer);
  const client = client_id ? { client_id } : await ask(endpoints.registration_endpoint, 'application/json', JSON.stringify({
    client_name: 'e2e by hand',
    application_type: 'native', // otherwise better-auth refuses a redirect to this machine
    redirect_uris: [redirectUrl],
    grant_types: ['authorization_code'],
    response_types: ['code'],
    scope,
    token_endpoint_auth_method: 'none',
  }));

  const code_verifier = randomBytes(32).toString('base64url');
  const common = { client_id: client.client_id, redirect_uri: redirectUrl, ...(target && { resource: target }) };
  const page = new URL(endpoints.authorization_endpoint);
  page.search = new URLSearchParams({
    ...common,
    scope,
    response_type: 'code',
    state: 'e2e-state',
    code_challenge: createHash('sha256').update(code_verifier).digest('base64url'),
    code_challenge_method: 'S256',
  });
  const code = (await approve(page, redirectUrl, login)).get('code');
  const form = new URLSearchParams({ ...common, grant_type: 'authorization_code', code, code_verifier });
  return { client, tokens: await ask(endpoints.token_endpoint, 'application/x-www-form-urlencoded', form.toString()) };
}

/** The metadata at the place of RFC 8414 §3.1, or else at that of OpenID Connect. */
async function discover(issuer) {
  const { origin, pathname } = new URL(issuer);
  const path = pathname === '/' ? '' : pathname;
  const response = await fetch(`${origin}/.well-known/oauth-authorization-server${path}`, within());
  return (response.ok ? response : await fetch(`${issuer}/.well-known/openid-configuration`, within())).json();
}

/** A client that does not register: the issuer knows it. */
export const byHand = (client) => ({ ...client, name: `${client.name}, made by hand,`, env: { CLIENT_ID: 'notes-app' } });

const part = (index) => (token) => JSON.parse(Buffer.from(token.split('.')[index], 'base64url'));

/** The header and the claims of a JWT, which are not verified here. */
export const [header, claims] = [part(0), part(1)];

const within = () => ({ signal: AbortSignal.timeout(10_000) });

async function ask(url, type, body) {
  const response = await fetch(url, { method: 'POST', headers: { 'Content-Type': type }, body, ...within() });
  if (!response.ok) throw new Error(`${response.status} from ${url}: ${await response.text()}`);
  return response.json();
}
