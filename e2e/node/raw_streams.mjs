// Calls and listening streams of a client without an SDK, to see every message of a response.

const accept = 'application/json, text/event-stream';
const OLD = '2025-11-25';

async function send(world, token, protocol, message, headers = {}, method = 'POST') {
  return fetch(world.resource, {
    method,
    headers: {
      Accept: accept,
      Authorization: `Bearer ${token}`,
      'Content-Type': 'application/json',
      'MCP-Protocol-Version': protocol,
      ...headers,
    },
    ...(message && { body: JSON.stringify({ jsonrpc: '2.0', ...message }) }),
    signal: AbortSignal.timeout(40_000),
  });
}

/** Reads a response to its end: its messages, and the seconds that it took. */
async function messages(response, begin = Date.now()) {
  const text = await response.text();
  const type = response.headers.get('content-type')?.split(';')[0];
  const events = type === 'text/event-stream' ? [...text.matchAll(/^data: *(\S.*)$/gm)].map(([, data]) => data) : [text];
  return { status: response.status, type, messages: events.map((event) => JSON.parse(event)), seconds: (Date.now() - begin) / 1000 };
}

/** The headers of a session, if the server has sessions and the protocol too. */
export async function session(world, token, protocol) {
  if (protocol !== OLD) return {};
  const params = { protocolVersion: protocol, capabilities: {}, clientInfo: { name: 'e2e', version: '1.0.0' } };
  const begun = await send(world, token, protocol, { id: 1, method: 'initialize', params });
  await begun.text();
  const id = begun.headers.get('mcp-session-id');
  if (!id) return {};
  const headers = { 'Mcp-Session-Id': id };
  await (await send(world, token, protocol, { method: 'notifications/initialized' }, headers)).text();
  return headers;
}

function modern(protocol, params, headers) {
  if (protocol === OLD) return [params, headers];
  const meta = { 'io.modelcontextprotocol/protocolVersion': protocol, 'io.modelcontextprotocol/clientCapabilities': {} };
  return [{ ...params, _meta: { ...params._meta, ...meta } }, headers];
}

/** Calls the tool `wait` for a minute, and reads the whole response. */
export async function call(world, token, protocol, id, { told = false, headers = {} } = {}) {
  const wanted = { name: 'wait', arguments: { seconds: 60 }, ...(told && { _meta: { progressToken: `of ${id}` } }) };
  const [params, named] = modern(protocol, wanted, { ...headers, 'Mcp-Method': 'tools/call', 'Mcp-Name': 'wait' });
  return messages(await send(world, token, protocol, { id, method: 'tools/call', params }, named));
}

/** Listens for changes of the tools until the server ends the stream. */
export async function listen(world, token, protocol) {
  const begin = Date.now();
  if (protocol === OLD) {
    return messages(await send(world, token, protocol, null, await session(world, token, protocol), 'GET'), begin);
  }
  const [params, headers] = modern(protocol, { notifications: { toolsListChanged: true } }, { 'Mcp-Method': 'subscriptions/listen' });
  return messages(await send(world, token, protocol, { id: 'ears', method: 'subscriptions/listen', params }, headers), begin);
}
