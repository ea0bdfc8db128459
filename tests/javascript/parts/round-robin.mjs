import net from 'node:net';

/** A load balancer that passes bytes on: each TCP connection goes to the next server. */
export class RoundRobin {
  #next = 0;

  static async start(servers) {
    const balancer = new RoundRobin();
    balancer.listener = net.createServer(client => {
      const { port } = servers[balancer.#next++ % servers.length];
      const server = net.connect(port, '127.0.0.1');
      client.pipe(server).pipe(client);
      for (const [socket, other] of [[client, server], [server, client]]) {
        socket.setNoDelay(true);
        socket.on('error', () => {});
        socket.on('close', () => other.destroy());
      }
    });
    await new Promise(resolve => balancer.listener.listen(0, '127.0.0.1', resolve));
    balancer.url = `http://127.0.0.1:${balancer.listener.address().port}`;
    return balancer;
  }

  async stop() { await new Promise(resolve => this.listener.close(resolve)); }
}
