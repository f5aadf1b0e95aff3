// The page of the gateway's operator in a browser, and `mcp-auth serve --demo`, in front of open_notes.mjs.
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, output, scratch, start, stop, until } from './processes.mjs';
import { gateway } from './world.mjs';

const UPSTREAM = fileURLToPath(new URL('open_notes.mjs', import.meta.url));
const ATTACK = '<script>document.title = "attacked"</script>';

/** The rows of the table in run.mjs. */
export const statusPage = [
  ['the gateway, tried with its development issuer: its page in a browser shows a refusal and runs nothing of a client', { asleep: true, needs: 'chromium' }, shows],
];

async function shows() {
  const port = await freePort();
  const children = [start(process.execPath, [UPSTREAM, 'v2', String(port)])];
  try {
    const upstream = `http://127.0.0.1:${port}/mcp`;
    const demo = start(gateway, ['serve', '--demo', '--listen=127.0.0.1:0', '--admin=127.0.0.1:0', '--scopes=notes:read', `--upstream=${upstream}`]);
    children.push(demo);
    await until('the gateway says how to call', () => demo.printed().includes('clientInfo'));
    const after = (text) => demo.printed().split(text)[1].match(/^[^\s']+/)[0];
    const [resource, page, token] = [`http://${after('listening at ')}/mcp`, after('for its operator: '), after('Authorization: Bearer ')];

    const call = async (credentials) => {
      const headers = { 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream', 'User-Agent': ATTACK, ...credentials };
      const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'e2e', version: '1' } };
      const response = await fetch(resource, { method: 'POST', headers, body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params }) });
      await response.text();
      return response.status;
    };
    await until('the server answers', async () => (await call({ Authorization: `Bearer ${token}` })) === 200);
    deepStrictEqual([await call({}), await call({ Authorization: `Bearer ${token}x` })], [401, 401]);

    const profile = mkdtempSync(join(scratch, 'chromium-'));
    const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-sync', `--user-data-dir=${profile}`];
    const dom = await output(process.env.E2E_CHROMIUM ?? 'chromium', [...flags, '--dump-dom', page], {}, 60);
    ok(dom.includes('<title>MCP Auth gateway</title>'), dom);
    strictEqual(dom.includes('<script'), false);
    for (const text of ['&lt;script&gt;', 'encoding', 'can be verified', `127.0.0.1:${port}`, '<rect class="admitted"']) ok(dom.includes(text), `${text}\n${dom}`);
    ok(!dom.includes(token), 'no token');
  } finally {
    await Promise.all(children.map(stop));
  }
}
