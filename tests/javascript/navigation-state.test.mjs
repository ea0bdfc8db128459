// The navigation state of the hubline program.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

describe('navigation state of three instances over one database', () => {
  const events = [CHANGED, 'ModelMappingChanged', 'ModelUpdate', 'ProviderHealthChanged'];
  let fleet, directory;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'hubline-'));
    fleet = await Fleet.hubline(3, { args: [`--ConnectionStrings:Database=Data Source=${join(directory, 'test.db')}`] });
    for (let i = 0; i < 6; i++) await fleet.clientOf(i, '/hubs/navigation-state', { events, messagePack: i > 2 });
  });
  after(async () => {
    await fleet?.end();
    await rm(directory, { recursive: true, force: true });
  });
  const admin = async (instance, method, path, body) => {
    const response = await fetch(`${fleet.servers[instance].url}/api/admin/${path}`, {
      method, headers: { 'content-type': 'application/json' }, body: body && JSON.stringify(body),
    });
    assert.ok(response.ok, `${method} ${path}: ${response.status}`);
    return response;
  };

  test('what one instance changes, clients of all are told, with its version', async () => {
    const [subscribed] = fleet.clients;
    await subscribed.invoke('SubscribeToModel', 'gpt');
    const mapping = { virtualModelName: 'gpt', providerModelName: 'gpt-3.5-turbo', providerName: 'openai' };
    const { id } = await (await admin(1, 'POST', 'model-mappings', mapping)).json();
    await admin(2, 'DELETE', `model-mappings/${id}`);
    for (const client of fleet.clients) {
      const changes = (await client.calls('ModelMappingChanged', 2)).map(([change]) => [change.changeType, change.version, change.virtualModelName]);
      assert.deepEqual(changes, [['Created', 1, 'gpt'], ['Deleted', 2, 'gpt']]);
      await client.until(() => client.of(CHANGED).at(-1)?.[0].version === 2, () => JSON.stringify(client.of(CHANGED)));
      const versions = client.of(CHANGED).map(([state]) => state.version);
      assert.deepEqual(versions, versions.toSorted((a, b) => a - b));
    }
    assert.equal((await subscribed.calls('ModelUpdate', 2)).length, 2);
    const response = await fetch(`${fleet.servers[0].url}/api/navigation-state`);
    const etag = response.headers.get('etag');
    assert.deepEqual([etag, (await response.json()).version], ['W/"2"', 2]);
    assert.equal((await fetch(response.url, { headers: { 'if-none-match': etag } })).status, 304);
  });
});
