// What ASP.NET Core answers on one server, three instances answer together: the recorded cases of everything that is HTTP,
// each TCP connection to the next instance.
import assert from 'node:assert/strict';
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Fleet } from './parts/fleet.mjs';
import { Process } from './parts/process.mjs';
import { RoundRobin } from './parts/round-robin.mjs';

const CONFORMANCE = fileURLToPath(new URL('../../conformance', import.meta.url));
const FILES = [
  'authorization', 'endpoints', 'handshake', 'identity', 'long-polling', 'negotiate', 'reaper', 'refresh', 'server-sent-events', 'stateful-reconnect',
  'transports', 'websockets',
];

/** Cases that may differ, each with the reason. */
const DIFFERENT = {
  'websockets/skip-negotiate': 'a WebSocket without negotiation has no token, and its id is not looked for elsewhere: 404 instead of 409',
  'stateful-reconnect/lifetime-not-repeated': 'reads the log of one instance, which may be another',
  'stateful-reconnect/http-context-is-the-newest': 'reads the log of one instance, which may be another',
};

test('recorded cases, each request on any of three instances', { timeout: 300_000 }, async t => {
  const fleet = await Fleet.conformance(3);
  t.after(() => fleet.end());
  const balancer = await RoundRobin.start(fleet.servers);
  t.after(() => balancer.stop());
  const folder = await mkdtemp(join(tmpdir(), 'recorded-'));
  t.after(() => rm(folder, { recursive: true }));
  for (const file of FILES) await copyFile(join(CONFORMANCE, 'cases', `${file}.json`), join(folder, `${file}.json`));

  const report = join(folder, 'report');
  const runner = new Process(process.execPath, [
    join(CONFORMANCE, 'runner.mjs'), '--url', balancer.url, '--cases', folder, '--exact', '--skip-quirks', '--report', report,
  ]);
  await runner.ended;
  const { results, passed } = JSON.parse(await readFile(report, 'utf8'));
  t.diagnostic(`answered as by one server: ${passed} of ${results.length}`);
  assert.ok(passed > 250, `only ${passed} passed`);
  const failed = results.filter(({ name, failure }) => failure && !(name in DIFFERENT));
  assert.deepEqual(failed, [], runner.lines.join('\n'));
});
