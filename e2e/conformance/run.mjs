// Runs the official conformance suite against one server: bare, behind MCP Auth's layer, and behind the gateway.
//
//   node run.mjs [REVISION...]     default: 2025-11-25 and 2026-07-28
//
// The same checks must pass and fail in each run. The suite cannot send a token, so a small proxy adds one. All runs
// use the proxy, so that the protection is the only difference.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { node22 } from '../node/node22.mjs'; // the suite needs it

const here = fileURLToPath(new URL('.', import.meta.url));
const suite = join(here, 'node_modules/@modelcontextprotocol/conformance/dist/index.js');
const server = join(process.env.E2E_EXAMPLES ?? '', 'conformance_server');
const gateway = join(process.env.E2E_EXAMPLES ?? '', '../mcp-auth');
const scratch = mkdtempSync(join(tmpdir(), 'mcp-auth-conformance-'));

const children = new Set();
process.on('exit', () => {
  children.forEach((child) => child.kill('SIGKILL'));
  rmSync(scratch, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(130));

function start(program, args, env = {}) {
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  child.printed = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => { child.printed += data; });
  child.ended = new Promise((resolve, reject) => { child.once('error', reject); child.once('close', resolve); });
  children.add(child);
  return child;
}

/** Listens on a free port, and forwards everything unchanged, with a token, to the port that `next` returns. */
async function proxy(token, next) {
  const listener = createServer((from, to) => {
    const headers = [...from.rawHeaders, 'Authorization', `Bearer ${token}`];
    const port = next();
    const onward = request({ host: '127.0.0.1', port, path: from.url, method: from.method, headers, setHost: false }, (answer) => {
      to.writeHead(answer.statusCode, answer.rawHeaders);
      to.flushHeaders();
      answer.pipe(to);
    });
    onward.setNoDelay(true);
    onward.on('error', () => to.destroy());
    to.on('close', () => onward.destroy());
    from.pipe(onward);
  });
  await new Promise((resolve) => { listener.listen(0, '127.0.0.1', resolve); });
  return listener;
}

const freePort = async () => {
  const probe = createServer();
  await new Promise((resolve) => { probe.listen(0, '127.0.0.1', resolve); });
  const { port } = probe.address();
  await new Promise((resolve) => { probe.close(resolve); });
  return port;
};

/** The rules of server.rs, for the gateway. */
const RULES = {
  tools: { '*': ['tools'] },
  prompts: { 'test_*': ['prompts'], '*': [] },
  resources: { 'test://static-*': ['resources'], 'test://template/{id}/data': ['resources'], '*': [] },
  methods: { 'tasks/*': ['tools'], '*/list': ['lists'], 'completion/complete': ['prompts'] },
  filter_lists: true,
  allowed_origins: ['http://localhost:*', 'http://127.0.0.1:*'],
};
const KEY = 'mcpk_of_the_conformance_suite';

/** Starts the gateway for this URL. Its caller has an API key, since nobody logs in here. */
async function startGateway(url, upstream) {
  const port = await freePort();
  const [file, keys] = [join(scratch, `${port}.json`), join(scratch, `${port}-keys.json`)];
  const sha256 = createHash('sha256').update(KEY).digest('hex');
  writeFileSync(keys, JSON.stringify({ keys: [{ name: 'suite', sha256, scopes: ['tools', 'prompts', 'resources', 'lists'] }] }));
  const issuers = { nobody: { url: 'http://127.0.0.1:1' } };
  writeFileSync(file, JSON.stringify({ listen: `127.0.0.1:${port}`, issuers, resources: [{ url, upstream, api_keys_file: keys, ...RULES }] }));
  const served = start(gateway, ['serve', file]);
  await until(() => served.printed.includes('listening'));
  return [served, port];
}

const [BARE, LAYER, GATEWAY] = ['bare', 'the layer', 'the gateway'];

/** The results of the suite: a line for each check of each scenario. */
async function run(revision, protection) {
  const serverPort = await freePort();
  const served = [start(server, [], { PORT: serverPort, PROTECTED: protection === LAYER })];
  await until(() => served[0].printed.includes('/mcp'));
  let port = serverPort;
  const listener = await proxy(protection === GATEWAY ? KEY : 'conformance', () => port);
  const url = `http://localhost:${listener.address().port}/mcp`;
  if (protection === GATEWAY) {
    const [child, itsPort] = await startGateway(url, `http://127.0.0.1:${serverPort}/mcp`);
    served.push(child);
    port = itsPort;
  }
  const headers = { Host: new URL(url).host };
  const withoutToken = await new Promise((resolve) => { request({ port, path: '/mcp', headers }, resolve).end(); });
  withoutToken.destroy();
  const isProtected = protection !== BARE;
  if ((withoutToken.statusCode === 401) !== isProtected) throw new Error(`${protection} answers ${withoutToken.statusCode} without a token`);
  const results = join(scratch, `${revision}-${protection}`);
  const judge = start(node22, [suite, 'server', '--url', url, '--requirements', revision, '--output-dir', results]);
  await judge.ended;
  listener.closeAllConnections();
  listener.close();
  served.forEach((child) => child.kill());
  if (!existsSync(results)) throw new Error(`the suite did not run:\n${judge.printed}\n${served.map(({ printed }) => printed).join('\n')}`);
  return found(results);
}

function found(results) {
  const lines = [];
  for (const file of readdirSync(results, { recursive: true }).filter((name) => name.endsWith('checks.json'))) {
    const scenario = file.split('/').at(-2).replace(/^server-/, '').replace(/-\d{4}-\d\d-\d\dT.*$/, '');
    for (const { id, status, errorMessage } of JSON.parse(readFileSync(join(results, file), 'utf8'))) {
      lines.push({ check: `${scenario} ${id}`, status, why: errorMessage });
    }
  }
  return lines.sort((a, b) => (a.check < b.check ? -1 : a.check > b.check ? 1 : 0));
}

async function until(is) {
  for (const deadline = Date.now() + 20_000; !is(); await new Promise((resolve) => setTimeout(resolve, 50))) {
    if (Date.now() > deadline) throw new Error('the server does not start');
  }
}

const count = (lines) => {
  const of = (status) => lines.filter((line) => line.status === status).length;
  return `${of('SUCCESS')} passed, ${of('FAILURE')} failed, of ${lines.length}`;
};

/** The lines of `some` that are not in `others`. Duplicates count. */
function missing(some, others) {
  const left = others.map(({ check, status }) => `${status} ${check}`);
  return some.filter(({ check, status }) => {
    const twin = left.indexOf(`${status} ${check}`);
    if (twin >= 0) left.splice(twin, 1);
    return twin < 0;
  });
}

const revisions = process.argv.length > 2 ? process.argv.slice(2) : ['2025-11-25', '2026-07-28'];
let differences = 0;

for (const revision of revisions) {
  const bare = await run(revision, BARE);
  console.log(`bare: ${count(bare)}`);
  const failing = new Set(bare.filter(({ status }) => status === 'FAILURE').map(({ check }) => check.split(' ')[0]));
  if (failing.size > 0) console.log(`the server itself fails in: ${[...failing].join(', ')}`);
  for (const protection of [LAYER, GATEWAY]) {
    const guarded = await run(revision, protection);
    console.log(`behind ${protection}: ${count(guarded)}`);
    for (const [name, lines] of [['only bare', missing(bare, guarded)], [`only behind ${protection}`, missing(guarded, bare)]]) {
      for (const { check, status, why } of lines) console.log(`DIFFERENCE, ${name}: ${status} ${check}${why ? `: ${why}` : ''}`);
      differences += lines.length;
    }
  }
  if (!bare.some(({ status }) => status === 'SUCCESS')) throw new Error(`nothing passed: is the server one for this suite?`);
}
console.log(differences === 0 ? 'no difference' : `${differences} differences`);
process.exit(differences === 0 ? 0 : 1);
