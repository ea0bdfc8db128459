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

const UNKNOWN_ELSEWHERE = 'a WebSocket without negotiation has no token, and its id is not looked for elsewhere: 404';
const ANOTHERS_LOG = 'reads the log of one instance, which may be another';
const TOKEN_FIRST = 'the token proves that it is another user\'s, so the instance with the connection is not asked what else is wrong: 403, or 409 for a poll';

/** Cases that may differ, each with the reason. */
const DIFFERENT = {
  'identity/before-the-transport-by-another': TOKEN_FIRST,
  'identity/delete-by-another-sse': TOKEN_FIRST,
  'identity/other-transport-by-another': TOKEN_FIRST,
  'identity/post-websocket-by-another': TOKEN_FIRST,
  'identity/second-socket-by-another': TOKEN_FIRST,
  'identity/second-sse-by-another': TOKEN_FIRST,
  'identity/skipped-negotiation': UNKNOWN_ELSEWHERE,
  'refresh/callback-before-the-transport': ANOTHERS_LOG,
  'refresh/capped-poll-by-another': TOKEN_FIRST,
  'refresh/first-poll-by-another': TOKEN_FIRST,
  'refresh/poll-refused-disconnects': ANOTHERS_LOG,
  'refresh/skipped-negotiation': UNKNOWN_ELSEWHERE,
  'stateful-reconnect/lifetime-not-repeated': ANOTHERS_LOG,
  'stateful-reconnect/http-context-is-the-newest': ANOTHERS_LOG,
  'websockets/skip-negotiate': UNKNOWN_ELSEWHERE,
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
  assert.ok(passed > 400, `only ${passed} passed`);
  const failed = results.filter(({ name, failure }) => failure && !(name in DIFFERENT));
  assert.deepEqual(failed, [], runner.lines.join('\n'));
});
