// What became of messages sent while Redis was away, by what Redis was asked, in its own order, after it was back.
import assert from 'node:assert/strict';
import { HUB, isReal, PREFIX } from './fleet.mjs';

const ALL = `${PREFIX}${HUB}:all`;
const TEXT = /[rn] (?:JavaScript|dotnet) (?:json|messagepack) \d+/;
/** How long StackExchange.Redis keeps what it cannot send. */
const BACKLOG_MS = 5000;
/** How long Hubline waits for the rest of the fleet before it sends what it kept. */
const OTHERS_MS = 2000;

/** `before`: what Redis was asked until it was killed. */
export function judge(redis, before, senders, clients, t) {
  const subscribed = (asked, server) => asked.filter(({ by, words }) => by === server && words[0] === 'SUBSCRIBE').flatMap(({ words }) => words.slice(1));
  const publishes = redis.asked.flatMap(({ words, ...asked }, at) => words[0] === 'PUBLISH' && words[1] === ALL ? [{ ...asked, at, text: TEXT.exec(words[2])?.[0] }] : []);
  const listening = server => redis.asked.findIndex(({ by, words }) => by === server && words[0] === 'SUBSCRIBE' && words.includes(ALL));
  const after = server => redis.asked[listening(server)].ms - redis.openedMs;
  t.diagnostic(['r', 'n'].map(server => `${server} listened ${after(server).toFixed(0)} ms after Redis was back`).join(', '));

  for (const server of ['r', 'n']) {
    const all = asked => [...new Set(subscribed(asked, server))].filter(channel => channel.startsWith(PREFIX + HUB)).toSorted();
    assert.deepEqual(all(redis.asked).filter(channel => all(before).includes(channel)), all(before), `channels of ${server}`);
    if (!isReal(server)) restoredFirst(server);
  }
  for (const sender of senders) (isReal(sender.at) ? backlogged : kept)(sender);
  for (const client of clients) receives(client);

  /** It subscribes at once, before it sends what waited, and sends that when the others listen or have had their time. */
  function restoredFirst(server) {
    const first = publishes.find(({ by }) => by === server);
    const until = redis.asked.slice(0, first.at);
    const had = new Set(subscribed(until, server));
    assert.deepEqual(subscribed(before, server).filter(channel => channel.startsWith(PREFIX) && !had.has(channel)), [], `${server} sent first`);
    const others = ['r', 'n'].every(other => listening(other) < first.at);
    assert.ok(others || first.ms - redis.asked[listening(server)].ms >= OTHERS_MS, `${server} did not wait for the others`);
  }

  /** Hubline: all succeed and are sent once, in order. */
  function kept({ title, sends, texts }) {
    for (const { text, outcome } of sends) assert.match(outcome, / ms ok$/, text);
    assert.deepEqual(publishes.map(({ text }) => text).filter(text => text?.startsWith(`${title} `)), texts);
  }

  /** ASP.NET Core: what succeeds is sent once; what it gave up, not before it is too old, is never sent. */
  function backlogged({ sends }) {
    for (const { text, outcome } of sends) {
      const count = publishes.filter(publish => publish.text === text).length;
      const [, ms] = /^(\d+) ms Redis\w+Exception: .* timed out in the backlog/.exec(outcome) ?? [];
      if (ms === undefined) assert.match(outcome, / ms ok$/, text);
      else assert.ok(ms >= BACKLOG_MS - 100, `${text}: ${outcome}`);
      assert.equal(count, ms === undefined ? 1 : 0, `${text}: ${outcome}`);
    }
  }

  /** A client gets what was sent once its server listened, and from Hubline what that server's own clients sent. */
  function receives(client) {
    const from = listening(client.at);
    const published = publishes.filter(({ at, text }) => text && at > from).map(({ text }) => text);
    const own = isReal(client.at) ? [] : senders.filter(({ at }) => at === client.at).flatMap(({ texts }) => texts);
    const expected = [...new Set([...published, ...own])];
    const received = client.texts.filter(text => TEXT.exec(text)?.[0] === text);
    assert.deepEqual(received.toSorted(), expected.toSorted(), client.title);
    for (const sender of senders) {
      if (isReal(sender.at)) continue;
      const order = sender.textsAt(client);
      assert.deepEqual(order, sender.texts.filter(text => order.includes(text)), `${sender.title} at ${client.title}`);
    }
  }
}
