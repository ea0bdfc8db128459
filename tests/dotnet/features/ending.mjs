import assert from 'node:assert/strict';

export const ending = [
  {
    feature: 'stop',
    async run(stage) {
      const client = await stage.open();
      await client.stop();
      assert.equal(await client.event('closed'), null);
      await stage.logged(new RegExp(`disconnected ${client.label} -$`));
    },
  },
  {
    feature: 'abort by the server',
    async run(stage) {
      const client = await stage.open();
      await client.send('Abort');
      await client.event('closed');
      await stage.logged(new RegExp(`disconnected ${client.label} -$`));
    },
  },
  {
    feature: 'error while connecting',
    async run(stage) {
      const client = await stage.start({ path: '/conformance?onConnected=throwHub' });
      assert.equal(await client.event('closed'), 'The server closed the connection with the following error: Connection closed with an error. HubException: refused');
    },
  },
];
