// Official clients in rooms of a chat, for `cargo xtask rolling-restart`: they come back by themselves, with the client's own delays, and what they
// saw is written as `hubline-load chat` writes it.
//   node rolling-clients.mjs HUB_URL COUNT HISTORY
// It prints a line when all are in their rooms, and ends when its standard input does.
import { writeFileSync } from 'node:fs';
import { HttpTransportType, HubConnectionBuilder, LogLevel } from '@microsoft/signalr';
import { token } from './parts/token.mjs';

const TRANSPORTS = ['WebSockets', 'ServerSentEvents', 'LongPolling'];
const [url, count, history] = process.argv.slice(2);
const events = [];
const now = () => Math.round((performance.timeOrigin + performance.now()) * 1000);

class Member {
  constructor(number) {
    this.transport = TRANSPORTS[number % TRANSPORTS.length];
    this.user = `official-${number}-${this.transport}`;
    this.room = `room-${number}`;
    this.connection = new HubConnectionBuilder()
      .withUrl(url, { transport: HttpTransportType[this.transport], accessTokenFactory: () => token(this.user) })
      .configureLogging({ log: (level, text) => this.logged(level, text) })
      .withAutomaticReconnect()
      .build();
    this.connection.on('MessageReceived', message => this.saw(message, 'event'));
    this.connection.onreconnecting(error => this.left(error?.message ?? 'closed'));
    this.connection.onreconnected(() => this.back());
    this.connection.onclose(error => this.closed(error));
  }
  logged(level, text) {
    if (level >= LogLevel.Information && /attempt failed|Failed to|Error/.test(text)) this.away?.reasons.push(text);
  }
  saw({ id, from, room, text }, way) {
    if (room) events.push({ saw: { user: this.user, conversation: { room }, id: String(id), sender: from, key: text, way } });
  }
  left(reason) {
    this.away ??= { user: this.user, from: now(), reasons: [] };
    this.away.reasons.push(reason);
  }
  /** It gives up only after four attempts; whoever uses it starts again then. */
  async closed(error) {
    if (this.ended) return;
    this.left(`gave up: ${error?.message ?? 'closed'}`);
    while (!this.ended) {
      try {
        await this.connection.start();
        return await this.back();
      } catch (reason) {
        this.left(reason.message);
        await new Promise(resolve => setTimeout(resolve, 1000));
      }
    }
  }
  async join() {
    await this.connection.invoke('EnableEvents');
    await this.connection.invoke('JoinRoom', this.room);
  }
  async back() {
    try {
      await this.join();
      const { away } = this;
      this.away = undefined;
      events.push({ away: { user: away.user, from: away.from, until: now(), reasons: away.reasons } });
      await this.catchUp();
    } catch (error) {
      // The connection is lost once more, and will be back.
      this.left(error.message);
    }
  }
  async catchUp() {
    for (let more = true; more;) {
      const page = await this.connection.invoke('GetSince', { after: this.cursor, limit: 100 });
      page.messages.forEach(message => this.saw(message, 'since'));
      this.cursor = page.next ?? this.cursor;
      more = page.hasMore;
    }
  }
  async begin() {
    await this.connection.start();
    await this.join();
    events.push({ joined: { user: this.user, room: this.room } });
    await this.catchUp();
  }
  async end() {
    await this.catchUp();
    this.ended = true;
    await this.connection.stop();
  }
}

const members = Array.from({ length: Number(count) }, (_, number) => new Member(number));
await Promise.all(members.map(member => member.begin()));
console.log('joined');
process.stdin.resume();
await new Promise(resolve => process.stdin.once('end', resolve));
await Promise.all(members.map(member => member.end()));
writeFileSync(history, events.map(event => `${JSON.stringify(event)}\n`).join(''));
