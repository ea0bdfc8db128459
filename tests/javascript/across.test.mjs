// What a hub method does for a connection of another instance: groups and client results, over Redis.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Fleet } from './parts/fleet.mjs';

for (const messagePack of [false, true]) {
  describe(`two instances, answers in ${messagePack ? 'MessagePack' : 'JSON'}`, () => {
    let fleet, here, there;
    before(async () => {
      fleet = await Fleet.conformance(2, { args: ['--parallel', '20'] });
      here = await fleet.client(0);
      there = await fleet.client(1, { messagePack });
    });
    after(() => fleet?.end());

    test('a connection of the other instance becomes a member and is none afterwards', async () => {
      for (let twice = 0; twice < 2; twice++) await here.invoke('AddToGroup', there.id, 'k');
      await here.invoke('SendGroup', 'k', 'member');
      await there.text('member');
      for (let twice = 0; twice < 2; twice++) await here.invoke('RemoveFromGroup', there.id, 'k');
      await here.invoke('SendGroup', 'k', 'nobody');
      await fleet.settled();
      assert.ok(!there.texts.includes('nobody'));
    });

    test('a client of the other instance answers', async () => {
      there.connection.on('Ask', question => `${question}!`);
      const asked = Array.from({ length: 100 }, (_, i) => here.invoke('AskClient', there.id, `é😀 ${i}`));
      assert.deepEqual(await Promise.all(asked), Array.from({ length: 100 }, (_, i) => `é😀 ${i}!`));
      there.connection.off('Ask');
    });

    test('its error, its silence and its end come too', async () => {
      const ask = id => here.invoke('AskClient', id, 'q');
      assert.equal(await ask(there.id), "HubException: Client didn't provide a result.");
      there.connection.on('Ask', () => { throw new Error('no'); });
      assert.match(await ask(there.id), /^HubException: .*no/);

      const leaving = await fleet.client(1, { messagePack });
      const asked = new Promise(resolve => leaving.connection.on('Ask', () => { resolve(); return new Promise(() => {}); }));
      const answer = ask(leaving.id);
      await asked;
      await leaving.stop();
      assert.equal(await answer, 'HubException: Connection disconnected.');
      assert.equal(await ask(leaving.id), `IOException: Connection '${leaving.id}' does not exist.`);
    });
  });
}
