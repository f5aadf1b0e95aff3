// Keycloak as the issuer of several worlds: one process, since it needs half a minute to start, with a realm for each world. The realm
// is the one of ../../examples/keycloak, for the world's resource, and with what only the tests need. It is kept in memory.
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { answers, freePort, running, start, until } from './processes.mjs';

const example = JSON.parse(readFileSync(new URL('../../examples/keycloak/mcp-realm.json', import.meta.url), 'utf8'));
const PASSWORD = 'any password'; // which approve.mjs and approve.py type
const START = 240_000; // in milliseconds: 40 seconds of a processor, at a low priority beside everything else

let reserved;
const port = () => (reserved ??= freePort());

let started;
const startOnce = () => (started ??= launch());

async function launch() {
  const origin = `http://127.0.0.1:${await port()}`;
  const options = ['--optimized', '--cache=local', '--http-enabled=true', '--http-host=127.0.0.1', `--http-port=${await port()}`, `--hostname=${origin}`];
  const child = start('nice', ['sh', `${process.env.E2E_KEYCLOAK}/bin/kc.sh`, 'start', ...options], {
    env: {
      ...process.env,
      JAVA_HOME: process.env.E2E_JAVA_HOME,
      // Without the optimizing compiler, it starts in half of the time.
      JAVA_OPTS_APPEND: '-XX:TieredStopAtLevel=1',
      KC_BOOTSTRAP_ADMIN_USERNAME: 'admin',
      KC_BOOTSTRAP_ADMIN_PASSWORD: PASSWORD,
    },
  });
  const metadata = `${origin}/realms/master/.well-known/openid-configuration`;
  await until('Keycloak answers', () => running(child, 'issuer') && answers(metadata), START);
  return child;
}

/** Creates a realm for a resource. Returns what a test can do with it. */
async function newRealm(name, resource) {
  const origin = `http://127.0.0.1:${await port()}`;

  /** A request to the admin API. Returns the JSON of the answer, or, of what was created, its URL. */
  async function admin(method, url, body) {
    const login = { grant_type: 'password', client_id: 'admin-cli', username: 'admin', password: PASSWORD };
    const { access_token } = await send(`${origin}/realms/master/protocol/openid-connect/token`, { body: new URLSearchParams(login) });
    return send(new URL(url, `${origin}/admin/realms/`), {
      method,
      headers: { Authorization: `Bearer ${access_token}`, 'Content-Type': 'application/json' },
      body: body && JSON.stringify(body),
    });
  }

  await admin('POST', '', forTests(name, resource));
  const { id: parentId } = await admin('GET', name);

  const [{ id: alice }] = await admin('GET', `${name}/users?exact=true&username=alice`);

  let priority = 100;

  return {
    alice, // her subject

    /** Changes the attributes of a client. */
    async change(clientId, attributes) {
      const [client] = await admin('GET', `${name}/clients?clientId=${encodeURIComponent(clientId)}`);
      await admin('PUT', `${name}/clients/${client.id}`, { ...client, attributes: { ...client.attributes, ...attributes } });
    },

    /** Adds a key that signs from now on. The older ones stay published. */
    async rotate() {
      priority += 1;
      await admin('POST', `${name}/components`, { ...rsaKey('rsa', priority), providerType: KEYS, parentId });
    },

    /** Ends the sessions of alice, as an administrator does. Keycloak tells the clients that have a logout URL. */
    async logOut() {
      await admin('POST', `${name}/users/${alice}/logout`);
    },
  };
}

const KEYS = 'org.keycloak.keys.KeyProvider';

/** A new key. Keycloak itself would take seconds to make one, without the optimizing compiler. */
function rsaKey(providerId, priority) {
  const encoding = { type: 'pkcs8', format: 'pem' };
  const privateKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export(encoding);
  return { name: `${providerId} ${priority}`, providerId, config: { priority: [String(priority)], privateKey: [privateKey] } };
}

/** The realm of the example for this resource, with a password that the tests know, and with a client without a user. */
function forTests(name, resource) {
  const text = JSON.stringify(example)
    .replaceAll('http://127.0.0.1:3000', new URL(resource).origin)
    .replaceAll('default-roles-mcp', `default-roles-${name}`);
  const realm = JSON.parse(text);
  const scopes = realm.defaultOptionalClientScopes;
  for (const credential of realm.users.flatMap((user) => user.credentials)) credential.value = PASSWORD;
  const elsewhere = structuredClone(realm.clientScopes.find((scope) => scope.name === 'read'));
  elsewhere.name = 'elsewhere';
  elsewhere.protocolMappers[0].config['included.custom.audience'] = 'http://other.example/mcp';
  // A second protected server, for which the first one exchanges tokens.
  const calendar = { clientId: 'calendar', secret: 'secret', standardFlowEnabled: false, defaultClientScopes: ['basic'], optionalClientScopes: [] };
  const events = structuredClone(elsewhere);
  events.name = 'events:read';
  events.protocolMappers[0].config = { 'included.client.audience': 'calendar', 'access.token.claim': 'true' };
  const server = realm.clients.find(({ clientId }) => clientId === resource);
  server.attributes = { 'standard.token.exchange.enabled': 'true' };
  server.optionalClientScopes = ['events:read'];
  const machine = {
    clientId: 'machine',
    secret: 'secret',
    serviceAccountsEnabled: true,
    standardFlowEnabled: false,
    defaultClientScopes: ['basic'],
    optionalClientScopes: [...scopes, 'elsewhere'],
  };
  const secret = (providerId) => ({ name: providerId, providerId, config: { priority: ['100'] } });
  const keys = [rsaKey('rsa', 100), rsaKey('rsa-enc', 100), secret('hmac-generated'), secret('aes-generated')];
  return {
    ...realm,
    realm: name,
    components: { ...realm.components, [KEYS]: keys },
    clientScopes: [...realm.clientScopes, elsewhere, events],
    clients: [...realm.clients, calendar, machine],
  };
}

async function send(url, options) {
  const response = await fetch(url, { method: 'POST', ...options, signal: AbortSignal.timeout(20_000) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status} from ${url}: ${text}`);
  return text ? JSON.parse(text) : response.headers.get('location');
}

export const keycloak = { port, start: startOnce, newRealm };
