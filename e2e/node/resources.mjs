// Names of resources that two programs read differently: MCP Auth as a proxy in front of servers in Python (see proxy/server.rs and
// python/resources.py). A caller with the scope `read` asks for the secrets in every spelling.
import { ok, strictEqual } from 'node:assert/strict';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, start, stop, until } from './processes.mjs';
import { examples } from './world.mjs';

const inE2e = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const python = (venv, library) => [inE2e(`${venv}/bin/python`), inE2e('python/resources.py'), library];

const NO_WORLD = { asleep: true, together: true }; // a scenario starts its own processes

export const resources = () => [
  ['no spelling of a secret resource is read by another rule: Python SDK', NO_WORLD, () => readsOneWay(python('.venv', 'sdk'))],
  ['no spelling of a secret resource is read by another rule: FastMCP 4', NO_WORLD, () => readsOneWay(python('.venv', 'fastmcp'))],
  ['no spelling of a secret resource is read by another rule: FastMCP 2.14', NO_WORLD, () => readsOneWay(python('.venv-fastmcp2', 'fastmcp'))],
];

// ── the spellings ──

const PUBLIC = ['notes://alice/public', 'files://docs/readme'];
const SECRETS = ['notes://alice/private', 'files://docs/secret/keys', 'vault://admin/keys', 'vault://admin/%7Bkeys%7D'];

const percent = (text) => [...new TextEncoder().encode(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');

/** Characters that follow a URI, or stand in its middle. Many readers drop, cut at, or decode them. */
const NOISE = [
  ...['?', '?x', '?x=1', '#', '#x', '?#', ';x=1', ',', '.', '..', ':1', '@', '+'],
  ...['/', '//', '/.', '/./', '/..', '/x/..', '\\', '/%2e', '/x/%2e%2e'],
  ...['%', '%zz', '%00', '%0a', '%20', '%23x', '%3fx', '%2F', '%5c', '%25', '%c0%af'],
  ...[' ', '\t', '\n', '\r\n', '\0', '\x1f', '\x7f', '\xa0', '\xad', '\u200b', '\u2060', '\ufeff', '\u0301'],
  ...['{', '{x}', '{?x}', '%7B%7D'],
];

/** Other characters that some normalization makes equal to an ASCII character. */
const ALIKE = { a: '\uff41', e: '\u0435', s: '\u017f', k: '\u212a', i: '\u0131', '/': '\uff0f', '.': '\uff0e', ':': '\uff1a' };

function spellings(uri) {
  const [, scheme, host, path] = uri.match(/^(\w+):\/\/([^/]+)\/(.*)$/);
  const last = path.slice(path.lastIndexOf('/') + 1);
  const cut = uri.length - last.length;
  const [before, after] = [uri.slice(0, cut), uri.slice(cut)];
  const found = new Set();
  const add = (...spelled) => spelled.forEach((one) => found.add(one));

  for (const noise of uri.includes('%') ? [] : NOISE) {
    add(uri + noise, noise + uri); // around it
    add(`${before}${noise}${after}`, `${uri.slice(0, -1)}${noise}${uri.slice(-1)}`); // in it
    add(`${scheme}://${noise}${host}/${path}`, `${scheme}://${host}/${noise}/${path}`, `${scheme}://${host}${noise}${path}`);
    add(`${uri}${noise}/public`, `${scheme}://${host}/readme${noise}/../${path}`); // with a public name
  }
  for (let at = 0; at < uri.length; at += 1) {
    const character = uri[at];
    const spelled = [percent(character), `%25${percent(character).slice(1)}`, ALIKE[character] ?? character.toUpperCase()];
    for (const other of spelled) add(uri.slice(0, at) + other + uri.slice(at + 1));
  }
  add(before + percent(after), before + after.toUpperCase(), uri.toUpperCase(), `${scheme.toUpperCase()}://${host}/${path}`);
  add(`${scheme}://${percent(host)}/${path}`, `${scheme}://${host.toUpperCase()}/${path}`, `${scheme}://${host}./${path}`);
  for (const user of ['@', 'user@', 'user:pw@', ':@', '%40']) add(`${scheme}://${user}${host}/${path}`);
  for (const port of [':', ':0', ':1', ':80', ':443', ':00080', ':x']) add(`${scheme}://${host}${port}/${path}`);
  add(`${scheme}:${host}/${path}`, `${scheme}:/${host}/${path}`, `${scheme}:///${host}/${path}`, `${scheme}:////${host}/${path}`, `//${host}/${path}`, `/${path}`, path);
  add(`${scheme}:\\\\${host}\\${path}`, `${scheme}://${host}\\${path}`, `<${uri}>`, `"${uri}"`, `URL:${uri}`, `[${uri}]`);
  add(`${scheme}://${host}/x/../${path}`, `${scheme}://${host}/./${path}`, `${scheme}://${host}//${path}`, `${scheme}://x/../${host}/${path}`, `${scheme}://../${host}/${path}`);
  add(`${scheme}://${host}/x/%2e%2e/${path}`, `${scheme}://${host}/%2e/${path}`, `${scheme}://${host}/x/.%2e/${path}`, `${scheme}://${host}/x%2f..%2f${path}`, `${scheme}://${host}/.%2f${path}`);
  add(uri.replaceAll('/', '%2F'), path.replaceAll('/', '%2f').replace(/^/, `${scheme}://${host}/`), `${scheme}://${host}%2f${path}`);
  add(uri.replaceAll('%7B', '{').replaceAll('%7D', '}'), uri.replaceAll('%7B', '%7b').replaceAll('%7D', '%7d'), uri.replaceAll('%7B', '{'));
  add(`${scheme}://{owner}/${path}`, `${scheme}://%7Bowner%7D/${path}`, `${scheme}://{${host}}/${path}`, uri.normalize('NFD'));
  found.delete(uri);
  return found;
}

// ── the proof ──

/** Reads a resource. Returns the status and the text of the answer. */
async function read(url, token, uri) {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      Accept: 'application/json, text/event-stream',
      'Content-Type': 'application/json',
      'MCP-Protocol-Version': '2025-06-18',
      ...(token && { Authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'resources/read', params: { uri } }),
    signal: AbortSignal.timeout(30_000),
  });
  return { status: response.status, text: await response.text() };
}

