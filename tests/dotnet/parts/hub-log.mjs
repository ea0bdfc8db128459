import { poll } from '../../javascript/parts/until.mjs';

/** What the conformance hub has logged on one or several servers. Each server gives out a line only once, so all have to ask here. */
export class HubLog {
  /** `{ server, text }`, so far. */
  lines = [];
  #readers;

  static async open(driver, servers) {
    const log = new HubLog();
    const connect = ({ url }) => driver.connect({ url: `${url}/conformance`, transport: 'WebSockets', protocol: 'json' });
    log.#readers = await Promise.all(servers.map(async server => ({ server, connection: await connect(server) })));
    return log;
  }

  /** Waits for a line that matches, of which the first `from` do not count. */
  async line(pattern, from = 0) {
    const find = () => this.lines.slice(from).find(({ text }) => pattern.test(text));
    await poll(() => this.#read(), () => find() !== undefined, `${pattern} in the log`);
    return find();
  }
  async #read() {
    await Promise.all(this.#readers.map(async ({ server, connection }) => {
      for (const text of await connection.invoke('TakeLog')) this.lines.push({ server, text });
    }));
    return this.lines.slice(-20);
  }
}
