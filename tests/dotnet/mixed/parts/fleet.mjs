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

export const OTHER = { r: 'n', n: 'r' };
/** Whether this server is ASP.NET Core. */
export const isReal = server => server === 'r' || isControl;

/** A real ASP.NET Core server, `r`, and Hubline, `n`, that serve one hub over one Redis, each behind a tap. */
export class MixedFleet extends Changing {
  /** What both asked of Redis for any hub, in order: `{ server, command, channel, decoded, receivers }`. */
  commands = [];
  servers = {};
  #taps = [];

  /** `r` and `n`: more arguments. `redis`: one that is there already, or not yet. `connection`: the connection string without prefix. */
  static async start({ r = [], n = [], redis, connection, prefixes = {} } = {}) {
    const fleet = new MixedFleet();
    try {
      fleet.redis = redis ?? await Redis.start();
      fleet.ownRedis = !redis;
      const more = { r, n };
      await Promise.all(['r', 'n'].map(server => fleet.#add(server, more[server], connection, prefixes[server])));
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
    const make = isReal(name) ? Server.peer : Server.conformance;
    const words = [connection, `name=${name}`, ...(prefix ? [`channelPrefix=${prefix}`] : [])];
    this.servers[name] = await inTurn(async () => (await make('--redis', words.join(), ...UNBOUNDED, ...more)).start());
  }

  /** What a server is called in the names of its channels; `undefined` before it has subscribed to them. */
  nameOf(server) {
    const acks = `${PREFIX}${HUB}:internal:ack:`;
    const subscribed = this.commands.findLast(c => c.server === server && c.command === 'SUBSCRIBE' && c.channel.startsWith(acks));
    return subscribed?.channel.slice(acks.length);
  }

  /** Waits until both have subscribed to the channels of the hub itself. */
  async listening() {
    const last = `${PREFIX}${HUB}:internal:return:`;
    await this.until(() => ['r', 'n'].every(server => this.commands.some(c => c.server === server && c.channel.startsWith(last))));
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
