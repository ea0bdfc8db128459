// One hub served by ASP.NET Core and Hubline over one Redis: rows 3 to 23 of the plan in conformance/redis, each with the
// official .NET client on both sides.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Process } from '../javascript/parts/process.mjs';
import { Redis } from '../javascript/parts/redis.mjs';
import { Server } from '../javascript/parts/server.mjs';
import { record } from './parts/results.mjs';

const PROGRAM = process.env.HUBLINE_PEER;
const ROWS = fileURLToPath(new URL('../../conformance/redis/mixed.mjs', import.meta.url));
const RESULT = { client: '.NET', version: '10.0.15', environment: '.NET 10', transport: 'WebSockets', protocol: 'both', feature: 'mixed fleet' };
const reason = PROGRAM ? false : 'HUBLINE_PEER names no ASP.NET Core server';
if (reason) {
  console.log(`notice: ${reason}, so no mixed fleet is tested`);
  record({ ...RESULT, outcome: 'skipped', detail: reason });
}

test('a fleet mixed with ASP.NET Core, in both directions', { skip: reason, timeout: 240_000 }, async t => {
  const redis = await Redis.start();
  const args = ['--redis', `${redis.connectionString},channelPrefix=conf:`, '--parallel', '20', '--max-message', 'none'];
  const servers = await Promise.all([Server.peer(...args), Server.conformance(...args)]);
  try {
    await Promise.all(servers.map(server => server.start()));
    const [real, own] = servers.map(server => server.url);
    const rows = new Process(process.execPath, [ROWS, '--client', `${PROGRAM} client`, '--r', real, '--n', own]);
    const code = await rows.ended;
    for (const line of rows.lines) t.diagnostic(line);
    for (const line of rows.lines.filter(line => /^ ?\d+ (ok|FAIL) /.test(line))) {
      record({ ...RESULT, outcome: line.includes('FAIL') ? 'failed' : 'passed', detail: line.includes('FAIL') ? line : '' });
    }
    assert.equal(code, 0, rows.lines.join('\n'));
    assert.ok(rows.lines.length > 90, rows.lines.join('\n'));
  } finally {
    await Promise.all(servers.map(server => server.process?.stop()));
    await redis.stop();
  }
});
