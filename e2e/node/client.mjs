// The TypeScript SDK as a client, without a user: from a 401 to the answer of a tool.
//
//   node client.mjs v1|v2 http://127.0.0.1:3000/mcp            prints {"protocol", "tools", "whoami"}
//   node client.mjs v1|v2 http://127.0.0.1:3000/mcp step-up    for the notes: prints {"protocol", "granted", "answers"}
//   node client.mjs v2 http://127.0.0.1:3000/mcp dpop          like the first, with proofs; also prints {"thumbprint", "tokenType"}
//   node client.mjs v1|v2 http://127.0.0.1:3000/mcp calls|listen|listen-again    see slow.mjs
//   node client.mjs v1|v2 http://127.0.0.1:3000/mcp anonymous|write|write-anonymously    see first_login.mjs
//   node client.mjs v1|v2 http://127.0.0.1:3000/mcp progress    see gateway.mjs
//
// With PROTOCOL=2025-11-25 in its environment, v2 uses the older protocol. With CLIENT_ID, it does not register.
import { approve } from './approve.mjs';

const [version, url, task = 'whoami'] = process.argv.slice(2);
const { Client, DpopSession, StreamableHTTPClientTransport, UnauthorizedError } =
  version === 'v1'
    ? {
        ...(await import('@modelcontextprotocol/sdk/client/index.js')),
        ...(await import('@modelcontextprotocol/sdk/client/streamableHttp.js')),
        ...(await import('@modelcontextprotocol/sdk/client/auth.js')),
      }
    : await import('@modelcontextprotocol/client');

const TOOLS_CHANGED =
  version === 'v1'
    ? (await import('@modelcontextprotocol/sdk/types.js')).ToolListChangedNotificationSchema
    : 'notifications/tools/list_changed';

const redirectUrl = 'http://127.0.0.1:9/callback'; // nothing listens there: `approve` stops at the redirect
const saved = { client: process.env.CLIENT_ID && { client_id: process.env.CLIENT_ID } };
let logins = 0;
let callback;

const authProvider = {
  redirectUrl,
  clientMetadata: {
    client_name: `e2e ${version}`,
    redirect_uris: [redirectUrl],
    application_type: 'native', // v2 sets it by itself; better-auth requires it for a redirect to this machine
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  },
  state: () => 'e2e-state',
  clientInformation: () => saved.client,
  saveClientInformation: (client) => { saved.client = client; },
  tokens: () => saved.tokens,
  saveTokens: (tokens) => { saved.tokens = tokens; },
  codeVerifier: () => saved.verifier,
  saveCodeVerifier: (verifier) => { saved.verifier = verifier; },
  discoveryState: () => saved.discovery,
  saveDiscoveryState: (discovery) => { saved.discovery = discovery; },
  redirectToAuthorization: async (authorizationUrl) => {
    logins += 1;
    callback = await approve(authorizationUrl, redirectUrl);
  },
};

const session = task === 'dpop' ? await DpopSession.create() : undefined;
if (session) authProvider.dpop = () => session;

const newTransport = () => new StreamableHTTPClientTransport(new URL(url), { authProvider });
const mode = process.env.PROTOCOL === '2025-11-25' ? 'legacy' : 'auto';
const newClient = () => new Client({ name: 'e2e', version: '1.0.0' }, { versionNegotiation: { mode } }); // v1 ignores it

/** What an application does after the SDK has sent the user to the browser: waits for the redirect back. */
async function finish(transport, attempt) {
  await attempt.then(
    () => { throw new Error('it went on without asking the user'); },
    (error) => { if (!(error instanceof UnauthorizedError)) throw error; },
  );
  if (callback.get('state') !== 'e2e-state') throw new Error(`state: ${callback}`);
  await transport.finishAuth(version === 'v1' ? callback.get('code') : callback);
}

/** Calls a tool. Where that needs more scopes, the SDK sends the user to the browser, and the application calls again. */
async function steppingUp(call) {
  const before = logins;
  const first = call();
  await first.catch(() => {});
  if (logins === before) return first;
  await finish(transport, first);
  return call();
}

