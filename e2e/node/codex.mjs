// Scenarios with Codex CLI, which run only by name: it is large. See codex_client.mjs.
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { inFrontOfTypescript } from './gateway.mjs';
import { output } from './processes.mjs';

const onDemand = 'Codex';
const NOTES = { server: 'notes', onDemand };
const GATEWAY = { ...inFrontOfTypescript('v2'), onDemand };
const INITIAL = { ...inFrontOfTypescript('v1', { initial_scopes: ['notes:read', 'notes:write'] }), onDemand };
const TOOL_ERRORS = { ...inFrontOfTypescript('v2', { insufficient_scope_as_tool_error: true, insufficient_scope_hint: 'Ask e2e.' }), onDemand };

const READ = ['notes:read'];
const BOTH = ['notes:read', 'notes:write'];

/** The rows of the table in run.mjs. */
export const codex = () => [
  ['Codex: it asks for the scopes of the 401, calls a tool, and stops at a 403', NOTES, stops],
  ['Codex: the same through the gateway', GATEWAY, stops],
  ['Codex: a login for more scopes, as of `codex mcp login NAME --scopes ..`', GATEWAY, async (world) => {
    const { asked, added } = await runs(world, BOTH);
    deepStrictEqual([asked, added], [BOTH, { text: '1', isError: false }]);
  }],
  ['Codex: it asks for the initial scopes, and needs no more', INITIAL, async (world) => {
    const { asked, added } = await runs(world);
    deepStrictEqual([asked, added], [BOTH, { text: '1', isError: false }]);
  }],
  ['Codex: a tool error says what is missing', TOOL_ERRORS, async (world) => {
    const { added } = await runs(world);
    strictEqual(added.isError, true);
    strictEqual(added.text, 'The access token does not grant the scopes that this tool requires: notes:write. The user must sign in again and grant them.\nAsk e2e.');
  }],
];

async function runs(world, scopes = []) {
  const client = fileURLToPath(new URL('codex_client.mjs', import.meta.url));
  const { scopes: asked, ...printed } = JSON.parse(await output(process.execPath, [client, world.resource, ...scopes], {}, 60));
  ok(printed.tools.includes('add_note'));
  deepStrictEqual(printed.listed, { text: '', isError: false });
  return { ...printed, asked: asked.sort() };
}

async function stops(world) {
  const { asked, added } = await runs(world);
  deepStrictEqual(asked, READ);
  match(added.error, /Insufficient scope/);
}
