import { appendFileSync } from 'node:fs';

/**
 * Adds a line to the file that HUBLINE_MATRIX_RESULTS names, from which conformance/REPORT.md is made: `{ client, version,
 * environment, transport, protocol, feature, outcome, detail }`, where `outcome` is passed, failed or skipped.
 */
export function record(result) {
  const file = process.env.HUBLINE_MATRIX_RESULTS;
  if (file) appendFileSync(file, `${JSON.stringify({ ...result, detail: result.detail ?? '' })}\n`);
}
