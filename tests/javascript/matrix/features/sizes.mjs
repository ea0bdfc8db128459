import { equal, matches, rejects } from '../expect.mjs';

const LIMIT_BYTES = 32 * 1024;
const LARGE = 'x'.repeat(30_000);

export const sizes = [
  {
    name: 'large message up',
    async run({ first }) {
      equal(await first.invoke('EchoString', LARGE), LARGE);
      const more = 'é😀'.repeat(5_000);
      equal(await first.invoke('EchoString', more), more, 'characters of several bytes');
    },
  },
  {
    name: 'large message down',
    async run({ signalR, first }) {
      const words = new signalR.Subject();
      const all = first.invoke('UploadConcat', words, '|');
      const parts = Array.from({ length: 17 }, (_, i) => `${i}${LARGE}`);
      for (const part of parts) words.next(part);
      words.complete();
      equal(await all, parts.join('|'));
    },
  },
  {
    name: 'message over the limit',
    async run(stage) {
      const client = await stage.open();
      await rejects(client.invoke('EchoString', 'x'.repeat(LIMIT_BYTES)), /./);
      matches(await client.event('closed'), /Connection closed with an error\./, 'the error of the connection');
      equal(await stage.first.invoke('Add', 1, 2), 3, 'what another connection is answered');
    },
  },
];
