// Codex CLI as a client, without a model: `codex app-server` logs in and calls tools when it is asked to, by JSON-RPC over stdio.
//
//   node codex_client.mjs http://127.0.0.1:3000/mcp [SCOPE...]    logs in, for these scopes or for those that Codex selects, and calls two
//                                                                 tools of the notes: prints {"tools", "scopes", "listed", "added"}
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { approve } from './approve.mjs';

const [url, ...scopes] = process.argv.slice(2);
const home = mkdtempSync(join(tmpdir(), 'codex-'));
process.on('exit', () => rmSync(home, { recursive: true, force: true }));
// There is no model, and nothing is asked of the network.
writeFileSync(join(home, 'config.toml'), `
mcp_oauth_credentials_store = "file"
check_for_update_on_startup = false
model_provider = "nobody"
analytics = { enabled = false }

[model_providers.nobody]
name = "nobody"
base_url = "http://127.0.0.1:9/v1"

[mcp_servers.notes]
url = "${url}"
`);

const codex = spawn(process.env.E2E_CODEX, ['app-server'], {
  env: { ...process.env, CODEX_HOME: home, HOME: home },
  cwd: home,
  stdio: ['pipe', 'pipe', 'inherit'],
});
const waiting = new Map(); // by the id of a request, or the method of a notification
createInterface({ input: codex.stdout }).on('line', (line) => {
  const message = JSON.parse(line);
  waiting.get(message.id ?? message.method)?.(message);
});
const next = (key) => new Promise((resolve) => { waiting.set(key, resolve); });

let id = 0;
async function request(method, params) {
  id += 1;
  codex.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`);
  return next(id);
}
async function result(method, params) {
  const { result, error } = await request(method, params);
  if (error) throw new Error(`${method}: ${JSON.stringify(error)}`);
  return result;
}

async function login() {
  const completed = next('mcpServer/oauthLogin/completed');
  const { authorizationUrl } = await result('mcpServer/oauth/login', { name: 'notes', ...(scopes.length > 0 && { scopes }) });
  const asked = new URL(authorizationUrl).searchParams;
  const redirect = asked.get('redirect_uri');
  const callback = await approve(authorizationUrl, redirect);
  await fetch(`${redirect}?${callback}`, { signal: AbortSignal.timeout(10_000) });
  const { params } = await completed;
  if (!params.success) throw new Error(JSON.stringify(params));
  return asked.get('scope').split(' ');
}

await result('initialize', { clientInfo: { name: 'e2e', version: '1.0.0' } });
const asked = await login();
const { data } = await result('mcpServerStatus/list', {});
const { thread } = await result('thread/start', { cwd: home });
/** What a tool answers, or the error that the user gets to read. */
async function call(tool, args) {
  const { result, error } = await request('mcpServer/tool/call', { threadId: thread.id, server: 'notes', tool, arguments: args });
  return error ? { error: error.message } : { text: result.content[0].text, isError: result.isError ?? false };
}
const tools = Object.keys(data.find(({ name }) => name === 'notes').tools);
const listed = await call('list_notes', {});
const added = await call('add_note', { text: 'buy milk' });
console.log(JSON.stringify({ tools, scopes: asked, listed, added }));
codex.kill();
process.exit(0);
