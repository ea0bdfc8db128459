import { once } from 'node:events';
import net from 'node:net';
import { Resp } from '../../../../conformance/redis/tap.mjs';

/** A connection to Redis for what tests do by hand. */
export class RedisLink {
  #replies = [];

  static async open(port) {
    const link = new RedisLink();
    const parser = new Resp();
    link.socket = net.connect(port, '127.0.0.1');
    link.socket.on('data', data => { for (const reply of parser.feed(data)) link.#replies.shift()(reply); });
    await once(link.socket, 'connect');
    return link;
  }

  /** Runs a command; strings and Buffers as they are. Text comes back as Buffers, errors as `{ error }`. */
  call(...words) {
    const bulk = word => { const bytes = Buffer.from(word); return [Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')]; };
    this.socket.write(Buffer.concat([Buffer.from(`*${words.length}\r\n`), ...words.flatMap(bulk)]));
    return new Promise(resolve => this.#replies.push(resolve));
  }

  /** The channels that somebody is subscribed to. */
  async channels() { return (await this.call('PUBSUB', 'CHANNELS')).map(String); }

  end() { this.socket.destroy(); }
}
