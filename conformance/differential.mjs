// node differential.mjs --peer FILE --ours FILE [--exceptions FILE] [--report FILE]: compares what the real server, ASP.NET
// Core 11, answered today with what the server under test answered (both from `runner.mjs --answers`) and with the recording.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { accepts, difference, same } from './compare.mjs';
import { Exceptions } from './exceptions.mjs';

const read = file => JSON.parse(readFileSync(file, 'utf8'));
const texts = ['peer', 'ours', 'exceptions', 'report', 'cases'];
const { values: options } = parseArgs({ options: Object.fromEntries(texts.map(name => [name, { type: 'string' }])) });
const folder = options.cases ?? path.join(import.meta.dirname, 'cases');
const cases = readdirSync(folder).filter(name => name.endsWith('.json')).sort().flatMap(name => read(path.join(folder, name)).cases);
const [peer, ours] = [read(options.peer), read(options.ours)];
const known = options.exceptions ? Exceptions.read(options.exceptions).names : new Set();

const how = { exact: true, release: '11' };

/** Where ours is neither what the real server answered today nor what it may answer by its recording. */
function apart(test, real, own) {
  for (const [i, step] of test.steps.entries()) {
    if (i >= own.seen.length) return own.error ?? `step ${i + 1} was not reached`;
    if (step.got === undefined || accepts(step, own.seen[i], how)) continue;
    if (i < real.seen.length && same(real.seen[i], own.seen[i], true)) continue;
    return `step ${i + 1} (${step.do})\n    ASP.NET Core ${JSON.stringify(real.seen[i])}\n    got          ${JSON.stringify(own.seen[i])}`;
  }
  return own.error && own.error !== real.error ? own.error : null;
}

const result = { compared: 0, stale: [], apart: [] };
for (const test of cases) {
  const [real, own] = [peer[test.name], ours[test.name]];
  if (!real || !own) continue;
  result.compared++;
  const stale = difference(test, real, how);
  if (stale) {
    result.stale.push(test.name);
    console.log(`stale recording ${test.name}: ${stale}`);
  }
  const differs = apart(test, real, own);
  if (differs && !known.has(test.name)) {
    result.apart.push(test.name);
    console.log(`FAIL ${test.name}: ${differs}`);
  }
}
if (options.report) writeFileSync(options.report, JSON.stringify(result));
if (result.stale.length > 0) console.log(`notice: ${result.stale.length} recordings are not what the real server answered today`);
const passed = result.compared - result.apart.length;
console.log(`${passed} passed, ${result.apart.length} failed, 0 skipped`);
process.exitCode = result.apart.length > 0 || result.compared === 0 ? 1 : 0;
