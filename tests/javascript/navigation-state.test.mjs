// The navigation state of the hubline program.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Fleet } from './parts/fleet.mjs';

const CHANGED = 'NavigationStateChanged';

for (const instances of [1, 2, 3]) {
  describe(`navigation state, instances: ${instances}`, () => {
    let fleet;
    before(async () => {
      fleet = await Fleet.hubline(instances);
      for (let i = 0; i < 2 * instances; i++) await fleet.clientOf(i, '/hubs/navigation-state', { events: [CHANGED] });
    });
    after(() => fleet?.end());

    test('who asks gets the state, as result and as event', async () => {
      const [asking, ...others] = fleet.clients;
      const before = Date.now() / 1000;
      const state = await asking.invoke('RequestCurrentState');
      const [[sent]] = await asking.calls(CHANGED);
      assert.deepEqual(Object.keys(sent), Object.keys(state));
      for (const { timestamp } of [state, sent]) {
        assert.equal(typeof timestamp, 'number');
        assert.ok(timestamp > before - 1 && timestamp < Date.now() / 1000 + 1, `Unix seconds: ${timestamp}`);
      }
      for (const other of others) await other.invoke('RequestCurrentState');
      for (const client of fleet.clients) assert.equal(client.of(CHANGED).length, 1);
    });

    test('timestamps have a fraction', async () => {
      const stamps = [];
      for (let i = 0; i < 3; i++) stamps.push((await fleet.clients[0].invoke('RequestCurrentState')).timestamp);
      assert.ok(stamps.some(stamp => !Number.isInteger(stamp)), stamps.join(' '));
    });

    for (let instance = 0; instance < instances; instance++) {
      test(`an update triggered at instance ${instance} reaches every client of every instance`, async () => {
        const seen = fleet.clients.map(client => client.of(CHANGED).length);
        await fleet.servers[instance].post('/api/test/trigger-navigation-update');
        const updates = await Promise.all(fleet.clients.map(async (client, i) => (await client.calls(CHANGED, seen[i] + 1)).slice(seen[i])));
        for (const update of updates) assert.deepEqual(update, updates[0]);
        assert.equal(updates[0].length, 1);
      });
    }
  });
}
