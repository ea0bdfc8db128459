import { equal, rejects } from '../expect.mjs';

/** Subscribes; `items` so far, and `ended`, which is rejected with the error of the stream. */
function follow(stream, onItem = () => {}) {
  const items = [];
  const followed = { items };
  followed.ended = new Promise((resolve, reject) => {
    followed.subscription = stream.subscribe({ next: item => { items.push(item); onItem(item); }, complete: () => resolve(items), error: reject });
  });
  return followed;
}

/** Sends the items and ends the stream; the call that it is an argument of has begun. */
function feed(subject, items) {
  for (const item of items) subject.next(item);
  subject.complete();
}

export const streams = [
  {
    name: 'stream to the client',
    async run({ first }) {
      equal(await follow(first.connection.stream('Counter', 5, 0)).ended, [0, 1, 2, 3, 4], 'Counter');
      equal(await follow(first.connection.stream('CounterChannel', 200)).ended, Array.from({ length: 200 }, (_, i) => i), 'CounterChannel');
      equal(await follow(first.connection.stream('Counter', 0, 0)).ended, [], 'an empty stream');
      const two = [3, 4].map(count => follow(first.connection.stream('Counter', count, 1)).ended);
      equal(await Promise.all(two), [[0, 1, 2], [0, 1, 2, 3]], 'two streams at once');
    },
  },
  {
    name: 'stream to the client that fails',
    async run({ first }) {
      const broken = follow(first.connection.stream('StreamThrow', 2, true));
      await rejects(broken.ended, 'An error occurred on the server while streaming results. HubException: stream broke');
      equal(broken.items, [0, 1], 'the items before');
      await rejects(follow(first.connection.stream('StreamThrow', 1, false)).ended, 'An error occurred on the server while streaming results.');
      await rejects(follow(first.connection.stream('Nope')).ended, "Failed to invoke 'Nope' due to an error on the server. HubException: Method does not exist.");
      await rejects(follow(first.connection.stream('Add', 1, 2)).ended, "The client attempted to invoke the non-streaming 'Add' method with a streaming invocation.");
    },
  },
  {
    name: 'stream to the client that is cancelled',
    async run(stage) {
      await stage.second.invoke('TakeLog');
      await new Promise((resolve, reject) => {
        const endless = follow(stage.first.connection.stream('Counter', 1_000_000, 1), item => { if (item === 3) resolve(endless.subscription.dispose()); });
        endless.ended.then(() => reject(new Error('the stream ended')), reject);
      });
      await stage.logged(/^counter cancelled$/);
      equal(await stage.first.invoke('Add', 1, 2), 3, 'a call after the stream');
    },
  },
  {
    name: 'upload',
    async run({ signalR, first }) {
      const [numbers, none, words] = [new signalR.Subject(), new signalR.Subject(), new signalR.Subject()];
      const [sum, zero, text] = [first.invoke('UploadSum', numbers), first.invoke('UploadSum', none), first.invoke('UploadConcat', words, '+')];
      feed(numbers, [1, 2, 3]);
      feed(none, []);
      feed(words, ['é', '', '😀']);
      equal(await Promise.all([sum, zero, text]), [6, 0, 'é++😀'], 'the results');
    },
  },
  {
    name: 'upload that fails',
    async run({ signalR, first }) {
      const [words, numbers] = [new signalR.Subject(), new signalR.Subject()];
      const text = first.invoke('UploadConcat', words, ' ');
      words.next('one');
      words.error(new Error('upload broke'));
      equal(await text, 'one HubException: upload broke');
      const sum = first.invoke('UploadSum', numbers);
      numbers.error('upload broke');
      await rejects(sum, "An unexpected error occurred invoking 'UploadSum' on the server. HubException: upload broke");
    },
  },
  {
    name: 'two uploads at once',
    async run({ signalR, first }) {
      const [numbers, words] = [new signalR.Subject(), new signalR.Subject()];
      const both = [first.invoke('UploadSum', numbers), first.invoke('UploadConcat', words, '+')];
      words.next('one');
      numbers.next(1);
      words.next('two');
      numbers.next(2);
      words.complete();
      numbers.complete();
      equal(await Promise.all(both), [3, 'one+two'], 'the results');
    },
  },
  {
    name: 'two uploads in one call',
    lacking: () => 'this client passes over the second of two streams that follow each other in the arguments',
  },
  {
    name: 'upload and stream at once',
    async run({ signalR, first }) {
      const sent = ['a', 'b', 'c', 'd'];
      const words = new signalR.Subject();
      const next = () => (sent.length > echoed.items.length ? words.next(sent[echoed.items.length]) : words.complete());
      const echoed = follow(first.connection.stream('UploadEcho', words), next);
      next();
      equal(await echoed.ended, sent, 'the echo');
    },
  },
];
