import net from 'node:net';

const REQUEST = /^([A-Z]+) (\S+) HTTP\/1\.1\r\n/;
const ORIGIN = /^origin: *(.*?)\r$/im;

/** Stands between a client and a server, to break their connections as a network does. */
export class TcpProxy {
  /** What was asked for, oldest first: `{ method, path, origin }`. */
  requests = [];
  #sockets = new Set();
  #blocked = false;

  static async start(port) {
    const proxy = new TcpProxy();
    proxy.port = port;
    proxy.listener = net.createServer(socket => proxy.#accept(socket));
    await new Promise(resolve => proxy.listener.listen(0, '127.0.0.1', resolve));
    proxy.url = `http://127.0.0.1:${proxy.listener.address().port}`;
    return proxy;
  }

  #accept(client) {
    if (this.#blocked) return void client.on('error', () => {}).resetAndDestroy();
    const server = net.connect(this.port, '127.0.0.1');
    client.on('data', data => this.#note(data));
    client.pipe(server).pipe(client);
    for (const [socket, other] of [[client, server], [server, client]]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => {});
      socket.on('close', () => { this.#sockets.delete(socket); other.destroy(); });
    }
  }

  /** Clients begin each request with a write of its own, so only the beginning of what arrives is looked at. */
  #note(data) {
    const head = data.toString('latin1');
    const [, method, path] = REQUEST.exec(head) ?? [];
    if (method) this.requests.push({ method, path, origin: ORIGIN.exec(head)?.[1] });
  }

  /** Resets every connection and returns how many sockets that were. New ones are let through at once. */
  cut() {
    const count = this.#sockets.size;
    for (const socket of this.#sockets) reset(socket);
    return count;
  }
  /** Resets every connection and every new one until `unblock`. */
  block() {
    this.#blocked = true;
    return this.cut();
  }
  unblock() { this.#blocked = false; }

  async end() {
    this.block();
    await new Promise(resolve => this.listener.close(resolve));
  }
}

/** One that is being ended is only closed: Node would never be done with it, and never exit. */
function reset(socket) {
  if (socket.writableEnded) socket.destroy(); else socket.resetAndDestroy();
}
