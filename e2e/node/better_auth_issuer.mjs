// A real authorization server: better-auth, embedded in an application with its own users.
//
//   node better_auth_issuer.mjs --port 4000 --resource http://127.0.0.1:3000/mcp
//
// It issues JWT access tokens (ES256) for that resource and for http://other.example/mcp. The issuer has a path, `/api/auth`. Clients
// register dynamically (RFC 7591). The login and consent pages are ours, since better-auth leaves them to the application. alice is
// the only user. Of the admin endpoints of issuer.mjs it has only `GET /admin/hits`.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { oauthProvider } from '@better-auth/oauth-provider';
import { betterAuth } from 'better-auth';
import { memoryAdapter } from 'better-auth/adapters/memory';
import { getAuthTables } from 'better-auth/db';
import { toNodeHandler } from 'better-auth/node';
import { jwt } from 'better-auth/plugins';

const { values: args } = parseArgs({ options: { port: { type: 'string' }, resource: { type: 'string' } } });
const origin = `http://127.0.0.1:${args.port}`;
const resources = [args.resource, 'http://other.example/mcp'];

const database = {};
const options = {
  baseURL: origin,
  secret: 'only for tests, and long enough for better-auth',
  database: memoryAdapter(database),
  emailAndPassword: { enabled: true },
  telemetry: { enabled: false },
  advanced: { database: { generateId: ({ model }) => (model === 'user' ? 'alice' : randomUUID()) } },
  plugins: [
    jwt({ jwks: { keyPairConfig: { alg: 'ES256' } } }),
    oauthProvider({
      loginPage: '/sign-in',
      consentPage: '/consent',
      scopes: ['openid', 'read', 'write'],
      resources,
      clientRegistrationDefaultResources: resources,
      allowDynamicClientRegistration: true,
      allowUnauthenticatedClientRegistration: true,
    }),
  ],
};
for (const { modelName } of Object.values(getAuthTables(options))) database[modelName] = [];
const auth = betterAuth(options);
await auth.api.signUpEmail({ body: { name: 'alice', email: 'alice@example.com', password: 'any password' } });
const answer = toNodeHandler(auth);

// ── the pages of the application, which call these endpoints and redirect as the answer says ──

const PAGES = {
  '/sign-in': {
    fields: '<input type="text" name="login"><input type="password" name="password"><button>Sign in</button>',
    endpoint: '/api/auth/sign-in/email',
    body: ({ login, password }) => ({ email: `${login}@example.com`, password }),
  },
  '/consent': {
    fields: '<button name="accept" value="true">Agree</button>',
    endpoint: '/api/auth/oauth2/consent',
    body: ({ accept }) => ({ accept: accept === 'true' }),
  },
};

/** Shows a page, or handles its form. The query is signed by better-auth and is sent back to it. */
async function show({ fields, endpoint, body }, oauth_query, req, res) {
  if (req.method === 'GET') {
    res.writeHead(200, { 'Content-Type': 'text/html' });
    return res.end(`<form method="post">${fields}</form>`);
  }
  let form = '';
  for await (const chunk of req) form += chunk;
  const response = await auth.handler(new Request(origin + endpoint, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Origin: origin, Cookie: req.headers.cookie ?? '' },
    body: JSON.stringify({ ...body(Object.fromEntries(new URLSearchParams(form))), oauth_query }),
  }));
  const said = await response.json();
  if (!said.url) throw new Error(`better-auth does not go on from ${endpoint}: ${JSON.stringify(said)}`);
  res.writeHead(303, { Location: said.url, 'Set-Cookie': response.headers.getSetCookie() });
  return res.end();
}

// ── HTTP ──

createServer({ keepAliveTimeout: 120_000 }, (req, res) => {
  console.log(req.method, req.url);
  delete req.headers['sec-fetch-mode']; // Node's `fetch` sends `cors`, but better-auth redirects only navigations
  if (req.url === '/admin/hits') return res.end('{}');
  const [path, query] = req.url.split('?', 2);
  const page = PAGES[path];
  if (!page) return answer(req, res);
  return show(page, query, req, res).catch((error) => {
    console.error(error);
    res.writeHead(500).end();
  });
}).listen(Number(args.port), '127.0.0.1', () => console.log(`issuer ${origin}/api/auth`));
