// A real authorization server: oidc-provider, with admin endpoints by which the tests control it.
//
//   node issuer.mjs --port 4000 --resource http://127.0.0.1:3000/mcp [--alg RS256|ES256|EdDSA|Ed25519] [--path /tenant] [--keys keys.json] [--format opaque] [--ttl 4]
//
// A token request with a DPoP proof gets a token bound to the key of the proof. The client `certified` gets tokens bound to the TLS
// client certificate that a proxy sends in `Client-Cert` (see bound.mjs).
//
// It issues JWT access tokens (RFC 9068), or opaque ones, for that resource and for http://other.example/mcp. Clients register dynamically
// (RFC 7591), and users sign in through its two forms; any login name is accepted. The admin endpoints, outside of the issuer's path:
//
//   GET  /admin/hits      {"metadata": n, "jwks": n}: how often each was fetched
//   POST /admin/rotate    sign with the next key, and publish it before the others
//   POST /admin/drop-old  publish only the active signing key
//   POST /admin/break     the JWKS and the introspection endpoint answer 500 from now on
//   POST /admin/repair    they answer normally again
import { X509Certificate, generateKeyPairSync } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { Provider, errors } from 'oidc-provider';

const { values: args } = parseArgs({
  options: {
    port: { type: 'string' },
    resource: { type: 'string' },
    alg: { type: 'string', default: 'ES256' },
    path: { type: 'string', default: '' },
    format: { type: 'string', default: 'jwt' },
    ttl: { type: 'string' }, // the lifetime of access tokens in seconds; those that are told get refresh tokens too
    limited: { type: 'string' }, // clients may ask only for the scopes with which they have registered
    keys: { type: 'string' }, // a file from which the keys are read, or to which they are written, to outlive this process
  },
});
const origin = `http://127.0.0.1:${args.port}`;
const issuer = origin + args.path;
const resources = [args.resource, 'http://other.example/mcp'];
const scope = 'read write notes:read notes:write admin';

// ── keys: the provider has all of them; the admin endpoints decide which are published and which one signs ──

const KEY_TYPES = {
  RS256: ['rsa', { modulusLength: 2048 }],
  ES256: ['ec', { namedCurve: 'P-256' }],
  EdDSA: ['ed25519', {}],
  Ed25519: ['ed25519', {}],
};

function newKey(kid) {
  const jwk = generateKeyPairSync(...KEY_TYPES[args.alg]).privateKey.export({ format: 'jwk' });
  // RSA keys have no `alg`, like those of several big providers. The other keys have one.
  return { kid, use: 'sig', ...(args.alg !== 'RS256' && { alg: args.alg }), ...jwk };
}

function loadKeys() {
  if (args.keys && existsSync(args.keys)) return JSON.parse(readFileSync(args.keys, 'utf8'));
  const keys = ['first', 'second'].map(newKey);
  if (args.keys) writeFileSync(args.keys, JSON.stringify(keys));
  return keys;
}

const keys = loadKeys();
let signing = keys[0];
let published = [signing];
let broken = false;
const hits = { metadata: 0, jwks: 0 };

const publicPart = ({ kty, use, alg, kid, crv, x, y, n, e }) => ({ kty, use, alg, kid, crv, x, y, n, e });

const adminEndpoints = {
  'GET /admin/hits': () => hits,
  'POST /admin/rotate': () => {
    signing = keys[keys.indexOf(signing) + 1];
    published = [signing, ...published];
  },
  'POST /admin/drop-old': () => { published = [signing]; },
  'POST /admin/break': () => { broken = true; },
  'POST /admin/repair': () => { broken = false; },
};

// ── the provider ──

const machine = (client_id) => ({
  client_id,
  client_secret: 'secret',
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
});

/** A protected server that introspects opaque tokens. Its secret has characters that must be encoded. */
const server = (client_id) => ({ ...machine(client_id), client_secret: 'a secret: %, & and +', grant_types: [] });

