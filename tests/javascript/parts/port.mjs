import dgram from 'node:dgram';
import net from 'node:net';

// Below the range that Linux takes outgoing ports from: a client that keeps dialling a server which is down could
// otherwise be given that very port for its own end, and connect to itself.
const [FIRST, BLOCKS] = [20_000, 240];
// A block of ports belongs to one process. It claims it by a UDP socket on the first number, which the kernel gives to one
// at a time and takes back at its end; crates/testkit and tests/python claim theirs in the same way.
const BLOCK = 50;

/** Whether something listens there. */
export function listens(port) {
  return new Promise(resolve => {
    const socket = net.connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true); });
    socket.on('error', () => resolve(false));
  });
}

/** Whether the block that begins there is this process's from now on. */
function claimed(first) {
  return new Promise(resolve => {
    const socket = dgram.createSocket('udp4');
    socket.on('error', () => { socket.close(); resolve(false); });
    socket.bind(first, '127.0.0.1', () => { socket.unref(); resolve(true); });
  });
}

let [next, end, claiming] = [0, 0, undefined];

async function claim() {
  let first;
  do first = FIRST + BLOCK * Math.floor(Math.random() * BLOCKS); while (!await claimed(first));
  [next, end, claiming] = [first, first + BLOCK, undefined];
}

/** A port on which nothing listens, and which nobody else is given: a server that is down may start again on its own. */
export async function freePort() {
  for (;;) {
    while (next === end) await (claiming ??= claim());
    const port = next++;
    if (!await listens(port)) return port;
  }
}
