// Runs scenarios, each in its world, and prints what becomes of them.
import { availableParallelism } from 'node:os';
import { newWorld, prepare, skipped } from './world.mjs';

const worlds = new Map();

function enter(description) {
  if (!worlds.has(description)) worlds.set(description, build(description));
  return worlds.get(description);
}

async function build(description) {
  const world = await newWorld(description);
  if (!description.asleep) {
    try {
      const issuer = world.startIssuer();
      // A gateway asks for keys at its start, and for a second after a failure not again.
      if (description.server === 'gateway') await issuer;
      await Promise.all([issuer, world.startServer()]);
    } catch (error) {
      error.world = world;
      throw error;
    }
  }
  return world;
}

function report(error, world) {
  if (error.reported) return `    ${error.message} (as above)`;
  error.reported = true;
  const tail = (name) => {
    const log = world?.processes[name]?.log().trimEnd().split('\n').slice(-30);
    return log ? `\n--- the ${name}'s last lines ---\n${log.join('\n')}` : '';
  };
  const text = `${error.stack ?? error}${tail('server')}${tail('front')}${tail('issuer')}`;
  return text.replace(/^/gm, '    ');
}

async function run([name, description, proof]) {
  let world;
  try {
    world = await enter(description);
    const finding = await proof(world);
    return [true, `ok ${name}${finding ? `\n${finding.trimEnd().replace(/^/gm, '    ')}` : ''}`];
  } catch (error) {
    return [false, `FAILED ${name}\n${report(error, world ?? error.world)}`];
  }
}

const CORES = availableParallelism();
const WAITING = 12; // each client needs one or two seconds of a processor, and then waits for some ten seconds

/** Runs jobs, so many at the same time. */
async function atOnce(number, jobs) {
  const next = jobs.values();
  const worker = async () => {
    for (const job of next) await job();
  };
  await Promise.all(Array.from({ length: number }, worker));
}

/**
 * Runs the scenarios whose names contain one of `words`. Those of one world come one after the other, and so many worlds take turns as there
 * are cores. Then come, several at the same time, those that mostly wait, whose worlds say `together`. Those whose worlds say
 * `onDemand: WORD` run only if that word is given. Returns whether none has failed.
 */
export async function runAll(scenarios, words) {
  const named = ([name, { onDemand }]) =>
    (words.length === 0 || words.some((word) => name.includes(word))) && (!onDemand || words.some((word) => word.includes(onDemand)));
  const chosen = scenarios.filter(named);
  const toRun = chosen.filter(([, world]) => !skipped(world));
  toRun.forEach(([, world]) => prepare(world));
  let failed = 0;
  const runAndPrint = async (scenario) => {
    const [passed, text] = await run(scenario);
    failed += passed ? 0 : 1;
    console.log(text);
  };
  const lanes = new Map();
  for (const scenario of toRun.filter(([, { together }]) => !together)) {
    lanes.set(scenario[1], [...(lanes.get(scenario[1]) ?? []), scenario]);
  }
  await atOnce(CORES, [...lanes.values()].map((lane) => () => atOnce(1, lane.map((scenario) => () => runAndPrint(scenario)))));
  const waiting = toRun.filter(([, { together }]) => together);
  await atOnce(WAITING, waiting.map((scenario) => () => runAndPrint(scenario)));
  for (const [make, reason] of new Map(chosen.map(([, world]) => [world.needs ?? world.make, skipped(world)]))) {
    if (reason) console.log(`SKIPPED: ${make}: ${reason}`);
  }
  console.log(`${toRun.length - failed} passed, ${failed} failed, ${chosen.length - toRun.length} skipped`);
  return failed === 0 && chosen.length > 0;
}
