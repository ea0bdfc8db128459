import { equal, rejects } from '../expect.mjs';

const failed = method => `Failed to invoke '${method}' due to an error on the server.`;
const threw = method => `An unexpected error occurred invoking '${method}' on the server.`;
const UNICODE = 'Grüße, "quotes" \\ \u0000 \u001e \u2028 😀';

/** Bytes as the hub protocol carries them, and back as numbers: JSON has base64. */
const bytesOf = {
  json: { write: bytes => btoa(String.fromCharCode(...bytes)), read: text => Array.from(atob(text), character => character.charCodeAt(0)) },
  messagepack: { write: bytes => Uint8Array.from(bytes), read: bytes => Array.from(bytes) },
};

export const calls = [
  {
    name: 'call with a result',
    async run({ first }) {
      equal(await first.invoke('Add', 1, 2), 3);
      equal(await first.invoke('add', 2, 3), 5, 'a method in another case');
      equal(await first.invoke('renamed'), 'renamed', 'a method under another name');
      equal(await Promise.all([first.invoke('Slow', 5), first.invoke('Add', 1, 1)]), ['slept 5', 2], 'two calls at once');
    },
  },
  {
    name: 'call with values of every kind',
    async run({ first, protocol }) {
      for (const [method, value] of [
        ['EchoString', UNICODE], ['EchoString', ''], ['EchoString', null], ['EchoInt', -2_147_483_648], ['EchoLong', 2 ** 40],
        ['EchoDouble', 1.5], ['EchoBool', true], ['EchoNullableInt', null], ['EchoInts', [1, -2, 300_000]],
      ]) equal(await first.invoke(method, value), value, method);
      const { write, read } = bytesOf[protocol];
      equal(read(await first.invoke('EchoBytes', write([0, 1, 255]))), [0, 1, 255], 'EchoBytes');
    },
  },
  {
    name: 'call with an object',
    async run(stage) {
      const person = stage.object({ name: 'Ada', age: 36, email: null, tags: ['x', 'ÿ'], scores: { Maths: 10 } });
      equal(await stage.first.invoke('EchoPerson', person), person);
    },
  },
  {
    name: 'call without a result',
    async run({ first }) {
      for (const method of ['Nothing', 'NothingAsync', 'Null']) equal(await first.invoke(method) ?? null, null, method);
    },
  },
  {
    name: 'call that fails',
    async run({ first }) {
      await rejects(first.invoke('ThrowHub', 'no tea today'), `${threw('ThrowHub')} HubException: no tea today`);
      await rejects(first.invoke('ThrowTeapot', 'short and stout'), `${threw('ThrowTeapot')} TeapotException: short and stout`);
      await rejects(first.invoke('Throw', 'secret'), threw('Throw'));
      await rejects(first.invoke('Nope', 1), `${failed('Nope')} HubException: Method does not exist.`);
      await rejects(first.invoke('Add', 1), failed('Add'));
      await rejects(first.invoke('Add', 1, 'two'), failed('Add'));
      await rejects(first.invoke('SignedIn'), "Failed to invoke 'SignedIn' because user is unauthorized");
      await rejects(first.invoke('Counter', 1, 0), "The client attempted to invoke the streaming 'Counter' method with a non-streaming invocation.");
      equal(await first.invoke('Add', 20, 22), 42, 'a call after the errors');
    },
  },
  {
    name: 'send without an answer',
    async run(stage) {
      const text = stage.unique('no answer');
      await stage.first.send('Throw', 'nobody hears this');
      await stage.first.send('SendCaller', text);
      await stage.first.text(text);
    },
  },
  {
    name: '1,000 numbered messages',
    async run(stage) {
      const { first, second } = stage;
      const batch = stage.unique('number');
      const expected = Array.from({ length: 1000 }, (_, i) => `${batch}/${i}`);
      await Promise.all(expected.map(text => first.send('SendClient', second.id, text)));
      await second.text(expected.at(-1));
      await stage.settled(first, [second]);
      equal(second.texts.filter(text => text.startsWith(`${batch}/`)), expected, 'what arrived');
    },
  },
];
