// What clients ask for at their first login, and what they do without one: see first_login/server.rs. Each client knows these tasks:
//
//   anonymous  calls `hello` without a login, then `write`, which needs one, and `hello` again:
//              {"before", "written", "after", "granted"}
//   write      logs in and calls `write`: {"granted", "logins", "result"}, the result as the client has received it
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { output } from './processes.mjs';

const OLD = '2025-11-25';
const NEW = '2026-07-28';

const common = { server: 'first_login' };
const ANONYMOUS = { ...common, environment: { OPTIONAL: 'true' } };
const ANONYMOUS_TOOL_ERRORS = { ...common, environment: { OPTIONAL: 'true', TOOL_ERRORS: 'true' } };
const TOOL_ERRORS = { ...common, environment: { TOOL_ERRORS: 'true' } };
// The issuer limits a client to the scopes with which it has registered, as Keycloak does.
const LIMITED = { ...common, limited: true };
const INITIAL = { ...common, limited: true, environment: { INITIAL_SCOPES: 'read write' } };

/** Scenarios with all of these clients, each in the revisions that it speaks. */
export function firstLogin(clients) {
  const all = clients.flatMap((client) => [OLD, NEW].filter((protocol) => protocol <= client.protocol).map((protocol) => [client, protocol]));
  const each = (proof) => async (world) => {
    for (const [client, protocol] of all) {
      try {
        await proof((task) => runs(world, client, protocol, task), protocol);
      } catch (error) {
        error.message = `${client.name}, ${protocol}: ${error.message}`;
        throw error;
      }
    }
  };
  return [
    ['first login: each client begins without one, and goes on in its session after it', ANONYMOUS, each(goesOn)],
    ['first login: each client asks for the initial scopes, and needs no more', INITIAL, each(asksForAll)],
    ['first login: no client gets more than it has registered with, where the issuer limits it to that', LIMITED, each(isLimited)],
    ['first login: each client receives a tool error with the challenge', TOOL_ERRORS, each(receivesToolError)],
    ['first login: each client receives a tool error without a login', ANONYMOUS_TOOL_ERRORS, each(receivesAnonymousToolError)],
  ];
}

async function runs(world, client, protocol, task) {
  const [program, ...args] = client.command;
  const printed = JSON.parse(await output(program, [...args, world.resource, task], { PROTOCOL: protocol }));
  strictEqual(printed.protocol, protocol);
  return printed;
}

const sorted = (scopes) => scopes.split(' ').sort().join(' ');

async function goesOn(run, protocol) {
  const { before, written, after, granted } = await run('anonymous');
  strictEqual(written, 'written');
  strictEqual(sorted(granted), 'read write'); // the 401 of the call names both
  // In 2025 it is the same session. In 2026 there is none, and each request begins anew.
  deepStrictEqual([before, after], protocol === OLD ? ['nobody 1', 'alice 2'] : ['nobody 1', 'alice 1']);
}

async function asksForAll(run) {
  const { granted, logins, result } = await run('write');
  strictEqual(sorted(granted), 'read write');
  strictEqual(logins, 1);
  strictEqual(result.content[0].text, 'written');
}

async function isLimited(run) {
  const { error } = await run('write').catch(({ message }) => ({ error: message })); // the Python SDK ends with it
  match(error, /invalid_scope/);
}

function isToolError(result, text, challenge) {
  strictEqual(result.isError, true);
  strictEqual(result.content[0].text, `${text}\nAsk e2e.`);
  const [header, ...others] = result._meta['mcp/www_authenticate'];
  deepStrictEqual(others, []);
  ok(header.startsWith(challenge), header);
}

async function receivesToolError(run) {
  const { granted, logins, result } = await run('write');
  deepStrictEqual([granted, logins], ['read', 1]);
  const text = 'The access token does not grant the scopes that this tool requires: write. The user must sign in again and grant them.';
  isToolError(result, text, 'Bearer error="insufficient_scope", scope="read write", resource_metadata="http://');
}

async function receivesAnonymousToolError(run) {
  const { logins, result } = await run('write-anonymously');
  strictEqual(logins, 0);
  const text = 'This tool requires a login with these scopes: read write. The user must sign in and grant them.';
  isToolError(result, text, 'Bearer scope="read write", resource_metadata="http://');
}
