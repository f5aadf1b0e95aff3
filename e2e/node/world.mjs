// A world: one issuer and one protected server, each a process on its own port, and what a test can do with them.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const repository = fileURLToPath(new URL('../..', import.meta.url));
export const examples = process.env.E2E_EXAMPLES; // where our examples are built; see the script `run`
if (!examples) throw new Error('E2E_EXAMPLES is not set: start this by e2e/run');

/** A folder for files that outlive a process but not the run. */
export const scratch = mkdtempSync(join(tmpdir(), 'mcp-auth-e2e-'));

/** The issuers: a command and its options, the issuer's path, and the endpoints below it that the raw requests need. */
const ISSUERS = {
  'oidc-provider': {
    command: [process.execPath, `${here}issuer.mjs`],
    takes: ['port', 'resource', 'alg', 'path', 'keys', 'format', 'ttl'],
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
};

/** The protected servers: a shell command, and the scopes that every request requires. */
const SERVERS = {
  whoami: { command: process.env.E2E_SERVER_CMD ?? `exec '${examples}/whoami'`, scopes: 'read' },
  notes: { command: `exec '${examples}/notes'`, scopes: 'notes:read' },
  bound_tokens: { command: `exec '${examples}/bound_tokens'`, scopes: 'read' },
  opaque: { command: `exec '${examples}/opaque'`, scopes: 'read' },
  slow: { command: `exec '${examples}/slow_server'`, scopes: 'read' },
};

/**
 * A world with an issuer of this `make`, started with those of the options `told` that it knows, and with the server `server`,
 * started with the variables of `environment`. `sessions` says whether older clients get a session. `byName` tells the server
 * the issuer's provider. Nothing runs yet: see `startIssuer` and `startServer`.
 */
export async function newWorld({ make = 'oidc-provider', server = 'whoami', sessions = true, byName = false, environment, ...told }) {
  const { command: issuerCommand, takes, token, revocation, provider, path = told.path ?? '' } = ISSUERS[make];
  const { command, scopes } = SERVERS[server];
  const port = await freePort();
  const issuerOrigin = `http://127.0.0.1:${port}`;
  const serverPort = await freePort();
  const origin = `http://127.0.0.1:${serverPort}`;
  const resource = `${origin}/mcp`;
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
    metadataUrl: `${origin}/.well-known/oauth-protected-resource/mcp`,
    processes: {},

    async startIssuer() {
      const known = { port, resource, database: join(scratch, `${port}.sqlite3`), ...told };
      const flags = takes.filter((name) => name in known).flatMap((name) => [`--${name}`, String(known[name])]);
      const [program, ...args] = issuerCommand;
      const child = start(program, [...args, ...flags]);
      this.processes.issuer = child;
      await until('the issuer answers', () => running(child, 'issuer') && answers(`${issuerOrigin}/admin/hits`));
    },

    async startServer() {
      const env = { PORT: String(serverPort), RESOURCE: resource, ISSUER: issuer, REQUIRED_SCOPES: scopes, SESSIONS: String(sessions) };
      const named = byName ? { PROVIDER: provider, PROVIDER_URL: issuerOrigin } : {};
      const child = start('sh', ['-c', command], { cwd: repository, env: { ...process.env, ...env, ...named, ...environment } });
      this.processes.server = child;
      await until('the server answers', () => running(child, 'server') && answers(this.metadataUrl));
    },

    /** An access token from the issuer, by client_credentials. */
    async token({ client, scope = 'read', target = resource } = {}) {
      const response = await ask(token, { grant_type: 'client_credentials', scope, resource: target }, client);
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

/** Runs a command to its end and returns what it prints. */
export async function output(command, args, env = {}, seconds = 30) {
  const child = start(command, args, { env: { ...process.env, ...env } });
  const deadline = setTimeout(() => stop(child), seconds * 1000);
  await child.ended;
  clearTimeout(deadline);
  if (child.exitCode !== 0) throw new Error(`${command} ${args.join(' ')} failed:\n${child.log()}`);
  return child.printed();
}

/** Repeats `ask` until it returns true. Fails after 20 seconds by default. */
export async function until(what, ask, milliseconds = 20_000) {
  const deadline = Date.now() + milliseconds;
  while (!(await ask())) {
    if (Date.now() > deadline) throw new Error(`waited ${milliseconds / 1000} s in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

// ── processes ──

const children = new Set();

export function start(command, args, options = {}) {
  // `detached` gives it its own process group, so that nothing it starts can outlive it.
  const child = spawn(command, args, { ...options, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  let log = '';
  child.stdout.on('data', (data) => { printed += data; log += data; });
  child.stderr.on('data', (data) => { log += data; });
  child.printed = () => printed;
  child.log = () => log;
  child.ended = new Promise((resolve) => {
    child.once('error', (error) => { log += error; resolve(); });
    child.once('close', () => { children.delete(child); resolve(); });
  });
  children.add(child);
  return child;
}

export async function stop(child) {
  kill(child);
  await child.ended;
}

function kill(child) {
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has already ended.
  }
}

process.on('exit', () => {
  children.forEach(kill);
  rmSync(scratch, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(130));

function running(child, name) {
  if (child.exitCode === null && child.signalCode === null) return true;
  throw new Error(`the ${name} ended before it answered`);
}

const answers = (url) => fetch(url, { signal: AbortSignal.timeout(2_000) }).then((response) => response.ok, () => false);

export function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer().on('error', reject).listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}
