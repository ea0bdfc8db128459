// Every command that a document shows as `console` is run, and has to print what is shown below it.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { program } from '../javascript/parts/server.mjs';
import { read } from './parts/document.mjs';
import { Terminal } from './parts/terminal.mjs';

/** A section that hangs fails. */
const LIMIT_MS = 90_000;
const root = resolve(import.meta.dirname, '../..');
const documents = ['README.md', ...readdirSync(join(root, 'docs')).filter(name => name.endsWith('.md')).map(name => `docs/${name}`)];

describe('documents', { concurrency: 4 }, () => {
  let commands = 0;
  for (const name of documents) {
    const { setup, sections } = read(readFileSync(join(root, name), 'utf8'));
    if (!sections.length) continue;
    // Sections that share programs come one after the other, as for readers.
    describe(name, { concurrency: setup.length ? 1 : 4 }, () => {
      let page;
      before(async () => {
        if (!setup.length) return;
        page = await Terminal.open(program('HUBLINE_SERVER'));
        for (const step of setup) await page.run(step);
      }, { timeout: LIMIT_MS });
      after(() => page?.close());
      for (const section of sections) {
        test(section.name, { timeout: LIMIT_MS }, async () => {
          const terminal = await Terminal.open(program('HUBLINE_SERVER'), page);
          try {
            for (const step of section.steps) await terminal.run(step);
          } finally {
            await terminal.close();
          }
        });
        commands += section.steps.length;
      }
    });
  }
  test('there is something to run', () => assert.notEqual(commands, 0));
});
