import { Redis } from '../../../javascript/parts/redis.mjs';
import { Server } from '../../../javascript/parts/server.mjs';
import { Changing } from '../../../javascript/parts/until.mjs';
import { RedisTap } from './redis-tap.mjs';

export const HUB = 'Conformance.ConformanceHub';
export const PREFIX = 'conf:';
const UNBOUNDED = ['--parallel', '20', '--max-message', 'none'];
const isControl = Boolean(process.env.HUBLINE_MIXED_CONTROL);
/** Servers that start at the same time: all of a run at once would leave none enough of a small machine. */
const STARTS = 2;
const starting = new Set();

/** Hubline is `n`, ASP.NET Core 10 is `r` and 11 is `s`. */
const MAKES = { n: isControl ? Server.peer : Server.conformance, r: Server.peer, s: Server.peer11 };
/** Whether this server is ASP.NET Core. */
export const isReal = server => server !== 'n' || isControl;

/** Servers of several makes that serve one hub over one Redis, each behind a tap. */
export class MixedFleet extends Changing {
  /** What they asked of Redis for any hub, in order: `{ server, command, channel, decoded, receivers }`. */
  commands = [];
  servers = {};
  #taps = [];

  /**
   * `names`: which servers. `redis`: one that is there already, or not yet. `connection`: the connection string without prefix.
   * Under the name of a server: more arguments of it.
   */
  static async start({ names = ['r', 'n'], redis, connection, prefixes = {}, ...more } = {}) {
    const fleet = new MixedFleet();
    fleet.names = names;
    try {
      fleet.redis = redis ?? await Redis.start();
      fleet.ownRedis = !redis;
      await Promise.all(names.map(name => fleet.#add(name, more[name] ?? [], connection, prefixes[name])));
      return fleet;
    } catch (error) {
      await fleet.end();
      throw error;
    }
  }

  async #add(name, more, connection, prefix = PREFIX) {
    if (!connection) {
      const saw = command => { this.commands.push(Object.assign(command, { server: name })); this.changed(); };
      const tap = await RedisTap.start(this.redis.port, saw, () => this.changed());
      this.#taps.push(tap);
      connection = `127.0.0.1:${tap.port}`;
    }
    const words = [connection, `name=${name}`, ...(prefix ? [`channelPrefix=${prefix}`] : [])];
    this.servers[name] = await inTurn(async () => (await MAKES[name]('--redis', words.join(), ...UNBOUNDED, ...more)).start());
  }

  /** The other one of two. */
  other(server) { return this.names.find(name => name !== server); }

  /** What a server is called in the names of its channels; `undefined` before it has subscribed to them. */
  nameOf(server) {
    const acks = `${PREFIX}${HUB}:internal:ack:`;
    const subscribed = this.commands.findLast(c => c.server === server && c.command === 'SUBSCRIBE' && c.channel.startsWith(acks));
    return subscribed?.channel.slice(acks.length);
  }

  /** Waits until all have subscribed to the channels of the hub itself. */
  async listening() {
    const last = `${PREFIX}${HUB}:internal:return:`;
    await this.until(() => this.names.every(server => this.commands.some(c => c.server === server && c.channel.startsWith(last))));
    return this;
  }

  async end() {
    await Promise.all(Object.values(this.servers).map(server => server.process?.stop()));
    if (this.ownRedis) await this.redis.stop();
    for (const tap of this.#taps) tap.end();
  }
}

async function inTurn(start) {
  while (starting.size >= STARTS) await Promise.race(starting);
  const started = start();
  const over = started.then(() => {}, () => {}).finally(() => starting.delete(over));
  starting.add(over);
  return started;
}
