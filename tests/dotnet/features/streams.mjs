import assert from 'node:assert/strict';

const needsUploads = ({ client }) => client.before(3, 'uploads');
const broke = "An error occurred on the server while streaming results.";

export const streams = [
  {
    feature: 'streams',
    async run({ first }) {
      const counter = first.stream('Counter', 100, 0);
      assert.deepEqual(await counter.ended, { items: 100 });
      assert.deepEqual(counter.items(), Array.from({ length: 100 }, (_, i) => i));
      const channel = first.stream('CounterChannel', 3);
      await channel.ended;
      assert.deepEqual(channel.items(), [0, 1, 2]);
      assert.deepEqual(await first.stream('Counter', 0, 0).ended, { items: 0 });
    },
  },
  {
    feature: 'stream errors',
    async run({ first }) {
      const hidden = first.stream('StreamThrow', 2, false);
      await assert.rejects(hidden.ended, { message: broke });
      assert.deepEqual(hidden.items(), [0, 1]);
      await assert.rejects(first.stream('StreamThrow', 0, true).ended, { message: `${broke} HubException: stream broke` });
      await assert.rejects(first.stream('Add', 1, 2).ended, { message: "The client attempted to invoke the non-streaming 'Add' method with a streaming invocation." });
      await assert.rejects(first.invoke('Counter', 1, 0), { message: "The client attempted to invoke the streaming 'Counter' method with a non-streaming invocation." });
    },
  },
  {
    feature: 'stream cancelled',
    async run(stage) {
      const stream = stage.first.stream('Counter', 1_000_000, 5);
      const cancelled = assert.rejects(stream.ended, /cancel/);
      await stage.first.until(() => stream.items().length >= 3);
      await stream.cancel();
      await cancelled;
      await stage.logged(/counter cancelled/);
      assert.equal(await stage.first.invoke('Add', 1, 2), 3);
    },
  },
  {
    feature: 'uploads',
    lacking: needsUploads,
    async run({ first }) {
      const upload = (items, more) => ({ $upload: items, ...more });
      assert.equal(await first.invoke('UploadSum', upload([1, 2, 3])), 6);
      assert.equal(await first.invoke('UploadSum', upload([])), 0);
      assert.equal(await first.invoke('UploadConcat', upload(['a', 'b'], { delayMs: 5 }), '-'), 'a-b');
      // Not UploadTwo: the client disposes of what both streams share as soon as one has ended.
    },
  },
  {
    feature: 'upload that fails',
    lacking: needsUploads,
    async run({ first }) {
      const words = await first.invoke('UploadConcat', { $upload: ['a'], error: 'spilt' }, '|');
      assert.match(words, /^a\|HubException: Stream errored by client: 'System\.InvalidOperationException: spilt/);
    },
  },
  {
    feature: 'streams both ways at once',
    lacking: needsUploads,
    async run({ first }) {
      const echo = first.stream('UploadEcho', { $upload: ['a', 'b', 'c'], delayMs: 5 });
      await echo.ended;
      assert.deepEqual(echo.items(), ['a', 'b', 'c']);
    },
  },
];
