// nginx and Caddy in front of the gateway, with the configurations of ../../examples/gateway.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { scratch, start } from './processes.mjs';

const example = (name) => readFileSync(new URL(`../../examples/gateway/${name}`, import.meta.url), 'utf8');

/** Replaces each text. Each must be there, so that a changed example does not leave a test without its subject. */
function changed(text, changes) {
  return changes.reduce((result, [from, to]) => {
    if (!result.includes(from)) throw new Error(`the example lacks ${from}`);
    return result.replaceAll(from, to);
  }, text);
}

const PROXIES = {
  nginx: {
    file: 'nginx.conf',
    asking: 'nginx-forward-auth.conf',
    // Without TLS, since resources without TLS are allowed on this machine only.
    changes: (port) => [
      ['listen 443 ssl http2;', `listen 127.0.0.1:${port};`],
      ['server_name mcp.example.com;', ''],
      ['ssl_certificate ', '# ssl_certificate '],
      ['ssl_certificate_key ', '# ssl_certificate_key '],
    ],
    run(folder, text) {
      const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`);
      const http = `access_log off; ${temporary.join(' ')}\n${text}`;
      writeFileSync(join(folder, 'nginx.conf'), `daemon off; master_process off; pid ${folder}/pid; error_log stderr;\nevents {}\nhttp { ${http} }\n`);
      return start('nginx', ['-e', 'stderr', '-p', folder, '-c', join(folder, 'nginx.conf')]);
    },
  },
  caddy: {
    file: 'Caddyfile',
    asking: 'Caddyfile-forward-auth',
    changes: (port) => [['\nmcp.example.com {', `\nhttp://127.0.0.1:${port} {`]],
    run(folder, text) {
      writeFileSync(join(folder, 'Caddyfile'), `{\n\tadmin off\n\tauto_https off\n}\n${text}`);
      const env = { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder };
      return start('caddy', ['run', '--adapter', 'caddyfile', '--config', join(folder, 'Caddyfile')], { env });
    },
  },
};

/** Starts a proxy at a port, in front of the gateway; or one that `asks` the gateway and passes requests on to the upstream itself. */
export function startFront(name, asks, { port, gateway, upstream }) {
  const { file, asking, changes, run } = PROXIES[name];
  const folder = join(scratch, `${name}-${port}`);
  mkdirSync(folder);
  const ports = [['127.0.0.1:8080', `127.0.0.1:${gateway}`], ...(asks ? [['127.0.0.1:3000', `127.0.0.1:${upstream}`]] : [])];
  return run(folder, changed(example(asks ? asking : file), [...changes(port), ...ports]));
}

/** What the resource of a gateway says that a proxy asks. */
export const asked = (proxy) => ({
  mode: 'forward-auth',
  forward_auth: { proxy, from: ['127.0.0.1'] },
  streams_outlive_tokens: true,
  identity: 'headers',
});
