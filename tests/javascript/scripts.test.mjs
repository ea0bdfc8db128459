// deploy/scripts, as people run them, on what `cargo xtask cluster 3 --as conduit` starts.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Cluster } from './parts/cluster.mjs';
import { besidePeer, program } from './parts/server.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MODULES = fileURLToPath(new URL('node_modules', import.meta.url));
const LIMIT_MS = 60_000;

function run(command, args) {
  const env = { ...process.env, HUBLINE: program('HUBLINE_SERVER'), NODE_PATH: MODULES };
  return new Promise(resolve => {
    execFile(command, args, { cwd: ROOT, env, timeout: LIMIT_MS }, (error, stdout, stderr) => {
      resolve({ code: error ? error.code : 0, output: stdout + stderr });
    });
  });
}

function noPowerShell() {
  if (!process.env.HUBLINE_PEER) return 'HUBLINE_PEER names no programs of .NET';
  return existsSync(besidePeer('pwsh')) ? false : 'there is no pwsh beside the program that HUBLINE_PEER names';
}
const skip = noPowerShell();
if (skip) console.log(`notice: ${skip}, so Test-SignalRBackplane.ps1 is not run`);

describe('deploy/scripts', { concurrency: false }, () => {
  let cluster;
  before(async () => { cluster = await Cluster.start('conduit'); });
  after(async () => { assert.equal(await cluster?.end(), 0); });

  const inSh = args => run('sh', ['deploy/scripts/Test-SignalRBackplane.sh', ...args]);
  const inPowerShell = args => run(besidePeer('pwsh'), ['-NoProfile', '-File', 'deploy/scripts/Test-SignalRBackplane.ps1', ...args]);
  for (const [name, script, options] of [['sh', inSh, {}], ['PowerShell', inPowerShell, { skip }]]) {
    test(`Test-SignalRBackplane for ${name} says whether instances work together`, options, async () => {
      const redis = ['-Redis', `127.0.0.1:${cluster.redisPort}`];
      const right = await script(['-ApiUrls', cluster.urls.join(','), ...redis, '-VirtualKey', 'test-key-123', '-TestDurationSeconds', '60']);
      assert.equal(right.code, 0, right.output);
      for (const says of ['✓ 81 of 81 messages arrived', '✓ 9 of 9 messages were seen', '✓ 3 instances at 3 addresses', `✓ ${cluster.urls[2]} lets it in`]) {
        assert.ok(right.output.includes(says), `${says}\n${right.output}`);
      }
      const wrong = await script(['-ApiUrls', 'http://127.0.0.1:1', ...redis, '-AdminKey', 'an-admin-key']);
      assert.ok(wrong.code === 1 && wrong.output.includes('refused'), wrong.output);
    });
  }

  test("the scenarios of the users' C# tests", async () => {
    const args = ['deploy/scripts/signalr-backplane-tests.cjs', '--urls', cluster.urls.join(','), '--redis', `127.0.0.1:${cluster.redisPort}`];
    const right = await run('node', args);
    assert.ok(right.code === 0 && right.output.includes('2 passed, 0 failed'), right.output);
    const wrong = await run('node', [...args, '--prefix', 'other:', '--seconds', '1']);
    assert.ok(wrong.code === 1 && wrong.output.includes('✗ SignalR_UsesRedisBackplane'), wrong.output);
  });
});
