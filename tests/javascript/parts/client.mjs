import { HttpTransportType, HubConnectionBuilder, LogLevel } from '@microsoft/signalr';
import { MessagePackHubProtocol } from '@microsoft/signalr-protocol-msgpack';
import { Recorder } from './recorder.mjs';
import { token } from './token.mjs';

/** The official client over WebSockets and JSON unless told otherwise, with what it received and logged. */
export class Client extends Recorder {
  log = [];

  /** `events`: the methods that the server may call. `user`: signs in, with a new token each time it is asked for one; `bearer`: with this one. `reconnect`: tries again every 50 ms. */
  constructor(url, { events, user, bearer, transport = HttpTransportType.WebSockets, skipNegotiation = false, reconnect = false, messagePack = false } = {}) {
    const builder = new HubConnectionBuilder()
      .withUrl(url, { transport, skipNegotiation, accessTokenFactory: bearer ? () => bearer : user && (() => token(user)) })
      .configureLogging({ log: (level, text) => this.#logged(level, text) });
    if (reconnect) builder.withAutomaticReconnect({ nextRetryDelayInMilliseconds: () => 50 });
    if (messagePack) builder.withHubProtocol(new MessagePackHubProtocol());
    super(builder.build(), events);
  }
  #logged(level, text) {
    if (level < LogLevel.Information) return;
    this.log.push(text);
    this.changed();
  }

  static async connect(url, options) {
    const client = new Client(url, options);
    await client.connection.start();
    return client;
  }
  /** Connects to the conformance hub; calls are answered only when the server has finished connecting, so it has then. */
  static async conformance(server, options) {
    const client = await Client.connect(`${server.url}/conformance`, options);
    const { connectionId, ConnectionId = connectionId } = await client.invoke('WhoAmI'); // .NET's names, by protocol
    client.id = ConnectionId;
    return client;
  }

  async logged(text) {
    await this.until(() => this.log.some(l => l.includes(text)), () => `${text} in ${this.log.join('\n')}`);
  }
}
