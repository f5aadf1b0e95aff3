// Scenarios with sender-constrained tokens: bound to a key (DPoP, RFC 9449) or to a TLS certificate (RFC 8705).
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate, createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DpopSession } from '@modelcontextprotocol/client';
import { freePort, output } from './processes.mjs';

const server = 'bound_tokens';

const DPOP = { server };
const NONCES = { server, environment: { NONCES: '1' } };
const MTLS = { server, environment: { PROXY: '127.0.0.1' } };

/** The client has a key of its own, to which the issuer binds its token. */
export async function signsInWithProof(world, client) {
  const [program, ...args] = client.command;
  const { whoami, thumbprint, tokenType } = JSON.parse(await output(program, [...args, world.resource, 'dpop']));
  strictEqual(tokenType, 'DPoP');
  strictEqual(whoami.subject, world.realm?.alice ?? 'alice');
  strictEqual(whoami.key, thumbprint);
}

/** The rows of the table in run.mjs. */
export function bound({ client, refuses, accepts }) {
  const signsIn = (world) => signsInWithProof(world, client);

  async function offered(world) {
    const challenge = (await world.post()).headers.get('www-authenticate');
    match(challenge, /^Bearer scope="read", resource_metadata="[^"]+", DPoP algs="ES256 [^"]+"$/);
    const document = await (await fetch(world.metadataUrl)).json();
    ok(document.dpop_signing_alg_values_supported.includes('ES256'));
  }

  async function stolen(world) {
    const session = await DpopSession.create();
    const token = await dpopToken(world, session);
    await refuses(world, token); // as a bearer token
    const thief = await DpopSession.create();
    strictEqual(await post(world, token, await proof(world, thief, token)), '401 invalid_dpop_proof');

    const once = await proof(world, session, token);
    strictEqual(await post(world, token, once), '200');
    strictEqual(await post(world, token, once), '401 invalid_dpop_proof');
    const other = await session.buildProof({ htm: 'POST', htu: 'http://other.example/mcp', accessToken: token });
    strictEqual(await post(world, token, other), '401 invalid_dpop_proof');
    await accepts(world, await world.token()); // bearer tokens are still accepted
  }

  async function withoutNonce(world) {
    const session = await DpopSession.create();
    const token = await dpopToken(world, session);
    strictEqual(await post(world, token, await proof(world, session, token)), '401 use_dpop_nonce');
  }

  async function certified(world) {
    const [owner, thief] = [newCertificate('owner'), newCertificate('thief')];
    const issuer = await endTls(world.issuer);
    const resource = await endTls(world.resource);
    try {
      const form = new URLSearchParams({ grant_type: 'client_credentials', scope: 'read', resource: world.resource });
      const asked = await send(`${issuer.url}/token`, owner, {
        Authorization: `Basic ${Buffer.from('certified:secret').toString('base64')}`,
        'Content-Type': 'application/x-www-form-urlencoded',
      }, form.toString());
      const { access_token: token } = JSON.parse(asked.body);
      const der = new X509Certificate(owner.cert).raw;
      const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
      deepStrictEqual(claims.cnf, { 'x5t#S256': createHash('sha256').update(der).digest('base64url') });

      const call = async (certificate) => (await send(resource.url, certificate, { ...json, Authorization: `Bearer ${token}` }, initialize)).status;
      strictEqual(await call(owner), 200);
      strictEqual(await call(thief), 401);
      strictEqual(await call({}), 401);
      await refuses(world, token); // without TLS and without the proxy's header
    } finally {
      issuer.close();
      resource.close();
    }
  }

  return [
    ['DPoP: TypeScript v2 signs in and calls a tool', DPOP, signsIn],
    ['DPoP with nonces: TypeScript v2 signs in and calls a tool', NONCES, signsIn],
    ['DPoP: offered after Bearer, and in the metadata', DPOP, offered],
    ['DPoP: a stolen token, a stolen proof: 401', DPOP, stolen],
    ['DPoP with nonces: a proof without one: 401 use_dpop_nonce', NONCES, withoutNonce],
    ['mTLS: a token is for the certificate it was issued to', MTLS, certified],
  ];
}

// ── DPoP ──

/** A token of the client `machine` that is bound to the key of this session. */
async function dpopToken(world, session) {
  const url = `${world.issuer}/token`;
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      Authorization: `Basic ${Buffer.from('machine:secret').toString('base64')}`,
      DPoP: await session.buildProof({ htm: 'POST', htu: url }),
    },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'read', resource: world.resource }),
    signal: AbortSignal.timeout(10_000),
  });
  const body = await response.json();
  strictEqual(body.token_type, 'DPoP', JSON.stringify(body));
  return body.access_token;
}

const proof = (world, session, accessToken) => session.buildProof({ htm: 'POST', htu: world.resource, accessToken });

const json = { 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream' };
const initialize = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'e2e', version: '1.0.0' } },
});

/** The status, and the error of the DPoP challenge if there is one. */
async function post(world, token, dpop) {
  const response = await fetch(world.resource, {
    method: 'POST',
    headers: { ...json, Authorization: `DPoP ${token}`, DPoP: dpop },
    body: initialize,
    signal: AbortSignal.timeout(10_000),
  });
  await response.body?.cancel();
  const error = response.headers.get('www-authenticate')?.match(/DPoP error="([^"]+)"/)?.[1];
  return [response.status, error].filter(Boolean).join(' ');
}

// ── mTLS ──

/** A self-signed certificate and its key, in PEM. */
function newCertificate(name) {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-auth-e2e-'));
  const [key, cert] = ['key.pem', 'cert.pem'].map((file) => join(folder, file));
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1', '-subj', `/CN=${name}`, '-keyout', key, '-out', cert], { stdio: 'ignore' });
  const pair = { key: readFileSync(key), cert: readFileSync(cert) };
  rmSync(folder, { recursive: true });
  return pair;
}

/** A proxy in front of a URL that terminates TLS and sends the client certificate as in RFC 9440. */
async function endTls(target) {
  const { hostname, port: behind, pathname } = new URL(target);
  const proxy = https.createServer({ ...newCertificate('proxy'), requestCert: true, rejectUnauthorized: false }, (req, res) => {
    const { 'client-cert': _, ...headers } = req.headers; // a header that the client itself sent is dropped
    const certificate = req.socket.getPeerCertificate();
    if (certificate.raw) headers['client-cert'] = `:${certificate.raw.toString('base64')}:`;
    headers.host = `${hostname}:${behind}`;
    req.pipe(http.request({ hostname, port: behind, path: req.url, method: req.method, headers }, (answer) => {
      res.writeHead(answer.statusCode, answer.headers);
      answer.pipe(res);
    }));
  });
  const port = await freePort();
  await new Promise((resolve) => { proxy.listen(port, '127.0.0.1', resolve); });
  return { url: `https://127.0.0.1:${port}${pathname.replace(/\/$/, '')}`, close: () => proxy.close() };
}

/** A POST with or without a client certificate. */
function send(url, certificate, headers, body) {
  return new Promise((resolve, reject) => {
    const options = { ...certificate, method: 'POST', headers, rejectUnauthorized: false, agent: false, timeout: 10_000 };
    const request = https.request(url, options, (response) => {
      let text = '';
      response.on('data', (data) => {
        text += data;
        if (response.headers['content-type']?.startsWith('text/event-stream')) response.destroy();
      });
      response.on('close', () => resolve({ status: response.statusCode, body: text }));
    });
    request.on('error', reject);
    request.end(body);
  });
}
