// The chat of the hubline program, anonymous: there a user's id is the connection's.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Fleet } from './parts/fleet.mjs';
import { KEY } from './parts/token.mjs';

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

// What the methods return and the events bring, in either protocol: .NET's names, and its times.
for (const messagePack of [false, true]) {
  describe(`chat that is kept, ${messagePack ? 'MessagePack' : 'JSON'}`, () => {
    const name = text => messagePack ? text[0].toUpperCase() + text.slice(1) : text;
    const named = members => Object.fromEntries(Object.entries(members).map(([key, value]) => [name(key), value]));
    const isTime = value => messagePack ? assert.ok(value instanceof Date) : assert.match(value, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?Z$/);
    const all = ['ReceiveMessage', 'ReceiveRoomMessage', 'MessageSent', 'MessageReceived', 'MessagesRead', 'UserTyping', 'UserJoined', 'UserLeft'];
    let fleet, ada, bob;
    before(async () => {
      fleet = await Fleet.hubline(1, { args: [`--Jwt:Key=${KEY}`] });
      [ada, bob] = await Promise.all([['ada', '/chathub?events=true'], ['bob', '/chathub']].map(([user, path]) => fleet.clientOf(0, path, { events: all, user, messagePack })));
    });
    after(() => fleet?.end());

    test('a message is answered, told and found again', async () => {
      const request = named({ to: 'bob', text: 'hello', clientMessageId: 'm1' });
      const sent = await ada.invoke('Send', request);
      assert.deepEqual(Object.keys(sent), ['id', 'sentAt'].map(name));
      isTime(sent[name('sentAt')]);
      assert.deepEqual(await ada.invoke('Send', request), sent);
      assert.deepEqual(await bob.calls('ReceiveMessage'), [['ada', 'hello']]);
      assert.deepEqual(await ada.calls('MessageSent'), [['bob', 'hello', sent[name('sentAt')]]]);
      const message = named({ id: 1, from: 'ada', to: 'bob', room: null, text: 'hello', sentAt: sent[name('sentAt')] });
      assert.deepEqual(await ada.calls('MessageReceived'), [[message]]);
      assert.deepEqual(await bob.invoke('GetHistory', named({ with: 'ada' })), [message]);
      const [conversation] = await bob.invoke('GetConversations');
      assert.equal(conversation[name('unreadCount')], 1);
      const { [name('next')]: next, ...page } = await bob.invoke('GetSince', named({ after: null, limit: 10 }));
      assert.deepEqual(page, named({ messages: [message], hasMore: false }));
      assert.deepEqual((await bob.invoke('GetSince', named({ after: next })))[name('messages')], []);
      await bob.invoke('MarkAsRead', 'ada');
      const [[reader, at]] = await ada.calls('MessagesRead');
      assert.equal(reader, 'bob');
      isTime(at);
      await bob.invoke('UserTyping', 'ada');
      assert.deepEqual(await ada.calls('UserTyping'), [['bob']]);
      // Nobody asked here.
      assert.deepEqual(bob.of('MessageReceived'), []);
    });

    test('who comes and goes is told to those in the room', async () => {
      await ada.invoke('JoinRoom', 'ward');
      const second = await fleet.clientOf(0, '/chathub', { events: all, user: 'bob', messagePack });
      for (const device of [bob, second]) await device.invoke('JoinRoom', 'ward');
      await second.stop();
      await bob.invoke('LeaveRoom', 'ward');
      const [[user, at]] = await ada.calls('UserLeft');
      assert.equal(user, 'bob');
      isTime(at);
      assert.deepEqual((await ada.calls('UserJoined', 2)).map(([user]) => user), ['ada', 'bob']);
      await assert.rejects(bob.invoke('SendToRoom', 'ward', 'x'), /you have not joined this room/);
      await fleet.servers[0].process.line(/User connected to chat: ada/);
      await fleet.servers[0].process.line(/User disconnected from chat: bob/);
    });
  });
}
