// A real authorization server: Ory Hydra, with a login and consent application, which Hydra leaves to its users.
//
//   node hydra_issuer.mjs --port=4000 --admin=4001 --resource=http://127.0.0.1:3000/mcp [--format=opaque]
//
// Clients register dynamically (RFC 7591). The application signs in whoever types a name, and grants the audience `--resource`, since
// Hydra itself ignores the parameter `resource` (RFC 8707). Opaque tokens are introspected at the port `--admin`, without credentials.
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { freePort } from './processes.mjs';

const { values: args } = parseArgs({
  options: { port: { type: 'string' }, admin: { type: 'string' }, resource: { type: 'string' }, format: { type: 'string', default: 'jwt' } },
});
const issuer = `http://127.0.0.1:${args.port}`;
const admin = `http://127.0.0.1:${args.admin}/admin`;
const port = await freePort();

const hydra = spawn(process.env.E2E_HYDRA, ['serve', 'all', '--dev'], {
  stdio: 'inherit',
  env: {
    ...process.env,
    DSN: 'memory',
    SECRETS_SYSTEM: 'a secret only for tests',
    SERVE_PUBLIC_HOST: '127.0.0.1',
    SERVE_PUBLIC_PORT: args.port,
    SERVE_ADMIN_HOST: '127.0.0.1',
    SERVE_ADMIN_PORT: args.admin,
    URLS_SELF_ISSUER: issuer,
    URLS_LOGIN: `http://127.0.0.1:${port}/login`,
    URLS_CONSENT: `http://127.0.0.1:${port}/consent`,
    STRATEGIES_ACCESS_TOKEN: args.format,
    OIDC_DYNAMIC_CLIENT_REGISTRATION_ENABLED: 'true',
    WEBFINGER_OIDC_DISCOVERY_CLIENT_REGISTRATION_URL: `${issuer}/oauth2/register`, // otherwise the metadata do not name it
    SQA_OPT_OUT: 'true', // sends no statistics
  },
});
hydra.on('exit', (code) => process.exit(code ?? 1));

async function ask(method, path, body) {
  const response = await fetch(`${admin}${path}`, { method, headers: { 'Content-Type': 'application/json' }, body: body && JSON.stringify(body) });
  if (!response.ok) throw new Error(`${response.status} from ${path}: ${await response.text()}`);
  return response.json();
}

/** Accepts a request of Hydra's: the URL to which the user is sent back. */
const accept = async (kind, challenge, answer) =>
  (await ask('PUT', `/oauth2/auth/requests/${kind}/accept?${kind}_challenge=${encodeURIComponent(challenge)}`, answer)).redirect_to;

const FORM = '<form method="post" action=""><input name="user" type="text"><input name="password" type="password"><button>Sign in</button></form>';

const pages = {
  'GET /login': async () => FORM,
  'POST /login': async (url, form) => ({ to: await accept('login', url.searchParams.get('login_challenge'), { subject: form.get('user') }) }),
  'GET /consent': async (url) => {
    const challenge = url.searchParams.get('consent_challenge');
    const asked = await ask('GET', `/oauth2/auth/requests/consent?consent_challenge=${encodeURIComponent(challenge)}`);
    return { to: await accept('consent', challenge, { grant_scope: asked.requested_scope, grant_access_token_audience: [args.resource] }) };
  },
};

createServer(async (req, res) => {
  try {
    const url = new URL(req.url, issuer);
    const body = (await req.toArray()).join('');
    const page = await pages[`${req.method} ${url.pathname}`](url, new URLSearchParams(body));
    if (page.to) res.writeHead(303, { Location: page.to }).end();
    else res.writeHead(200, { 'Content-Type': 'text/html' }).end(page);
  } catch (error) {
    console.error(error);
    res.writeHead(500).end();
  }
}).listen(port, '127.0.0.1');

// A client without a user, which asks for its audience by the parameter `audience`, and a client with one, for clients that do not register.
const machine = {
  client_id: 'machine',
  client_secret: 'secret',
  grant_types: ['client_credentials'],
  scope: 'read',
  audience: [args.resource, 'http://other.example/mcp'],
};
const byHand = {
  client_id: 'notes-app',
  token_endpoint_auth_method: 'none',
  redirect_uris: ['http://127.0.0.1:9/callback'],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  scope: 'openid offline offline_access read',
};
for (let tries = 1; ; tries += 1) {
  try {
    await ask('POST', '/clients', machine);
    await ask('POST', '/clients', byHand);
    break;
  } catch (error) {
    if (tries === 100) throw error;
    await new Promise((resolve) => { setTimeout(resolve, 200); });
  }
}
console.log('ready');
