// Calls that take longer than their token lives, and streams that listen: see slow/server.rs. An access token lives four seconds.
// Each client has a refresh token, which the issuer replaces at each use; it ends the login if one is used twice.
//
// Each client knows these tasks, and prints what it has seen as JSON, with the revision as `protocol`:
//
//   calls         calls the tool for seven seconds twice at once, without and with a request for progress; then for no time;
//                 then twice for a minute: {"silent", "told", "reports", "after", "errors"}
//   listen        listens for ten seconds, with what the SDK does by itself: {"heard", "end"}, the second at which the last
//                 notification came, and what the SDK says of the end of the stream
//   listen-again  listens again whenever a stream ends
//   listen-thrice  (TypeScript v2) the same with three streams, for 23 seconds: {"heard", "outcomes", "logins"}
import { match, ok, strictEqual } from 'node:assert/strict';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { output, until } from './processes.mjs';
import { call, listen, session } from './raw_streams.mjs';
import { signIn } from './sign_in.mjs';
import { examples } from './world.mjs';

const inE2e = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

const OLD = '2025-11-25';
const NEW = '2026-07-28';

// ── worlds: how the server answers ──

const common = { server: 'slow', ttl: 4, together: true };
const SESSIONS = { ...common, environment: { STREAMED: 'true' } };
const STREAMED = { ...common, sessions: false, environment: { STREAMED: 'true' } };
const JSON_ANSWERS = { ...common, sessions: false, environment: { STREAMED: 'false' } };
const INTROSPECTED = {
  ...common,
  ttl: 300,
  format: 'opaque',
  environment: { STREAMED: 'true', INTROSPECT_ID: 'http://127.0.0.1/asks', INTROSPECT_SECRET: 'a secret: %, & and +' },
};

/** In 2025 the answers in a session are always streamed, and 2026 has no sessions. */
const ANSWERS = [
  ['2025-11-25, session', SESSIONS, OLD],
  ['2025-11-25, streamed', STREAMED, OLD],
  ['2025-11-25, JSON', JSON_ANSWERS, OLD],
  ['2026-07-28, streamed', STREAMED, NEW],
  ['2026-07-28, JSON', JSON_ANSWERS, NEW],
];

// ── clients ──

const typescript = (version) => [process.execPath, inE2e('node/client.mjs'), version];
const python = (script) => [inE2e('.venv/bin/python'), inE2e(`python/${script}`)];

/**
 * `protocols`: the revisions that a client speaks. `calls`: after how many calls its token is revoked, if it cannot have both of the long
 * ones open at once. `asks`: that it asks for progress in every call.
 */
const CLIENTS = [
  { name: 'TypeScript v1', command: typescript('v1'), protocols: [OLD] },
  { name: 'TypeScript v2', command: typescript('v2'), protocols: [OLD, NEW] },
  // With OAuth, it sends the next request only when the head of the last answer is there.
  { name: 'Python', command: python('client.py'), protocols: [OLD, NEW], calls: 4 },
  { name: 'FastMCP', command: python('fastmcp_client.py'), protocols: [OLD, NEW], calls: 4, asks: true },
  { name: 'rmcp', command: [join(examples, 'slow_client')], protocols: [OLD, NEW], calls: 3, asks: true },
  { name: 'Go', command: [join(examples, 'go_client')], protocols: [OLD, NEW] },
  { name: 'Inspector CLI', command: [process.execPath, inE2e('node/inspector.mjs')], protocols: [OLD, NEW], calls: 2 },
];
const LISTENERS = CLIENTS.slice(0, -1); // the Inspector CLI ends after one call

export function slow() {
  const speaking = (clients, protocol) => clients.filter(({ protocols }) => protocols.includes(protocol));
  return [
    ...ANSWERS.flatMap(([how, world, protocol]) =>
      speaking(CLIENTS, protocol).map((client) => [
        `a call longer than its token, ${how}: ${client.name} gets the result, and an error when the token is revoked`,
        world,
        (w) => calls(w, client, protocol, `${client.name} ${how}`),
      ])),
    ...ANSWERS.map(([how, world, protocol]) => [
      `a revocation, ${how}: calls that have outlived their token end with an error of their id`,
      world,
      (w) => revokedLate(w, protocol, how),
    ]),
    ['a token that is refused when it is introspected again: its open calls end with an error of their id', INTROSPECTED, refusedAgain],
    ['listening, 2025-11-25: the stream ends when its token expires', SESSIONS, (w) => ends(w, OLD)],
    ['listening, 2026-07-28: the stream ends with a result when its token expires', STREAMED, (w) => ends(w, NEW)],
    ['listening, 2026-07-28: three streams of one client do not end its login', STREAMED, listensThrice],
    ...speaking(LISTENERS, OLD).map((client) => [
      `listening, 2025-11-25: ${client.name}`,
      SESSIONS,
      (w) => listens(w, client, OLD, 'listen'),
    ]),
    ...speaking(LISTENERS, NEW).flatMap((client) => ['listen', 'listen-again'].map((task) => [
      `listening, 2026-07-28: ${client.name}${task === 'listen' ? ' by itself' : ' listens again'}`,
      STREAMED,
      (w) => listens(w, client, NEW, task),
    ])),
  ];
}

