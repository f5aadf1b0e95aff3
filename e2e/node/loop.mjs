// Runs scenarios, each in its world, and prints what becomes of them.
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
      await Promise.all([world.startIssuer(), world.startServer()]);
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
  const text = `${error.stack ?? error}${tail('server')}${tail('issuer')}`;
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

const AT_ONCE = 12; // each client needs one or two seconds of a processor, and then waits for some ten seconds

/**
 * Runs the scenarios whose names contain one of `words`: one after the other, but at the same time those that mostly wait, whose
 * worlds say `together`. Those whose worlds say `onDemand: WORD` run only if that word is given. Returns whether none has failed.
 */
export async function runAll(scenarios, words) {
  const named = ([name, { onDemand }]) =>
    (words.length === 0 || words.some((word) => name.includes(word))) && (!onDemand || words.some((word) => word.includes(onDemand)));
  const chosen = scenarios.filter(named);
  const toRun = chosen.filter(([, world]) => !skipped(world));
  toRun.forEach(([, world]) => prepare(world));
  let failed = 0;
  const running = new Set();
  for (const scenario of toRun) {
    const { together } = scenario[1];
    if (!together) await Promise.all(running);
    else if (running.size === AT_ONCE) await Promise.race(running);
    const ends = run(scenario).then(([passed, text]) => {
      failed += passed ? 0 : 1;
      running.delete(ends);
      console.log(text);
    });
    running.add(ends);
    if (!together) await ends;
  }
  await Promise.all(running);
  for (const [make, reason] of new Map(chosen.map(([, world]) => [world.make, skipped(world)]))) {
    if (reason) console.log(`SKIPPED: ${make}: ${reason}`);
  }
  console.log(`${toRun.length - failed} passed, ${failed} failed, ${chosen.length - toRun.length} skipped`);
  return failed === 0 && chosen.length > 0;
}
