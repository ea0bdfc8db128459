// What the program's pages use of others: each file is the one of its npm package, and the licence beside it has its hash.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';

const ASSETS = new URL('../../crates/server/assets/', import.meta.url);
const MODULES = new URL('node_modules/', import.meta.url);
const SUFFIX = '.LICENSE';

test('each file of others is that of its package, and its licence has the hash', async () => {
  const licences = (await readdir(ASSETS)).filter(name => name.endsWith(SUFFIX));
  assert.ok(licences.includes(`signalr.min.js${SUFFIX}`), `${licences}`);
  for (const licence of licences) {
    const name = licence.slice(0, -SUFFIX.length);
    const [asset, text] = await Promise.all([readFile(new URL(name, ASSETS)), readFile(new URL(licence, ASSETS), 'utf8')]);
    assert.equal(text.match(/^SHA-256: ([0-9a-f]{64})$/m)?.[1], createHash('sha256').update(asset).digest('hex'), `${licence} has another hash than ${name}`);
    const [, packageName, version, folder] = text.match(/^From the npm package (\S+) (\S+), ([^\s,]+)/m) ?? assert.fail(`${licence} names no npm package`);
    const place = new URL(`${packageName}/`, MODULES);
    assert.equal(JSON.parse(await readFile(new URL('package.json', place), 'utf8')).version, version, licence);
    const original = await readFile(new URL(`${folder.replace(/\.$/, '')}/${name}`, place), 'utf8');
    assert.equal(asset.toString().trimEnd(), original.replace(/\n\/\/# sourceMappingURL=.*/, '').trimEnd(), `${name} is not that of ${packageName} ${version}`);
  }
});
