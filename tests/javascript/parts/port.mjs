import net from 'node:net';

// Below the range that Linux takes outgoing ports from: a client that keeps dialling a server which is down could
// otherwise be given that very port for its own end, and connect to itself.
const [FIRST, COUNT] = [20_000, 12_000];
// What gets a port may listen on it only later.
const given = new Set();

/** Whether something listens there. */
export function listens(port) {
  return new Promise(resolve => {
    const socket = net.connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true); });
    socket.on('error', () => resolve(false));
  });
}

export async function freePort() {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    if (given.has(port)) continue;
    given.add(port);
    if (!await listens(port)) return port;
  }
}