const isSecret = ({ text }) => text.includes('SECRET');

async function readsOneWay([program, ...args]) {
  const [port, upstreamPort] = [await freePort(), await freePort()];
  const upstream = `http://127.0.0.1:${upstreamPort}/mcp`;
  const proxied = `http://127.0.0.1:${port}/mcp`;
  const servers = [start(program, [...args, String(upstreamPort)]), start(join(examples, 'proxy'), [], { env: { ...process.env, PORT: String(port), UPSTREAM: upstream } })];
  try {
    await until('the server and the proxy answer', async () => (await read(proxied, 'read', PUBLIC[0]).catch(() => ({}))).status === 200, 60_000);
    return await compare(upstream, proxied);
  } catch (error) {
    error.message += `\n${servers.map((server) => server.log().split('\n').slice(-15).join('\n')).join('\n')}`;
    throw error;
  } finally {
    await Promise.all(servers.map(stop));
  }
}

async function compare(upstream, proxied) {
  for (const uri of PUBLIC) {
    const answer = await read(proxied, 'read', uri);
    strictEqual(answer.status, 200, `${uri}: ${answer.text}`);
    ok(answer.text.includes('read') && !isSecret(answer), answer.text);
  }
  for (const uri of SECRETS) {
    strictEqual((await read(proxied, 'read', uri)).status, 403, uri);
    ok(isSecret(await read(proxied, 'admin', uri)), `${uri} with the scope admin`);
  }

  const teeth = [];
  const leaks = [];
  const hostile = SECRETS.flatMap((uri) => [...spellings(uri)]).filter((uri) => !SECRETS.includes(uri));
  const work = hostile.values();
  const worker = async () => {
    for (const uri of work) {
      if (!isSecret(await read(upstream, null, uri))) continue; // the layer cannot reveal what the server does not say
      teeth.push(uri);
      if (isSecret(await read(proxied, 'read', uri))) leaks.push(uri);
    }
  };
  await Promise.all(Array.from({ length: 4 }, worker));
  const list = (uris) => uris.map((uri) => `\n  ${JSON.stringify(uri)}`).join('');
  ok(teeth.length > 0, 'the server knows its secrets by other names');
  strictEqual(leaks.length, 0, `${leaks.length} of ${teeth.length} spellings that the server understands are let through:${list(leaks)}`);
  const few = teeth.filter((_, at) => at % Math.ceil(teeth.length / 20) === 0);
  return `${hostile.length} spellings; the server itself reads a secret by ${teeth.length} of them, such as${list(few)}`;
}
