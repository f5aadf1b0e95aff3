// The command line of the MCP Inspector as a client of slow/server.rs, without a user. It makes one call and ends.
//
//   node inspector.mjs http://127.0.0.1:3000/mcp calls    see slow.mjs
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { node22 } from './node22.mjs';
import { freePort, scratch } from './processes.mjs';

const [url] = process.argv.slice(2);

async function call(seconds) {
  const port = await freePort();
  const program = fileURLToPath(new URL('node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js', import.meta.url));
  const era = process.env.PROTOCOL === '2025-11-25' ? 'legacy' : 'modern';
  const args = [
    program, '--cli', url, '--transport', 'http', '--protocol-era', era, '--format', 'json', '--relogin',
    '--callback-url', `http://127.0.0.1:${port}/callback`,
    '--method', 'tools/call', '--tool-name', 'wait', '--tool-arg', `seconds=${seconds}`,
  ];
  const env = { ...process.env, HOME: scratch, MCP_AUTO_OPEN_ENABLED: 'true', MCP_INSPECTOR_SECRET_STORE: 'memory' };
  return new Promise((resolve) => {
    execFile(node22, args, { env }, (error, out, err) => resolve(error ? { error: err.trimEnd().split('\n').at(-1) } : JSON.parse(out)));
  });
}

const { result, error } = await call(7);
if (error) throw new Error(error);
const refused = await call(60);
console.log(JSON.stringify({ protocol: process.env.PROTOCOL, silent: result.content[0].text, errors: [refused.error ?? null] }));