const provider = new Provider(issuer, {
  jwks: { keys },
  clients: [
    machine('machine'),
    machine('late'),
    { ...machine('certified'), tls_client_certificate_bound_access_tokens: true },
    server('http://127.0.0.1/asks'),
    server('asks-signed'),
  ],
  clientDefaults: { id_token_signed_response_alg: args.alg, introspection_signed_response_alg: args.alg },
  scopes: scope.split(' '),
  // Clients register with the scopes that they request first. Limited to these, they could never step up.
  extraClientMetadata: {
    properties: ['any_scope'],
    validator: (_, name, value, metadata) => { if (!args.limited) delete metadata.scope; },
  },
  // Without a short lifetime, clients may register for refresh tokens but get none: TypeScript v1 would refresh its token
  // instead of stepping up.
  issueRefreshToken: (_, client) => args.ttl !== undefined && client.grantTypeAllowed('refresh_token'),
  cookies: { keys: ['only for tests'] },
  ttl: { Interaction: 600, Session: 600, Grant: 600, IdToken: 600, RefreshToken: 600 },
  findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  formats: {
    customizers: {
      // Tokens of the client `late` were issued an hour ago for a minute, so that no test has to wait for expiry.
      jwt(_, token, { payload }) {
        if (token.clientId !== 'late') return;
        payload.iat -= 3600;
        payload.exp = payload.iat + 60;
      },
    },
  },
  features: {
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    jwtIntrospection: { enabled: true },
    revocation: { enabled: true },
    dPoP: { enabled: true },
    mTLS: { enabled: true, certificateBoundAccessTokens: true, getCertificate: certificate },
    registration: { enabled: true },
    devInteractions: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo(_, resource) {
        if (!resources.includes(resource)) throw new errors.InvalidTarget();
        return {
          scope,
          audience: resource,
          accessTokenTTL: Number(args.ttl ?? 300),
          accessTokenFormat: args.format,
          ...(args.format === 'jwt' && { jwt: { sign: { alg: args.alg, kid: signing.kid } } }),
        };
      },
    },
  },
});
provider.on('server_error', (_, error) => console.error(error));
const answer = provider.callback();

/** The client certificate that the proxy sends (RFC 9440). */
function certificate(ctx) {
  const der = ctx.get('client-cert').match(/^:(.+):$/)?.[1];
  return der && new X509Certificate(Buffer.from(der, 'base64'));
}

// ── HTTP: the admin endpoints, our JWKS, and the provider below its path ──

function json(res, status, body) {
  res.writeHead(status, { 'Content-Type': 'application/json' });
  res.end(JSON.stringify(body));
}

/** The URL without the issuer's path, as the provider knows it. Null if it is not below that path. */
function local(url) {
  const inserted = `/.well-known/oauth-authorization-server${args.path}`; // RFC 8414 §3.1
  if (url === inserted) return '/.well-known/oauth-authorization-server';
  return url.startsWith(`${args.path}/`) ? url.slice(args.path.length) : null;
}

// By default Node closes idle connections after 5 s, when a client on a slow machine may just reuse one.
createServer({ keepAliveTimeout: 120_000 }, (req, res) => {
  console.log(req.method, req.url);
  const endpoint = adminEndpoints[`${req.method} ${req.url}`];
  if (endpoint) return json(res, 200, endpoint() ?? {});

  const url = local(req.url);
  if (url === null) return json(res, 404, { error: 'not_found' });
  if (url === '/jwks') {
    hits.jwks += 1;
    return broken ? json(res, 500, { error: 'broken' }) : json(res, 200, { keys: published.map(publicPart) });
  }
  if (url === '/token/introspection') {
    hits.introspection = (hits.introspection ?? 0) + 1;
    if (broken) return json(res, 500, { error: 'broken' });
  }
  if (url.startsWith('/.well-known/')) hits.metadata += 1;
  req.originalUrl = args.path + url; // tells the provider where it is mounted
  req.url = url;
  return answer(req, res);
}).listen(Number(args.port), '127.0.0.1', () => console.log(`issuer ${issuer}, ${args.alg}`));