// The first attempt ends where a browser would open. The second one has the token.
if (!task.includes('anonymous')) {
  const first = newTransport();
  await finish(first, newClient().connect(first));
  await first.close();
}

const client = newClient();
const start = Date.now();
const seconds = () => (Date.now() - start) / 1000;
let heard = 0; // when the last notification came
client.setNotificationHandler(TOOLS_CHANGED, () => { heard = seconds(); });
const transport = newTransport();
await client.connect(transport);
const protocol = version === 'v1' ? transport.protocolVersion : client.getNegotiatedProtocolVersion();
const callTool = (params, options) => (version === 'v1' ? client.callTool(params, undefined, options) : client.callTool(params, options));
const text = async (name, args = {}, options) => (await callTool({ name, arguments: args }, options)).content[0].text;
const wait = (seconds, options) => text('wait', { seconds }, options);

function keepListening(outcome, again) {
  const listening = (async () => {
    do {
      outcome.end = await (await client.listen({ toolsListChanged: true })).closed;
      outcome.ends += 1;
    } while (again);
  })();
  listening.catch((error) => { outcome.end = error.message; });
}

const tasks = {
  async whoami() {
    const { tools } = await client.listTools();
    return { tools: tools.map((tool) => tool.name), whoami: JSON.parse(await text('whoami')) };
  },

  async dpop() {
    return { ...(await tasks.whoami()), thumbprint: session.thumbprint, tokenType: saved.tokens.token_type };
  },

  async 'step-up'() {
    const granted = [saved.tokens.scope];
    const answers = [await text('list_notes')];
    const milk = { text: 'buy milk' };
    for (const note of [milk, { ...milk, owner: 'bob' }]) { // in `notes` only an admin may write for bob: the tool itself refuses
      answers.push(await steppingUp(() => text('add_note', note)));
      granted.push(saved.tokens.scope);
    }
    answers.push(await text('list_notes')); // the scope that was granted first still is
    return { granted, answers };
  },

  async anonymous() {
    const before = await text('hello');
    await finish(transport, text('write')); // 401
    return { before, written: await text('write'), after: await text('hello'), granted: saved.tokens.scope };
  },

  async write() {
    const call = callTool({ name: 'write', arguments: {} });
    return call.then((result) => ({ result, granted: saved.tokens?.scope, logins }), (error) => ({ error: String(error) }));
  },

  'write-anonymously': () => tasks.write(),

  async calls() {
    let reports = 0;
    const asking = { onprogress: () => { reports += 1; } };
    const [silent, told] = await Promise.all([wait(7), wait(7, asking)]);
    const result = { silent, told, reports, after: await wait(0) };
    const message = (call) => call.then(() => null, (error) => error.message);
    return { ...result, errors: await Promise.all([wait(60), wait(60, asking)].map(message)) };
  },

  async progress() {
    const reports = [];
    const onprogress = () => { reports.push(seconds()); };
    const waited = await wait(3, { onprogress });
    const cancelling = new AbortController();
    const call = wait(Number(process.env.LONG), { signal: cancelling.signal, onprogress: () => cancelling.abort() });
    const cancelled = await call.then(() => null, (error) => String(error));
    await wait(1); // time for the notification, which the SDK does not wait for
    return { waited, reports, cancelled };
  },

  /** In 2025 the SDK opens its listening stream by itself. */
  async listen({ again = false } = {}) {
    const enough = new Promise((resolve) => { setTimeout(resolve, 10_000); });
    const outcome = { end: null };
    if (protocol !== '2025-11-25') keepListening(outcome, again);
    await enough;
    return { heard, ...outcome };
  },

  'listen-again': () => tasks.listen({ again: true }),

  /** Three subscriptions at once, each opened again when it ends. */
  async 'listen-thrice'() {
    const outcomes = [1, 2, 3].map(() => ({ end: null, ends: 0 }));
    outcomes.forEach((outcome) => keepListening(outcome, true));
    await new Promise((resolve) => { setTimeout(resolve, 23_000); });
    return { heard, outcomes, logins };
  },
};

console.log(JSON.stringify({ protocol, ...(await tasks[task]()) }));
await client.close();
process.exit(0); // with `listen-again`, the next stream may be being opened
