// Records what real issuers publish and issue, for tests without them: crates/mcp-auth/tests/it/recorded.
//
//   e2e/run record keycloak spring hydra
//
// Each recording is one document: {"product", "time" (Unix seconds), "resource", "provider" and its "parameters", "documents" by URL,
// "tokens", and by token the "introspection" answer where it was asked for, and the "logout" token of the session of "user"}.
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { DpopSession } from '@modelcontextprotocol/client';
import { claims, signIn } from './sign_in.mjs';
import { newWorld } from './world.mjs';

const folder = fileURLToPath(new URL('../../crates/mcp-auth/tests/it/recorded/', import.meta.url));

const within = () => ({ signal: AbortSignal.timeout(10_000) });

async function documents(world, jwksUri) {
  const { origin, pathname } = new URL(world.issuer);
  const path = pathname === '/' ? '' : pathname;
  const urls = [`${origin}/.well-known/oauth-authorization-server${path}`, `${world.issuer}/.well-known/openid-configuration`, jwksUri];
  const answers = await Promise.all(urls.map((url) => fetch(url, within())));
  const found = await Promise.all(answers.map(async (answer, i) => answer.ok && [urls[i], await answer.json()]));
  return Object.fromEntries(found.filter(Boolean));
}

async function introspect(url, token, [id, secret]) {
  const headers = { Authorization: `Basic ${btoa(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`)}` };
  return (await fetch(url, { method: 'POST', headers, body: new URLSearchParams({ token }), ...within() })).json();
}

/** A token that is bound to a key, and a proof for the resource. */
async function bound(world, tokenUrl) {
  const session = await DpopSession.create();
  const response = await fetch(tokenUrl, {
    method: 'POST',
    headers: { Authorization: `Basic ${btoa('machine:secret')}`, DPoP: await session.buildProof({ htm: 'POST', htu: tokenUrl }) },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'read' }),
    ...within(),
  });
  const { access_token: token } = await response.json();
  return { token, proof: await session.buildProof({ htm: 'POST', htu: world.resource, accessToken: token }) };
}

/** The next logout tokens, by session, that are sent to the server of this world. There is no other server here. */
function nextLogouts(world, number) {
  const tokens = {};
  return new Promise((resolve) => {
    const server = createServer(async (req, res) => {
      const token = new URLSearchParams((await req.toArray()).join('')).get('logout_token');
      res.end();
      tokens[claims(token).sid] = token;
      if (Object.keys(tokens).length < number) return;
      server.close();
      resolve(tokens);
    });
    server.listen(Number(new URL(world.resource).port), '127.0.0.1');
  });
}

const RECORDINGS = {
  async keycloak() {
    const world = await newWorld({ make: 'keycloak' });
    await world.startIssuer();
    const endpoints = `${world.issuer}/protocol/openid-connect`;
    const scope = 'openid read';
    const { tokens: user } = await signIn(world, { scope, client_id: 'notes-app' });
    const dpop = await bound(world, `${endpoints}/token`);
    const machine = await world.token();
    const elsewhere = await world.token({ scope: 'elsewhere' });
    await world.realm.change('notes-app', { 'client.use.lightweight.access.token.enabled': 'true' });
    const { tokens: light } = await signIn(world, { scope, client_id: 'notes-app' });
    await world.realm.rotate();
    const rotated = await world.token();
    const asking = [world.resource, 'change-me'];
    const answer = (token) => introspect(`${endpoints}/token/introspect`, token, asking);
    const introspections = await Promise.all([user, light].map(({ access_token }) => answer(access_token)));
    const logouts = nextLogouts(world, 2);
    await world.realm.logOut();
    const logout = (await logouts)[claims(user.access_token).sid];
    return {
      product: 'Keycloak 26.7.3',
      resource: world.resource,
      provider: 'keycloak',
      parameters: { url: new URL(world.issuer).origin, realm: world.issuer.split('/').at(-1) },
      documents: await documents(world, `${endpoints}/certs`),
      tokens: {
        user: { token: user.access_token, introspection: introspections[0] },
        lightweight: { token: light.access_token, introspection: introspections[1] },
        machine: { token: machine },
        'of the next key': { token: rotated },
        bound: dpop,
        'for another resource': { token: elsewhere, introspection: await answer(elsewhere) },
        id: { token: user.id_token },
        refresh: { token: user.refresh_token },
      },
      logout,
    };
  },

  async spring() {
    const [jwt, opaque] = await Promise.all([newWorld({ make: 'spring' }), newWorld({ make: 'spring', format: 'opaque' })]);
    await Promise.all([jwt.startIssuer(), opaque.startIssuer()]);
    const { tokens: user } = await signIn(jwt, { scope: 'openid read' });
    const { tokens: reference } = await signIn(opaque, { scope: 'openid read' });
    const answer = await introspect(`${opaque.issuer}/oauth2/introspect`, reference.access_token, ['machine', 'secret']);
    return {
      product: 'Spring Authorization Server 7.0.6',
      resource: jwt.resource,
      provider: 'spring',
      parameters: { url: jwt.issuer },
      documents: await documents(jwt, `${jwt.issuer}/oauth2/jwks`),
      tokens: {
        user: { token: user.access_token },
        machine: { token: await jwt.token() },
        bound: await bound(jwt, `${jwt.issuer}/oauth2/token`),
        'for another resource': { token: await jwt.token({ scope: 'elsewhere' }) },
        id: { token: user.id_token },
        opaque: { token: reference.access_token, introspection: ofOther(answer, opaque, jwt) },
      },
    };
  },

  async hydra() {
    const [jwt, opaque] = await Promise.all([newWorld({ make: 'hydra' }), newWorld({ make: 'hydra', format: 'opaque' })]);
    await Promise.all([jwt.startIssuer(), opaque.startIssuer()]);
    const scope = 'openid offline read';
    const { tokens: user } = await signIn(jwt, { scope, client_id: 'notes-app' });
    const { tokens: reference } = await signIn(opaque, { scope, client_id: 'notes-app' });
    const answer = async (token) => ofOther(await introspect(`${opaque.adminOrigin}/admin/oauth2/introspect`, token, ['', '']), opaque, jwt);
    return {
      product: 'Ory Hydra 2.3.0',
      resource: jwt.resource,
      provider: 'ory',
      parameters: { url: jwt.issuer },
      documents: await documents(jwt, `${jwt.issuer}/.well-known/jwks.json`),
      tokens: {
        user: { token: user.access_token },
        machine: { token: await jwt.token() },
        'for another resource': { token: await jwt.token({ target: 'http://other.example/mcp' }) },
        'for no resource': { token: await jwt.token({ target: '' }) },
        id: { token: user.id_token },
        opaque: { token: reference.access_token, introspection: await answer(reference.access_token) },
        refresh: { token: reference.refresh_token, introspection: await answer(reference.refresh_token) },
      },
    };
  },
};

/** The answer of a second instance, as if the first had given it. */
function ofOther(answer, from, to) {
  return JSON.parse(JSON.stringify(answer).replaceAll(from.issuer, to.issuer).replaceAll(from.resource, to.resource));
}

for (const name of process.argv.slice(2)) {
  const recording = await RECORDINGS[name]();
  const time = Math.floor(Date.now() / 1000);
  writeFileSync(`${folder}${name}.json`, `${JSON.stringify({ time, ...recording }, null, 2)}\n`);
}
process.exit(0);
