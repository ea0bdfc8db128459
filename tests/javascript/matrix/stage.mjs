// Runs unchanged in Node and in a browser.
import { Recorder } from '../parts/recorder.mjs';
import { answered, poll } from '../parts/until.mjs';

const RETRY_MS = 20;

/**
 * Where the features of one combination play: two connections that they share, and more on request.
 *
 * `modules`: `{ signalR, messagePack }`, the client under test. `options`: `{ url, directUrls, major, transport, protocol,
 * environment, run }`, where `url` leads through the proxy and `directUrls` past it, to each instance.
 * `host`: what only the test's own
 * process can do, `cut`, `block`, `unblock`, `requests` (see `TcpProxy`) and `token` (see `token`).
 */
export class Stage {
  #opened = [];
  #names = 0;

  constructor({ signalR, messagePack }, options, host) {
    Object.assign(this, { signalR, messagePack, host }, options);
  }

  /** Opens the two shared connections, and again whichever is no longer there. */
  async connect() {
    for (const shared of ['first', 'second']) {
      if (this[shared]?.connection.state !== this.signalR.HubConnectionState.Connected) this[shared] = await this.open();
    }
  }

  /** A text that no other connection of this run has used. */
  unique(what) { return `${what}-${this.run}-${++this.#names}`; }

  /** The member `name` of a .NET object under the name that the hub protocol gives it. */
  key(name) { return this.protocol === 'messagepack' ? name[0].toUpperCase() + name.slice(1) : name; }
  object(members) { return Object.fromEntries(Object.entries(members).map(([name, value]) => [this.key(name), value])); }

  /**
   * A started connection. `user`: signs in. `reconnect`: automatically. `stateful`: stateful reconnect. `direct`: past the
   * proxy, to this instance. `on`: more methods that the server may call, with what answers them.
   */
  async open(how = {}) {
    const client = this.#build(how, how.user && await this.host.token(how.user));
    this.#opened.push(client);
    await answered(client.connection.start(), 'start');
    client.id = (await client.invoke('WhoAmI'))[this.key('connectionId')];
    return client;
  }
  #build({ path = '/conformance', skipNegotiation = false, reconnect = false, stateful = false, direct, on = {} }, token) {
    const name = this.unique('connection');
    const { HubConnectionBuilder, HttpTransportType, LogLevel } = this.signalR;
    const builder = new HubConnectionBuilder()
      .withUrl(`${direct === undefined ? this.url : this.directUrls[direct]}${path}?name=${name}`, {
        transport: HttpTransportType[this.transport], skipNegotiation, ...(token && { accessTokenFactory: () => token }),
      })
      .configureLogging(LogLevel.None);
    if (this.protocol === 'messagepack') builder.withHubProtocol(new this.messagePack.MessagePackHubProtocol());
    if (reconnect) builder.withAutomaticReconnect({ nextRetryDelayInMilliseconds: () => RETRY_MS });
    if (stateful) builder.withStatefulReconnect();
    const client = new Recorder(builder.build());
    for (const [method, answer] of Object.entries(on)) client.connection.on(method, answer);
    client.name = name;
    return client;
  }

  /**
   * Returns when everything that `sender` has sent so far has arrived at `clients`: a message to all that is sent
   * afterwards has. It makes "did not receive" something to wait for.
   */
  async settled(sender, clients) {
    const mark = this.unique('mark');
    await sender.invoke('SendAll', mark);
    await Promise.all(clients.map(client => client.text(mark)));
  }

  /** Waits for a line of the server's log that matches, of any instance. */
  async logged(pattern) {
    const lines = [];
    const readers = this.directUrls.length === 1 ? [this.second] : await Promise.all(this.directUrls.map((_, direct) => this.open({ direct })));
    const look = async () => {
      for (const reader of readers) lines.push(...await reader.invoke('TakeLog'));
      return lines;
    };
    await poll(look, () => lines.some(line => pattern.test(line)), `the server's log without ${pattern}`);
  }

  /** Stops what a feature has opened for itself. */
  async clear() {
    const own = this.#opened.filter(client => client !== this.first && client !== this.second);
    this.#opened = [this.first, this.second];
    await Promise.all(own.map(client => client.stop()));
  }
  async end() {
    await Promise.all(this.#opened.map(client => client?.stop()));
  }
}
