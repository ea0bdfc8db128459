// The runner of what documents show: it fails where a document is wrong.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { read } from './parts/document.mjs';
import { Terminal } from './parts/terminal.mjs';

/** Runs the sections of a document; returns what differed. */
async function judged(markdown) {
  const { setup, sections } = read(markdown);
  const page = await Terminal.open('/bin/true');
  try {
    for (const { steps } of [{ steps: setup }, ...sections]) {
      const terminal = await Terminal.open('/bin/true', page);
      try { for (const step of steps) await terminal.run(step); } finally { await terminal.close(); }
    }
    return '';
  } catch (error) {
    return error.message;
  } finally {
    await page.close();
  }
}
const shown = (...lines) => ['## a section', '```console', ...lines, '```'].join('\n');

describe('the runner of documents', { concurrency: 4 }, () => {
  test('takes output that is as shown', async () => {
    for (const lines of [
      ['$ echo one; echo two >&2', 'one', 'two'],
      ['$ true'],
      ['$ printf "a\\n\\nb\\n"', 'a', '', 'b'],
      ['$ echo a.b 2026-01-02T03:04:05Z', 'a.b 2000-12-31T00:00:00.25+02:00'],
      ['$ seq 9', '1', '…', '8', '9'],
      ['$ echo id=8QyB end', 'id=… end'],
      ['$ echo one \\', '  two', 'one two', '$ echo three', 'three'],
      ['$ echo http://localhost:5000', 'http://localhost:5000'],
      ['$ false'],
      ['$ NAME="a b"', '$ echo "$NAME"', 'a b'],
      ['$ for port in 5000 5001; do echo localhost:$port; done', 'localhost:5000', 'localhost:5001'],
    ]) assert.equal(await judged(shown(...lines)), '', lines.join('\n'));
  });

  test('refuses output that is not', async () => {
    for (const lines of [
      ['$ echo one', 'two'],
      ['$ echo one'],
      ['$ true', 'one'],
      ['$ echo axb', 'a.b'],
      ['$ seq 3', '1', '2'],
      ['$ seq 3', '2', '…'],
      ['$ echo one', 'on'],
    ]) assert.match(await judged(shown(...lines)), /^line 3: [^]*is to print/, lines.join('\n'));
  });

  test('runs what readers do not see, and tells where it fails', async () => {
    assert.equal(await judged('<!-- run\necho kept > file\n-->\n## a\n```console\n$ cat file\nkept\n```'), '');
    assert.match(await judged('## a\n<!-- run\ntrue\nfalse\n-->'), /^line 4: [^]*ended with 1/);
    assert.equal(await judged('## a\n<!-- file x.txt -->\n```text\nkept\n```\n```console\n$ cat x.txt\nkept\n```'), '');
  });

  test('keeps programs running, and reads what they have written', async () => {
    const kept = output => `## a\n<!-- run\necho one; sleep 60 &\n-->\n\`\`\`log\n${output}\n\`\`\``;
    assert.equal(await judged(kept('one')), '');
    assert.equal(await judged('## a\n```console\n$ echo one; echo two; sleep 60 &\none\n```'), '');
    assert.match(await judged('## a\n```console\n$ echo one &\ntwo\n```'), /^line 3: [^]*is to print/);
    assert.equal(await judged('## a\n<!-- run\n(sleep 0.1; touch there) &\nuntil test -e there\n-->'), '');
  });

  test('refuses what it cannot read', () => {
    assert.throws(() => read('## a\n```console\nhubline\n```'), /line 3: a console block begins with a command/);
    assert.throws(() => read('## a\n<!-- run\ntrue'), /line 2: <!-- run has no end/);
  });
});
