import assert from 'node:assert/strict';

const needsWebSockets = stage => stage.transport !== 'WebSockets' && 'WebSockets only';
const ROUNDS = 5;
const EACH = 40;

export const reconnect = [
  {
    feature: 'automatic reconnect',
    lacking: ({ client }) => client.before(3, 'automatic reconnect'),
    async run(stage) {
      const client = await stage.open({ reconnect: true });
      await client.invoke('JoinGroup', 'before the cut');
      stage.proxy.block();
      await client.event('reconnecting');
      stage.proxy.unblock();
      const id = await client.event('reconnected');
      assert.notEqual(id, client.id);
      assert.equal((await client.invoke('WhoAmI'))[stage.key('connectionId')], id);
      const text = stage.unique('after the cut');
      await client.invoke('SendGroup', 'before the cut', 'nobody is in that group');
      await client.invoke('SendAll', text);
      await client.text(text);
      assert.ok(!client.texts.includes('nobody is in that group'));
    },
  },
  {
    feature: 'no reconnect unless asked for',
    async run(stage) {
      const client = await stage.open();
      // Blocked, not cut once: the client's HTTP layer asks again by itself when a connection that it reuses is lost.
      stage.proxy.block();
      await client.event('closed');
      stage.proxy.unblock();
      await assert.rejects(client.invoke('Nothing'), /connection is not active/);
    },
  },
  {
    feature: 'stateful reconnect',
    lacking: stage => needsWebSockets(stage) || stage.client.before(8, 'stateful reconnect'),
    async run(stage) {
      const client = await stage.open({ path: '/stateful', stateful: true, reconnect: true });
      const other = await stage.open({ path: '/stateful', via: stage.server });
      for (let round = 0; round < ROUNDS; round++) {
        const [burst] = [other.invoke('BurstTo', client.id, EACH, `to ${round} `), stage.proxy.cut()];
        for (let i = 0; i < EACH; i++) await client.send('SendClient', other.id, `from ${round} ${i}`);
        await burst;
        await client.text(`to ${round} ${EACH - 1}`);
        await other.text(`from ${round} ${EACH - 1}`);
      }
      const all = way => Array.from({ length: ROUNDS * EACH }, (_, i) => `${way} ${Math.floor(i / EACH)} ${i % EACH}`);
      assert.deepEqual(client.texts.filter(text => text.startsWith('to ')), all('to'));
      assert.deepEqual(other.texts.filter(text => text.startsWith('from ')), all('from'));
      assert.deepEqual(client.of('reconnecting'), []);
      assert.deepEqual(await client.state(), { state: 'Connected', connectionId: client.id });
    },
  },
];
