import assert from 'node:assert/strict';

const unexpected = method => `An unexpected error occurred invoking '${method}' on the server.`;
const TEXT = 'Grüße, "quotes" \\ \u0000 \u001e \u2028 😀';
const MANY = 150;

export const calls = [
  {
    feature: 'results',
    async run({ first }) {
      assert.equal(await first.invoke('Add', 1, 2), 3);
      assert.equal(await first.invoke('add', 2, 3), 5, 'names ignore case');
      assert.equal(await first.invoke('renamed'), 'renamed');
      assert.equal(await first.invoke('Nothing'), null);
      assert.equal(await first.invoke('Null'), null);
      assert.equal(await first.invoke('EchoString', TEXT), TEXT);
      assert.equal(await first.invoke('EchoDouble', 1.5), 1.5);
      assert.equal(await first.invoke('EchoLong', 2 ** 53), 2 ** 53);
      assert.deepEqual(await first.invoke('EchoInts', [1, -2, 300]), [1, -2, 300]);
    },
  },
  {
    feature: 'objects and bytes',
    async run(stage) {
      // Newtonsoft's JSON, which version 1.2 knows no other than, begins also the keys of dictionaries with a small letter.
      const isNewtonsoft = stage.protocol === 'newtonsoft' || stage.client.major < 3;
      const scores = { [isNewtonsoft ? 'maths' : 'Maths']: 10 };
      const members = { name: 'Ada', age: 36, email: null, tags: ['x', 'y'], scores };
      const person = Object.fromEntries(Object.entries(members).map(([name, value]) => [stage.key(name), value]));
      assert.deepEqual(await stage.first.invoke('EchoPerson', person), person);
      // JSON has no bytes: what the client reads into no type stays base64.
      const bytes = { $bytes: 'AAEC/w==' };
      assert.deepEqual(await stage.first.invoke('EchoBytes', bytes), stage.protocol !== 'messagepack' ? bytes.$bytes : bytes);
    },
  },
  {
    feature: 'error texts',
    async run({ first }) {
      const fails = (message, ...call) => assert.rejects(first.invoke(...call), { message });
      await fails(`${unexpected('ThrowHub')} HubException: no tea today`, 'ThrowHub', 'no tea today');
      await fails(`${unexpected('ThrowTeapot')} TeapotException: short and stout`, 'ThrowTeapot', 'short and stout');
      await fails(unexpected('Throw'), 'Throw', 'secret');
      await fails("Failed to invoke 'Nope' due to an error on the server. HubException: Method does not exist.", 'Nope');
      await fails("Failed to invoke 'Add' due to an error on the server.", 'Add', 1);
      await fails("Failed to invoke 'Add' due to an error on the server.", 'Add', 1, 'two');
      assert.equal(await first.invoke('Add', 20, 22), 42);
    },
  },
  {
    feature: 'sends without an answer',
    async run(stage) {
      const text = stage.unique('sent');
      await stage.first.send('SendCaller', text);
      await stage.first.send('Throw', 'nobody hears this');
      await stage.first.text(text);
    },
  },
  {
    feature: 'one call after another',
    async run({ first }) {
      assert.deepEqual(await Promise.all([first.invoke('Slow', 50), first.invoke('Add', 1, 1)]), ['slept 50', 2]);
    },
  },
  {
    feature: 'many in order',
    async run(stage) {
      const client = await stage.open();
      for (let i = 0; i < MANY; i++) await client.send('SendCaller', `mine ${i}`);
      await client.invoke('Nothing');
      await stage.second.invoke('BurstTo', client.id, MANY, 'theirs ');
      await client.text(`theirs ${MANY - 1}`);
      const numbers = Array.from({ length: MANY }, (_, i) => i);
      const expected = [...numbers.map(i => `mine ${i}`), ...numbers.map(i => `theirs ${i}`)];
      assert.deepEqual(client.texts.filter(text => /^(mine|theirs) /.test(text)), expected);
    },
  },
];
