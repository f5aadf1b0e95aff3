// The TypeScript SDK as a client: from a 401 to the answer of the tool `whoami`, without a human.
//
//   node client.mjs v1|v2 http://127.0.0.1:3000/mcp [dpop]     prints {"protocol", "tools", "whoami"}, and with `dpop` (v2) its {"thumbprint"}
import { approve } from './approve.mjs';

const [version, url, proofs] = process.argv.slice(2);
const { Client, DpopSession, StreamableHTTPClientTransport, UnauthorizedError } =
  version === 'v1'
    ? {
        ...(await import('@modelcontextprotocol/sdk/client/index.js')),
        ...(await import('@modelcontextprotocol/sdk/client/streamableHttp.js')),
        ...(await import('@modelcontextprotocol/sdk/client/auth.js')),
      }
    : await import('@modelcontextprotocol/client');

const redirectUrl = 'http://127.0.0.1:9/callback'; // nobody listens there: `approve` stops at the redirect
const saved = {};
let callback;

const authProvider = {
  redirectUrl,
  clientMetadata: {
    client_name: `e2e ${version}`,
    redirect_uris: [redirectUrl],
    grant_types: ['authorization_code'],
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
  redirectToAuthorization: async (authorizationUrl) => { callback = await approve(authorizationUrl, redirectUrl); },
};

const session = proofs === 'dpop' ? await DpopSession.create() : undefined;
if (session) authProvider.dpop = () => session;

const newTransport = () => new StreamableHTTPClientTransport(new URL(url), { authProvider });
const newClient = () => new Client({ name: 'e2e', version: '1.0.0' }, { versionNegotiation: { mode: 'auto' } }); // v1 ignores it

// The first attempt ends where a browser would open; the second one has the token.
const first = newTransport();
await newClient().connect(first).then(
  () => { throw new Error('connected without signing in'); },
  (error) => { if (!(error instanceof UnauthorizedError)) throw error; },
);
if (callback.get('state') !== 'e2e-state') throw new Error(`state: ${callback}`);
await first.finishAuth(version === 'v1' ? callback.get('code') : callback);
await first.close();

const client = newClient();
const transport = newTransport();
await client.connect(transport);
const { tools } = await client.listTools();
const answer = await client.callTool({ name: 'whoami', arguments: {} });
console.log(JSON.stringify({
  protocol: version === 'v1' ? transport.protocolVersion : client.getNegotiatedProtocolVersion(),
  tools: tools.map((tool) => tool.name),
  whoami: JSON.parse(answer.content[0].text),
  ...(session && { thumbprint: session.thumbprint, tokenType: saved.tokens.token_type }),
}));
await client.close();
