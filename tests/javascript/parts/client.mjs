import { HttpTransportType, HubConnectionBuilder, LogLevel } from '@microsoft/signalr';
import { token } from './token.mjs';
import { answered, Changing } from './until.mjs';

/** The official client over WebSockets and JSON, with what it received. */
export class Client extends Changing {
  received = {};
  log = [];
  events = [];

  /** `events`: the methods that the server may call. `user`: signs in. `reconnect`: tries again every 50 ms. */
  constructor(url, { events = ['Receive'], user, skipNegotiation = false, reconnect = false } = {}) {
    super();
    const builder = new HubConnectionBuilder()
      .withUrl(url, { transport: HttpTransportType.WebSockets, skipNegotiation, accessTokenFactory: user && (() => token(user)) })
      .configureLogging({ log: (level, text) => { if (level >= LogLevel.Information) { this.log.push(text); this.changed(); } } });
    if (reconnect) builder.withAutomaticReconnect({ nextRetryDelayInMilliseconds: () => 50 });
    this.connection = builder.build();
    for (const method of events) {
      this.received[method] = [];
      this.connection.on(method, (...args) => { this.received[method].push(args); this.changed(); });
    }
    this.connection.onclose(error => this.#event('closed', error?.message));
    this.connection.onreconnecting(error => this.#event('reconnecting', error?.message));
    this.connection.onreconnected(id => this.#event('reconnected', id));
  }
  #event(name, detail) { this.events.push({ name, detail }); this.changed(); }

  static async connect(url, options) {
    const client = new Client(url, options);
    await client.connection.start();
    return client;
  }
  /** Connects to the conformance hub; calls are answered only when the server has finished connecting, so it has then. */
  static async conformance(server, options) {
    const client = await Client.connect(`${server.url}/conformance`, options);
    client.id = (await client.invoke('WhoAmI')).connectionId;
    return client;
  }

  invoke(method, ...args) { return answered(this.connection.invoke(method, ...args), method); }
  send(method, ...args) { return this.connection.send(method, ...args); }
  stop() { return this.connection.stop(); }

  /** What calls of `method` came with, in the order they came. */
  of(method) { return this.received[method]; }
  /** The texts of the conformance hub's messages. */
  get texts() { return this.of('Receive').map(([, text]) => text); }

  async calls(method, count = 1) {
    await this.until(() => this.of(method).length >= count, () => JSON.stringify(this.received));
    return this.of(method);
  }
  async text(text, count = 1) {
    await this.until(() => this.texts.filter(t => t === text).length >= count, () => `${text} in ${JSON.stringify(this.texts)}`);
  }
  async event(name) {
    await this.until(() => this.events.some(e => e.name === name), () => `${name} in ${JSON.stringify(this.events)}`);
    return this.events.find(e => e.name === name).detail;
  }
  async logged(text) {
    await this.until(() => this.log.some(l => l.includes(text)), () => `${text} in ${this.log.join('\n')}`);
  }
}
