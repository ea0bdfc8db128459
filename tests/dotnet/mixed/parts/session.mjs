import { isDeepStrictEqual } from 'node:util';
import { poll } from '../../../javascript/parts/until.mjs';
import { Ledger } from './ledger.mjs';
import { connectionName, normalised, recorded, SERVER_NAMES } from './vectors.mjs';

let texts = 0;

/**
 * One direction of the plan: server `x` acts and server `y` is the other, with the clients x1 and y1 (JSON) and x2 and y2
 * (MessagePack, user ada). Everything sent has a text of its own; `settle` says whether exactly the right clients got it.
 */
export class Session {
  #begun = 0;
  #clients = new Set();
  #ledger = new Ledger();

  constructor(fleet, players, x, y) { Object.assign(this, { fleet, players, x, y }); }

  /** From here on whatever the servers ask of Redis belongs to the next step. */
  begin() { this.#begun = this.fleet.commands.length; }

  /**
   * Connects a client under a name that begins with its server's; `plays`: which connection of the vector it is. `at`: another
   * address of the server. More options: those of the players.
   */
  async connect(name, vector, { plays = { x1: 'A1', x2: 'A2' }[name], at = this.fleet.servers[this[name[0]]], ...options } = {}) {
    const messagePack = name.endsWith('2');
    const connecting = () => this.players.connect(at, { messagePack, ...(messagePack && { user: 'ada' }), ...options });
    const joined = client => {
      this.#clients.add(client);
      this[name] = client;
      return { [plays]: client };
    };
    await this.looksLike(vector, connecting, { joined });
  }

  /**
   * Runs a step and waits until what the servers asked of Redis looks as it was recorded, no more and no less. Returns what the
   * step does.
   *
   * `as`: which client plays a recorded connection, where it is not A1 for x1 and so on. `swapped`: y is the recorded server A.
   * `edits`: pieces of the recorded JSON that are others here. `receivers`: what PUBLISH answers where it is not what was recorded.
   */
  async looksLike(vector, action, { as = {}, swapped = false, unordered = false, joined, ...changes } = {}) {
    const result = await action();
    const [a, b] = swapped ? [this.y, this.x] : [this.x, this.y];
    const roles = Object.entries({ ...as, ...joined?.(result) });
    const players = [...Object.entries({ A1: this.x1, A2: this.x2, B1: this.y1, B2: this.y2 }), ...roles].filter(([, client]) => client);
    const ids = new Map(players.map(([name, client]) => [client.id, connectionName(name)]));
    const names = [...ids, [this.fleet.nameOf(a), SERVER_NAMES.A], [this.fleet.nameOf(b), SERVER_NAMES.B]];
    const ordered = commands => unordered ? commands.toSorted((p, q) => p.channel < q.channel ? -1 : 1) : commands;
    const expected = ordered(recorded(vector, changes).map(c => ({ ...c, server: c.server === 'A' ? a : b })));
    const seen = () => ordered(normalised(this.fleet.commands.slice(this.#begun).filter(c => !isLost(c)), names));
    try {
      await this.fleet.until(() => isDeepStrictEqual(seen(), expected), () => `${vector}: ${show(seen())} instead of ${show(expected)}`);
    } finally {
      this.begin();
    }
    return result;
  }

  /** A step that sends a text of its own, `act(text)`, which exactly these clients get. `size`: characters of the text. */
  async sends(vector, receivers, act, { edits = [], size = 0, ...options } = {}) {
    const text = `text ${++texts} `.padEnd(size, 'z').slice(0, size || undefined);
    receivers.forEach(receiver => this.owes(receiver, text));
    await this.looksLike(vector, () => act(text), { ...options, edits: [...edits, ['"hi"', JSON.stringify(text)]] });
    await Promise.all(receivers.map(receiver => receiver.until(() => receiver.texts.includes(text), () => `${text} at ${receiver.id}`)));
  }
  owes(receiver, text) { this.#ledger.owes(receiver, text); }

  /** Waits for a last message, compares all that anybody ever received, and disconnects everybody. */
  async settle(redis) {
    await this.sends('All', [this.x1, this.x2, this.y1, this.y2], text => this.x1.invoke('SendAll', text));
    for (const client of this.#clients) this.#ledger.check(client);
    await Promise.all([...this.#clients].map(client => client.stop()));
    const ids = [...this.#clients].map(client => client.id);
    const left = channel => /:(group|user):/.test(channel) || ids.some(id => channel.endsWith(id));
    await poll(() => redis.channels(), channels => !channels.some(left), 'no channel of those who have left');
  }
}

/** Of the row that waits all the time for a connection that is nowhere. */
const isLost = ({ decoded }) => decoded?.connection === 'nobody' && decoded?.group === 'lost';
const show = commands => JSON.stringify(commands).slice(0, 900);
