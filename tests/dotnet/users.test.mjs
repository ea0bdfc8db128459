// The C# tests in a user's document, compiled: three .NET clients on three instances, and the backplane's channels on Redis.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { Cluster } from '../javascript/parts/cluster.mjs';
import { Process } from '../javascript/parts/process.mjs';
import { besidePeer } from '../javascript/parts/server.mjs';

function absent() {
  if (!process.env.HUBLINE_PEER) return 'HUBLINE_PEER names no .NET client';
  return existsSync(besidePeer('users-test')) ? false : 'there is no users-test beside the program that HUBLINE_PEER names';
}
const skip = absent();
if (skip) console.log(`notice: ${skip}, so the users' C# tests are not run`);

describe("the users' C# tests", { skip }, () => {
  let cluster;
  before(async () => { cluster = await Cluster.start('conduit'); });
  after(async () => { await cluster?.end(); });

  test('pass against three instances with deploy/conduit.env', async () => {
    const args = ['--urls', cluster.urls.join(','), '--redis', `127.0.0.1:${cluster.redisPort}`];
    const tests = new Process(besidePeer('users-test'), args);
    // It may have to be unpacked first.
    assert.equal(await tests.ended, 0, tests.lines.join('\n'));
    assert.match(tests.lines.at(-1), /^2 passed, 0 failed$/);
  });
});
