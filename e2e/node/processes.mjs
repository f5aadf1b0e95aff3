// Processes, free ports, and waiting.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder for files that outlive a process but not the run. */
export const scratch = mkdtempSync(join(tmpdir(), 'mcp-auth-e2e-'));

/** Runs a command to its end and returns what it prints. */
export async function output(command, args, env = {}, seconds = 30) {
  const child = start(command, args, { env: { ...process.env, ...env } });
  const deadline = setTimeout(() => stop(child), seconds * 1000);
  await child.ended;
  clearTimeout(deadline);
  if (child.exitCode !== 0) throw new Error(`${command} ${args.join(' ')} failed:\n${child.log()}`);
  return child.printed();
}

/** Repeats `ask` until it returns true. Fails after 20 seconds by default. */
export async function until(what, ask, milliseconds = 20_000) {
  const deadline = Date.now() + milliseconds;
  while (!(await ask())) {
    if (Date.now() > deadline) throw new Error(`waited ${milliseconds / 1000} s in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const children = new Set();

export function start(command, args, options = {}) {
  // `detached` gives it its own process group, so that nothing it starts can outlive it.
  const child = spawn(command, args, { ...options, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  let log = '';
  child.stdout.on('data', (data) => { printed += data; log += data; });
  child.stderr.on('data', (data) => { log += data; });
  child.printed = () => printed;
  child.log = () => log;
  child.ended = new Promise((resolve) => {
    child.once('error', (error) => { log += error; resolve(); });
    child.once('close', () => { children.delete(child); resolve(); });
  });
  children.add(child);
  return child;
}

export async function stop(child) {
  kill(child);
  await child.ended;
}

function kill(child) {
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has already ended.
  }
}

process.on('exit', () => {
  children.forEach(kill);
  rmSync(scratch, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(130));

export function running(child, name) {
  if (child.exitCode === null && child.signalCode === null) return true;
  throw new Error(`the ${name} ended before it answered`);
}

export const answers = (url) => fetch(url, { signal: AbortSignal.timeout(2_000) }).then((response) => response.ok, () => false);

/** Whether anything answers, with any status. */
export const listens = (url) => fetch(url, { signal: AbortSignal.timeout(2_000) }).then(() => true, () => false);

export function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer().on('error', reject).listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}
