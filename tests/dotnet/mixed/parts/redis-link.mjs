import { once } from 'node:events';
import net from 'node:net';
import { Resp } from '../../../../conformance/redis/tap.mjs';

/** A connection to Redis for what tests do by hand. */
export class RedisLink {
  #replies = [];
  #saw;

  /** `at`: a port, or the path of a socket. */
  static async open(at) {
    const link = new RedisLink();
    const parser = new Resp();
    link.socket = net.connect(typeof at === 'string' ? { path: at } : { port: at, host: '127.0.0.1' });
    link.socket.on('data', data => { for (const reply of parser.feed(data)) link.#replied(reply); });
    // A Redis that is killed or takes another role hangs up, which is for those to judge who wait for an answer.
    link.socket.on('error', () => {});
    link.socket.on('close', () => { for (const { reject } of link.#replies.splice(0)) reject(new Error('Redis hung up')); });
    await once(link.socket, 'connect');
    return link;
  }

  #replied(reply) {
    const waiting = this.#replies.shift();
    if (waiting) waiting.resolve(reply); else this.#saw?.(String(reply));
  }

  /** Runs a command; strings and Buffers as they are. Text comes back as Buffers, errors as `{ error }`. */
  call(...words) {
    const bulk = word => { const bytes = Buffer.from(word); return [Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')]; };
    if (this.socket.destroyed) return Promise.reject(new Error('Redis hung up'));
    this.socket.write(Buffer.concat([Buffer.from(`*${words.length}\r\n`), ...words.flatMap(bulk)]));
    return new Promise((resolve, reject) => this.#replies.push({ resolve, reject }));
  }
  /** From then on `saw` gets a line for each command of anybody, and this link is good for nothing else. */
  async monitor(saw) {
    this.#saw = saw;
    await this.call('MONITOR');
  }

  /** The channels that somebody is subscribed to. */
  async channels() { return (await this.call('PUBSUB', 'CHANNELS')).map(String); }

  end() { this.socket.destroy(); }
}
