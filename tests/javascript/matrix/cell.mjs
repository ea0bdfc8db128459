// Runs unchanged in Node and in a browser.
import { answered } from '../parts/until.mjs';
import { FEATURES } from './features/index.mjs';
import { Stage } from './stage.mjs';

const FEATURE_MS = 60_000;

/** Runs every feature with one combination, see `Stage`: `[{ feature, outcome, detail }]`. */
export async function runCell(modules, options, host) {
  const stage = new Stage(modules, options, host);
  try {
    await stage.connect();
    const results = [];
    for (const feature of FEATURES) results.push(await runFeature(feature, stage));
    return results;
  } catch (error) {
    return failed(options, `not connected: ${error.message}`);
  } finally {
    await answered(stage.end(), 'stop').catch(() => {});
  }
}

async function runFeature({ name, lacking, run }, stage) {
  const reason = lacking?.(stage);
  if (reason) return result(name, 'skipped', reason);
  try {
    await answered(play(stage, run), name, FEATURE_MS);
    return result(name, 'passed', '');
  } catch (error) {
    await answered(stage.clear(), 'stop').catch(() => {});
    return result(name, 'failed', error.message);
  }
}

async function play(stage, run) {
  await stage.connect();
  await run(stage);
  await stage.clear();
}

const result = (feature, outcome, detail) => ({ feature, outcome, detail });

/** The results of a combination that there is not. */
export function skipped(reason) {
  return FEATURES.map(({ name }) => result(name, 'skipped', reason));
}

/** The results of a combination that could not be run: its features have failed, but for those that it lacks anyway. */
export function failed(options, detail) {
  return FEATURES.map(({ name, lacking }) => {
    const reason = lacking?.(options);
    return reason ? result(name, 'skipped', reason) : result(name, 'failed', detail);
  });
}
