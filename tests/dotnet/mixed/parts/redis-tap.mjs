import { once } from 'node:events';
import { tap } from '../../../../conformance/redis/tap.mjs';
import { freePort } from '../../../javascript/parts/port.mjs';

const PUSHES = new Set(['message', 'closed']);

/** Stands between a server and Redis and tells what the server asks of it, in order. */
export class RedisTap {
  #unanswered = new Map();

  /** `saw` is called with each command, `{ command, channel, decoded, payload }`; `answered` once PUBLISH has its count in it. */
  static async start(redisPort, saw, answered) {
    const made = new RedisTap();
    made.port = await freePort();
    made.listener = tap(made.port, `127.0.0.1:${redisPort}`, record => made.#passed(record, saw, answered));
    await once(made.listener, 'listening');
    return made;
  }

  #passed({ id, direction, kind, text, channel, decoded, payload }, saw, answered) {
    if (!this.#unanswered.has(id)) this.#unanswered.set(id, []);
    const unanswered = this.#unanswered.get(id);
    if (direction === '>' && kind !== 'closed') {
      const command = { command: kind.toUpperCase(), channel: channel ?? text.replace(/^\[\w+ (.*)\]$/s, '$1'), decoded, payload };
      unanswered.push(command);
      saw(command);
    } else if (direction === '<' && !PUSHES.has(kind)) {
      // A link answers its commands in their order.
      const command = unanswered.shift();
      if (command?.command === 'PUBLISH') answered(Object.assign(command, { receivers: Number(text) }));
    }
  }

  end() { this.listener.close(); }
}