async function run(world, { command: [program, ...args] }, protocol, task, login = 'alice') {
  const env = { PROTOCOL: protocol, LOGIN: login, BROWSER: inE2e('node/browser.mjs') };
  const printed = JSON.parse(await output(program, [...args, world.resource, task], env, 60));
  strictEqual(printed.protocol, protocol);
  return printed;
}

async function calls(world, client, protocol, name) {
  const login = name.replace(/\W+/g, '-');
  const running = run(world, client, protocol, 'calls', login);
  let ended;
  running.catch(() => {}).finally(() => { ended = Date.now(); });
  const begun = async () => ended || (await world.control('calls', login)) >= (client.calls ?? 5);
  await until('the calls have begun', begun, 50_000);
  const revoked = Date.now();
  for (; !ended; await pause(0.5)) await world.control('revoke', login); // again, for a call that begins only now

  const { silent, told, reports, after, errors } = await running;
  const reporting = 'waited 7 s with reports';
  if (told !== undefined) {
    strictEqual(told, reporting);
    ok(reports >= 6, `${reports} reports`); // some clients hand out the last one after the answer
  }
  if (silent !== undefined) strictEqual(silent, client.asks ? reporting : 'waited 7 s in silence');
  ok(silent ?? told);
  ok(after === undefined || after.startsWith('waited 0 s'), after);
  ok(errors.length > 0 && errors.every((error) => error?.length > 0), JSON.stringify(errors));
  ok(ended - revoked < 10_000, `${ended - revoked} ms from the revocation to the errors`);
}

async function listens(world, client, protocol, task) {
  const { heard, end } = await run(world, client, protocol, task);
  const goesOn = protocol === OLD || task === 'listen-again';
  ok(goesOn ? heard > 8 : heard > 1 && heard < 6, `the last notification came after ${heard} s`);
  if (protocol === NEW && end !== undefined) match(end, /graceful/i); // as the SDK says it; Go says nothing
}

async function listensThrice(world) {
  // The layer lets the streams of one caller end up to 32 seconds apart: here 0, 8 and 16 seconds after their token.
  const { heard, outcomes, logins } = await run(world, CLIENTS[1], NEW, 'listen-thrice');
  ok(heard > 20, `the last notification came after ${heard} s`);
  ok(outcomes.every(({ end, ends }) => end === 'graceful' && ends >= 1), JSON.stringify(outcomes));
  strictEqual(logins, 1); // had two refreshed with one refresh token, the issuer would have ended the login
  return `the streams ended ${outcomes.map(({ ends }) => ends).join(', ')} times in 23 s`;
}

const pause = (seconds) => new Promise((resolve) => { setTimeout(resolve, seconds * 1000); });

async function revokedLate(world, protocol, how) {
  const login = `raw ${how}`.replace(/\W+/g, '-');
  const { tokens } = await signIn(world, { login });
  const headers = await session(world, tokens.access_token, protocol);
  const open = ['one', 2].map((id) => call(world, tokens.access_token, protocol, id, { told: id === 2, headers }));
  await pause(6);
  await world.control('revoke', login);
  const begin = Date.now();
  const answers = await Promise.all(open);
  ok(Date.now() - begin < 3000, 'at once');
  endsWithErrors(answers);
}

async function refusedAgain(world) {
  const token = await world.token();
  const open = ['one', 2].map((id) => call(world, token, NEW, id, { told: id === 2 }));
  await pause(1);
  await world.revoke(token);
  const begin = Date.now();
  const answers = await Promise.all(open);
  ok(Date.now() - begin < 15_000, 'the answer of the issuer is cached for a second, and asked for every ten seconds');
  endsWithErrors(answers);
}

function endsWithErrors([silent, told]) {
  for (const [id, { messages }] of [['one', silent], [2, told]]) {
    const last = messages.at(-1);
    strictEqual(last.id, id, JSON.stringify(last));
    ok(Number.isInteger(last.error?.code) && last.error.message, JSON.stringify(last));
  }
}

async function ends(world, protocol) {
  const token = await world.token();
  const { status, messages, seconds } = await listen(world, token, protocol);
  strictEqual(status, 200);
  ok(seconds > 1 && seconds < 6, `ended after ${seconds} s`);
  ok(messages.some(({ method }) => method === 'notifications/tools/list_changed'));
  if (protocol === OLD) return;
  const last = messages.at(-1);
  strictEqual(last.id, 'ears', JSON.stringify(last));
  strictEqual(last.result?._meta?.['io.modelcontextprotocol/subscriptionId'], 'ears', JSON.stringify(last));
}
