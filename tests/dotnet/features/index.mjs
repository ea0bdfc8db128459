import { calls } from './calls.mjs';
import { cancellation } from './cancellation.mjs';
import { clientResults } from './client-results.mjs';
import { connecting } from './connecting.mjs';
import { ending } from './ending.mjs';
import { reconnect } from './reconnect.mjs';
import { size } from './size.mjs';
import { streams } from './streams.mjs';
import { targets } from './targets.mjs';

/** `[{ feature, lacking, run }]`; `lacking(stage)` tells why a transport or hub protocol cannot have it. */
export const FEATURES = [connecting, calls, cancellation, targets, streams, clientResults, size, reconnect, ending].flat();
