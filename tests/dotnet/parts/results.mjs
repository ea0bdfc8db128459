import { appendFileSync } from 'node:fs';

/**
 * Adds a line to the file that HUBLINE_MATRIX_RESULTS names, from which conformance/REPORT.md is made: `{ client, version,
 * environment, transport, protocol, feature, outcome, detail }`, where `outcome` is passed, failed or skipped.
 */
export function record(result) {
  const file = process.env.HUBLINE_MATRIX_RESULTS;
  if (file) appendFileSync(file, `${JSON.stringify({ ...result, detail: result.detail ?? '' })}\n`);
}

/** Skips a test and records why. */
export function skip(t, result, reason) {
  record({ ...result, outcome: 'skipped', detail: reason });
  t.skip(reason);
}

/** Runs a test and records how it went. */
export async function judge(result, run) {
  try {
    await run();
    record({ ...result, outcome: 'passed' });
  } catch (error) {
    record({ ...result, outcome: 'failed', detail: error.message });
    throw error;
  }
}
