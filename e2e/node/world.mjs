// A world: one issuer and one protected server, each a process on its own port, and what a test can do with them.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startFront } from './fronts.mjs';
import { keycloak } from './keycloak_issuer.mjs';
import { answers, freePort, listens, running, scratch, start, until } from './processes.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const repository = fileURLToPath(new URL('../..', import.meta.url));
export const examples = process.env.E2E_EXAMPLES; // where our examples are built; see the script `run`
export const gateway = join(examples ?? '', '../mcp-auth');
if (!examples) throw new Error('E2E_EXAMPLES is not set: start this by e2e/run');

/** The issuers: a command and its options, the issuer's path, and the endpoints below it that the raw requests need. */
const ISSUERS = {
  'oidc-provider': {
    command: [process.execPath, `${here}issuer.mjs`],
    takes: ['port', 'resource', 'alg', 'path', 'keys', 'format', 'ttl', 'limited'],
    token: '/token',
    revocation: '/token/revocation',
  },
  django: {
    command: [`${here}../.venv/bin/python`, `${here}../python/django_issuer.py`],
    takes: ['port', 'database', 'answers'],
    path: '/o',
    token: '/token/',
    revocation: '/revoke_token/',
  },
  'better-auth': {
    command: [process.execPath, `${here}better_auth_issuer.mjs`],
    takes: ['port', 'resource'],
    path: '/api/auth',
    provider: 'better_auth',
  },
  spring: {
    command: [`${process.env.E2E_JAVA_HOME}/bin/java`, '-XX:TieredStopAtLevel=1', '-jar', `${here}../spring/target/issuer.jar`, '--server.address=127.0.0.1'],
    takes: ['server.port', 'resource', 'format'],
    health: '/.well-known/oauth-authorization-server',
    token: '/oauth2/token',
    revocation: '/oauth2/revoke',
    provider: 'spring',
  },
  hydra: {
    command: [process.execPath, `${here}hydra_issuer.mjs`],
    takes: ['port', 'admin', 'resource', 'format'],
    prints: 'ready',
    token: '/oauth2/token',
    revocation: '/oauth2/revoke',
    provider: 'ory',
  },
  keycloak: {
    shared: keycloak,
    token: '/protocol/openid-connect/token',
    revocation: '/protocol/openid-connect/revoke',
    provider: 'keycloak',
  },
};

/** Why there are no issuer or proxy of this make on this machine, if there is none: see the script `run`. */
export const skipped = ({ make = '', needs = make }) => process.env[`E2E_SKIP_${needs.toUpperCase()}`];

/** Starts what several worlds share, so that it is there when the first of them needs it. */
export function prepare({ make }) {
  ISSUERS[make]?.shared?.start().catch(() => {}); // whoever needs it sees the error
}

/** The protected servers: a shell command, and the scopes that every request requires. */
const SERVERS = {
  whoami: { command: process.env.E2E_SERVER_CMD ?? `exec '${examples}/whoami'`, scopes: 'read' },
  notes: { command: `exec '${examples}/notes'`, scopes: 'notes:read' },
  bound_tokens: { command: `exec '${examples}/bound_tokens'`, scopes: 'read' },
  opaque: { command: `exec '${examples}/opaque'`, scopes: 'read' },
  first_login: { command: `exec '${examples}/first_login_server'`, scopes: 'read' },
  slow: { command: `exec '${examples}/slow_server'`, scopes: 'read' },
  exchange: { command: `exec '${examples}/exchange_server'`, scopes: 'read' },
  gateway: { command: `exec '${gateway}' serve "$GATEWAY_FILE"`, scopes: 'notes:read' },
};

/**
 * A world with an issuer of this `make`, started with those of the options `told` that it knows, and with the server `server`,
 * started with the variables of `environment`, or of what that returns for the resource and the issuer's admin port. `sessions` says whether older clients get
 * a session. `byName` tells the server the issuer's provider. A gateway has an `upstream`, a command to which its port is added, or a `stdio` server, and `settings` of the resource, or what returns them for its URL; a proxy, `front`, is in front of it, and perhaps `asks` it only. Nothing runs yet: see `startIssuer` and `startServer`.
 */
