import { token } from '../../javascript/parts/token.mjs';

const RETRIES_MS = Array.from({ length: 100 }, () => 50);
const RECEIVE = { method: 'Receive', arity: 2 };
let names = 0;

/** Where the features of one transport and hub protocol play: two connections that they share, and more on request. */
export class Stage {
  #opened = [];
  #begun = 0;

  /** `parts`: `{ client, driver, server, log, proxy, unlimited }`; `unlimited` is a server without a bound on messages. */
  constructor(parts, transport, protocol) { Object.assign(this, parts, { transport, protocol }); }

  async begin() {
    this.#begun = this.log.lines.length;
    if (this.second) return;
    this.first = await this.open({ via: this.server });
    this.second = await this.open({ via: this.server });
    this.#opened = [];
  }
  async finish() {
    await Promise.all([this.first, this.second].map(connection => connection?.stop()));
  }
  /** Stops what a feature opened for itself. */
  async clear() {
    await Promise.all(this.#opened.splice(0).map(connection => connection.stop()));
  }

  /** A text that nothing else uses. */
  unique(what) { return `${what}-${++names}`; }
  /** The member of a .NET object under the name that the hub protocol gives it. */
  key(name) { return this.protocol === 'messagepack' ? name[0].toUpperCase() + name.slice(1) : name; }

  /** A connection that the server has finished connecting; the options are those of `start`. */
  async open(options) {
    const connection = await this.start(options);
    connection.id = (await connection.invoke('WhoAmI'))[this.key('connectionId')];
    return connection;
  }
  /**
   * A started connection. `via`: the server, the proxy in front of it (default) or the server without bound. `user` signs
   * in, `listen` adds methods, `reconnect` and `stateful` as the client knows them; others are the driver's own.
   */
  async start({ path = '/conformance', via = this.proxy, user, listen = [], reconnect = false, stateful = false, ...more } = {}) {
    const label = this.unique('client');
    const url = new URL(path, via.url);
    url.searchParams.set('name', label);
    const connection = await this.driver.connect({
      url: url.href, transport: this.transport, protocol: this.protocol, listen: [RECEIVE, ...listen],
      ...(user && { token: token(user) }), ...(reconnect && { reconnectMs: RETRIES_MS }), ...(stateful && { statefulReconnect: true }),
      ...more,
    });
    this.#opened.push(connection);
    connection.label = label;
    return connection;
  }

  /** Returns when what `sender` sent so far has arrived everywhere: it makes "did not receive" something to wait for. */
  async settled(sender, receivers) {
    const mark = this.unique('mark');
    await sender.invoke('SendAll', mark);
    await Promise.all(receivers.map(receiver => receiver.text(mark)));
  }

  /** Waits for a line of the hub's log that matches; lines from before the feature began do not count. */
  logged(pattern) { return this.log.line(pattern, this.#begun); }
}
