// Output as a document shows it, beside what was really printed.

const TIME = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)/g;

const literally = text => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
const plain = text => text.replace(/\u001b\[[0-9;]*m/g, '').replace(TIME, 'TIME').split('\n').map(line => line.trimEnd());

/** What stands for any text in a line, and alone in a line for any lines. */
const ANY = '…';

function pattern(expected, { only }) {
  const lines = plain(expected.join('\n'));
  const parts = lines.map(line => line === ANY ? '(?:.*\\n)*?' : `${line.split(ANY).map(literally).join('.*?')}\\n`);
  return new RegExp(only ? `^${parts.join('')}$` : `^${parts.join('')}`, only ? '' : 'm');
}

/** Whether `printed` is what the lines of `expected` say, and nothing else. */
export const isOutput = (expected, printed) => expected.length
  ? pattern(expected, { only: true }).test(`${plain(printed.trimEnd()).join('\n')}\n`)
  : !printed.trim();

/** Whether the lines of `expected` stand in `printed`, one below the other. */
export const contains = (expected, printed) => pattern(expected, { only: false }).test(`${plain(printed).join('\n')}\n`);