export async function newWorld({ make = 'oidc-provider', server = 'whoami', sessions = true, byName = false, environment = {}, upstream, stdio, settings, front, asks = false, ...told }) {
  const { command: issuerCommand, takes, health = '/admin/hits', prints, shared, token, revocation, provider, path: fixedPath } = ISSUERS[make];
  const { command, scopes } = SERVERS[server];
  const serverPort = await freePort();
  const gatewayPort = front ? await freePort() : serverPort;
  const origin = `http://127.0.0.1:${serverPort}`;
  const resource = `${origin}/mcp`;
  const realm = `mcp-${serverPort}`; // of an issuer that is shared
  const port = shared ? await shared.port() : await freePort();
  const path = shared ? `/realms/${realm}` : fixedPath ?? told.path ?? '';
  const admin = await freePort(); // for an issuer that has a second port
  const issuerOrigin = `http://127.0.0.1:${port}`;
  const issuer = issuerOrigin + path;

  /** Posts a form to one of the issuer's endpoints, as the client `machine` or as another one with the same secret. */
  const ask = (endpoint, form, client = 'machine') =>
    fetch(issuer + endpoint, {
      method: 'POST',
      headers: { Authorization: `Basic ${Buffer.from(`${client}:secret`).toString('base64')}` },
      body: new URLSearchParams(form),
      signal: AbortSignal.timeout(10_000),
    });

  return {
    issuer,
    resource,
    adminOrigin: `http://127.0.0.1:${admin}`,
    metadataUrl: `${origin}/.well-known/oauth-protected-resource/mcp`,
    processes: {},

    async startIssuer() {
      if (shared) {
        this.processes.issuer = await shared.start();
        this.realm = await shared.newRealm(realm, resource);
        return;
      }
      const known = { port, admin, 'server.port': port, resource, database: join(scratch, `${port}.sqlite3`), ...told };
      const flags = takes.filter((name) => name in known).map((name) => `--${name}=${known[name]}`);
      const [program, ...args] = issuerCommand;
      const child = start(program, [...args, ...flags]);
      this.processes.issuer = child;
      const isUp = () => (prints ? child.printed().includes(prints) : answers(issuerOrigin + health));
      await until('the issuer answers', () => running(child, 'issuer') && isUp(), 60_000); // Java is slow
    },

    /** Starts the server behind a gateway, unless the gateway does, and writes the gateway's file. */
    async startUpstream() {
      const file = join(scratch, `${serverPort}.json`);
      const port = stdio ? undefined : await this.listeningUpstream();
      const passesOn = stdio ? { command: stdio } : { upstream: `http://127.0.0.1:${port}/mcp` };
      if (front) this.processes.front = startFront(front, asks, { port: serverPort, gateway: gatewayPort, upstream: port });
      const own = typeof settings === 'function' ? settings(resource) : settings;
      const behind = { url: resource, scopes: [scopes], ...(!asks && passesOn), ...own };
      writeFileSync(file, JSON.stringify({ listen: `127.0.0.1:${gatewayPort}`, issuers: { login: { url: issuer } }, resources: [behind] }));
      return { GATEWAY_FILE: file };
    },

    async listeningUpstream() {
      const [program, ...args] = upstream;
      const port = await freePort();
      const child = start(program, [...args, String(port)]);
      this.processes.upstream = child;
      await until('the upstream answers', () => running(child, 'upstream') && listens(`http://127.0.0.1:${port}`));
      return port;
    },

    async startServer() {
      const behind = server === 'gateway' && (await this.startUpstream());
      const env = { ...behind, PORT: String(serverPort), RESOURCE: resource, ISSUER: issuer, REQUIRED_SCOPES: scopes, SESSIONS: String(sessions) };
      const named = byName ? { PROVIDER: provider, PROVIDER_URL: issuerOrigin, PROVIDER_REALM: realm } : {};
      const more = typeof environment === 'function' ? environment(resource, `http://127.0.0.1:${admin}`) : environment;
      const child = start('sh', ['-c', command], { cwd: repository, env: { ...process.env, ...env, ...named, ...more } });
      this.processes.server = child;
      await until('the server answers', () => running(child, 'server') && answers(this.metadataUrl));
    },

    /** An access token from the issuer, by client_credentials. */
    async token({ client, scope = 'read', target = resource } = {}) {
      const form = { grant_type: 'client_credentials', scope, resource: target, audience: target }; // Hydra asks for `audience`
      const response = await ask(token, form, client);
      const body = await response.json();
      if (!response.ok) throw new Error(`the issuer gives no token: ${JSON.stringify(body)}`);
      return body.access_token;
    },

    /** Revokes a token of the client `machine` (RFC 7009). */
    async revoke(revoked) {
      const response = await ask(revocation, { token: revoked });
      if (!response.ok) throw new Error(`the issuer does not revoke: ${response.status}`);
    },

    /** Sends `initialize`, the first request of a session. */
    post(token) {
      const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'e2e', version: '1.0.0' } };
      return this.send(token, { jsonrpc: '2.0', id: 1, method: 'initialize', params });
    },

    /** Sends a message, and returns the head of the response. */
    async send(token, message, headers = {}) {
      const response = await fetch(resource, {
        method: 'POST',
        headers: {
          'Content-Type': 'application/json',
          Accept: 'application/json, text/event-stream',
          ...(token && { Authorization: `Bearer ${token}` }),
          ...headers,
        },
        body: JSON.stringify(message),
        signal: AbortSignal.timeout(10_000),
      });
      await response.body?.cancel();
      return response;
    },

    /** Calls one of the endpoints that control the server `slow`: see slow/server.rs. */
    async control(name, subject) {
      const method = name === 'calls' ? 'GET' : 'POST';
      const response = await fetch(`${origin}/test/${name}?subject=${subject}`, { method, signal: AbortSignal.timeout(10_000) });
      return response.json();
    },

    /** Calls one of the issuer's admin endpoints, or reads `hits`: see issuer.mjs. */
    async admin(name) {
      const response = await fetch(`${issuerOrigin}/admin/${name}`, { method: name === 'hits' ? 'GET' : 'POST' });
      return response.json();
    },
  };
}
