import { test } from 'node:test';
import { record } from '../../parts/results.mjs';

const FEATURE = { transport: 'WebSockets', protocol: 'both', feature: 'mixed fleet' };
const LIMIT_MS = 120_000;

/** Why there is no fleet to mix with the program of this client, which also serves; said and recorded. False if there is one. */
export function absent(client) {
  if (!client.absent) return false;
  console.log(`notice: ${client.absent}, so no fleet mixed with ${client.result.environment} is tested`);
  record({ ...client.result, ...FEATURE, outcome: 'skipped', detail: client.absent });
  return client.absent;
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
