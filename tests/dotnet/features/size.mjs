import assert from 'node:assert/strict';

const BELOW_LIMIT = 30_000;
const MEGABYTE = 1_000_000;

export const size = [
  {
    feature: 'large messages',
    async run(stage) {
      const client = await stage.open({ via: stage.unlimited });
      for (const length of [BELOW_LIMIT, MEGABYTE]) {
        const text = `${'é'.repeat(BELOW_LIMIT / 2)}${'x'.repeat(length - BELOW_LIMIT / 2)}`;
        assert.ok(await client.invoke('EchoString', text) === text, `${length} characters come back as they went`);
      }
    },
  },
  {
    feature: 'message over the limit',
    async run(stage) {
      const client = await stage.open();
      assert.equal((await client.invoke('EchoString', 'x'.repeat(BELOW_LIMIT))).length, BELOW_LIMIT);
      await assert.rejects(client.invoke('EchoString', 'x'.repeat(MEGABYTE)));
      assert.match(await client.event('closed'), /Connection closed with an error\./);
      assert.equal(await stage.first.invoke('Add', 1, 2), 3);
    },
  },
];
