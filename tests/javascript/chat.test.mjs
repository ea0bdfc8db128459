// The chat of the hubline program, anonymous: there a user's id is the connection's.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Fleet } from './parts/fleet.mjs';

const EVENTS = ['ReceiveMessage', 'ReceiveRoomMessage'];

for (const instances of [1, 2, 3]) {
  describe(`chat, instances: ${instances}`, () => {
    let fleet, ada, bob, cy;
    before(async () => {
      fleet = await Fleet.hubline(instances);
      [ada, bob, cy] = await Promise.all([0, 1, 2].map(i => fleet.clientOf(i, '/chathub', { events: EVENTS })));
      for (const client of [ada, bob, cy]) {
        client.id = client.connection.connectionId;
        await client.invoke('JoinRoom', 'everyone');
      }
    });
    after(() => fleet?.end());

    /** As `Fleet.settled`, with what the chat has. */
    async function settled(mark) {
      await ada.invoke('SendToRoom', 'everyone', mark);
      const marked = client => client.of('ReceiveRoomMessage').some(([, message]) => message === mark);
      await Promise.all([ada, bob, cy].map(client => client.until(() => marked(client), () => mark)));
    }

    test('a message reaches its recipient and nobody else', async () => {
      await ada.invoke('SendMessage', bob.id, 'hello bob');
      assert.deepEqual(await bob.calls('ReceiveMessage'), [[ada.id, 'hello bob']]);
      await settled('after the message');
      assert.deepEqual([ada.of('ReceiveMessage'), cy.of('ReceiveMessage')], [[], []]);
      await bob.invoke('SendMessage', ada.id, 'hello ada');
      assert.deepEqual(await ada.calls('ReceiveMessage'), [[bob.id, 'hello ada']]);
    });

    test('a message to somebody who is not there is no error', () => ada.invoke('SendMessage', 'nobody', 'hello?'));

    test('a room message reaches those in the room', async () => {
      await ada.invoke('JoinRoom', 'few');
      await cy.invoke('JoinRoom', 'few');
      await ada.invoke('SendToRoom', 'few', 'just us');
      const found = client => client.of('ReceiveRoomMessage').find(([, message]) => message === 'just us');
      for (const client of [ada, cy]) {
        await client.until(() => found(client), () => JSON.stringify(client.received));
        const [sender, , sentAt] = found(client);
        assert.equal(sender, ada.id);
        assert.ok(Math.abs(Date.parse(sentAt) - Date.now()) < 60_000, `sent at ${sentAt}`);
        // .NET reads seven digits of a second and no more.
        assert.match(sentAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?Z$/);
      }
      await settled('after the room message');
      assert.equal(found(bob), undefined);
    });
  });
}
