// Runs the official conformance suite against one server, with and without MCP Auth in front of it.
//
//   node run.mjs [REVISION...]     default: 2025-11-25 and 2026-07-28
//
// The same checks must pass and fail in both runs. The suite cannot send a token, so a small proxy adds one. Both runs
// use the proxy, so that the layer is the only difference.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { node22 } from '../node/node22.mjs'; // the suite needs it

const here = fileURLToPath(new URL('.', import.meta.url));
const suite = join(here, 'node_modules/@modelcontextprotocol/conformance/dist/index.js');
const server = join(process.env.E2E_EXAMPLES ?? '', 'conformance_server');
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

/** Listens on a free port, and forwards everything unchanged, with a token. */
async function proxy(port) {
  const listener = createServer((from, to) => {
    const headers = [...from.rawHeaders, 'Authorization', 'Bearer conformance'];
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

/** The results of the suite: a line for each check of each scenario. */
async function run(revision, isProtected) {
  const port = await freePort();
  const served = start(server, [], { PORT: port, PROTECTED: isProtected });
  await until(() => served.printed.includes('/mcp'));
  const { status } = await fetch(`http://127.0.0.1:${port}/mcp`); // without a token
  if ((status === 401) !== isProtected) throw new Error(`protected is ${isProtected}, and the answer ${status}`);
  const listener = await proxy(port);
  const results = join(scratch, `${revision}-${isProtected}`);
  const url = `http://localhost:${listener.address().port}/mcp`;
  const judge = start(node22, [suite, 'server', '--url', url, '--requirements', revision, '--output-dir', results]);
  await judge.ended;
  listener.closeAllConnections();
  listener.close();
  served.kill();
  if (!existsSync(results)) throw new Error(`the suite did not run:\n${judge.printed}\n${served.printed}`);
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
  const bare = await run(revision, false);
  const guarded = await run(revision, true);
  console.log(`bare: ${count(bare)}; protected: ${count(guarded)}`);
  const failing = new Set(bare.filter(({ status }) => status === 'FAILURE').map(({ check }) => check.split(' ')[0]));
  if (failing.size > 0) console.log(`the server itself fails in: ${[...failing].join(', ')}`);
  for (const [name, lines] of [['only bare', missing(bare, guarded)], ['only protected', missing(guarded, bare)]]) {
    for (const { check, status, why } of lines) console.log(`DIFFERENCE, ${name}: ${status} ${check}${why ? `: ${why}` : ''}`);
    differences += lines.length;
  }
  if (!bare.some(({ status }) => status === 'SUCCESS')) throw new Error(`nothing passed: is the server one for this suite?`);
}
console.log(differences === 0 ? 'no difference' : `${differences} differences`);
process.exit(differences === 0 ? 0 : 1);
