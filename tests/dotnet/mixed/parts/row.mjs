import { test } from 'node:test';
import { record } from '../../parts/results.mjs';
import { DotNetPlayers } from './players.mjs';

const FEATURE = { transport: 'WebSockets', protocol: 'both', feature: 'mixed fleet' };
const LIMIT_MS = 120_000;

/** Why there is no fleet to mix, said once; false if there is one. */
export function absent() {
  if (process.env.HUBLINE_PEER) return false;
  const reason = 'HUBLINE_PEER names no ASP.NET Core server';
  console.log(`notice: ${reason}, so no mixed fleet is tested`);
  record({ ...DotNetPlayers.result, ...FEATURE, outcome: 'skipped', detail: reason });
  return reason;
}

/** What declares a row of the plan that clients with these `result` fields play, one or several at once. */
export function rowOf(...results) {
  return (number, what, run) => test(`row ${number}: ${what}`, { timeout: LIMIT_MS }, async t => {
    const told = outcome => results.forEach(result => record({ ...result, ...FEATURE, ...outcome }));
    try {
      await run(t);
      told({ outcome: 'passed' });
    } catch (error) {
      told({ outcome: 'failed', detail: `row ${number}: ${error.message}` });
      throw error;
    }
  });
}
