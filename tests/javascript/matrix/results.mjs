import { appendFileSync } from 'node:fs';

/** Appends the results of one combination to the file that HUBLINE_MATRIX_RESULTS names, one JSON object a line. */
export function record({ version, environment, transport, protocol }, results) {
  const file = process.env.HUBLINE_MATRIX_RESULTS;
  if (!file) return;
  const line = ({ feature, outcome, detail }) =>
    JSON.stringify({ client: 'JavaScript', version, environment, transport, protocol, feature, outcome, detail });
  appendFileSync(file, results.map(result => `${line(result)}\n`).join(''));
}
