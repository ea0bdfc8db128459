import { calls } from './calls.mjs';
import { clientResults } from './client-results.mjs';
import { connecting } from './connecting.mjs';
import { reconnecting } from './reconnecting.mjs';
import { sizes } from './sizes.mjs';
import { streams } from './streams.mjs';
import { targets } from './targets.mjs';
import { tokens } from './tokens.mjs';

/**
 * All features, in the order they run: `{ name, lacking, run }`. `lacking(stage)` says why a combination does not have it,
 * `run(stage)` throws if it does not work.
 */
export const FEATURES = [connecting, calls, targets, streams, clientResults, tokens, sizes, reconnecting].flat();
