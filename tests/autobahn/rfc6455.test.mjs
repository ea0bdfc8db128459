// RFC 6455 on a hub's own endpoint, for machines without the Autobahn suite and for what an echo cannot show.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { answered, Changing } from '../javascript/parts/until.mjs';
import { record } from '../dotnet/parts/results.mjs';
import { Server } from '../javascript/parts/server.mjs';

const [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] = [0, 1, 2, 8, 9, 10];
const CASES = { client: 'raw sockets', version: '', environment: 'Node', transport: 'WebSockets', protocol: 'RFC 6455', feature: 'cases of our own' };
const CALL = Buffer.from('{"type":1,"invocationId":"1","target":"Add","arguments":[1,2]}\x1e');
const RESULT = '{"type":3,"invocationId":"1","result":3}';

/** One frame as a client sends it; `length` announces another length than the payload has. */
function frame(opcode, payload = '', { fin = true, rsv = 0, masked = true, length } = {}) {
  const body = Buffer.from(payload);
  const size = length ?? body.length;
  const head = size < 126 ? Buffer.from([0, size]) : size < 65536 ? Buffer.from([0, 126, size >> 8, size & 255]) : Buffer.alloc(10);
  if (size >= 65536) { head[1] = 127; head.writeBigUInt64BE(BigInt(size), 2); }
  head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  if (!masked) return Buffer.concat([head, body]);
  head[1] |= 0x80;
  const mask = randomBytes(4);
  return Buffer.concat([head, mask, body.map((byte, i) => byte ^ mask[i & 3])]);
}
const part = (opcode, payload) => frame(opcode, payload, { fin: false });
function closing(code, reason = '') {
  const payload = Buffer.alloc(2);
  payload.writeUInt16BE(code);
  return frame(CLOSE, Buffer.concat([payload, Buffer.from(reason)]));
}

/** A hub connection of which every byte is ours. */
class RawWebSocket extends Changing {
  frames = [];
  #rest = Buffer.alloc(0);

  static async open(port) {
    const raw = new RawWebSocket();
    raw.socket = net.connect(port, '127.0.0.1').setNoDelay(true);
    raw.socket.on('error', () => {});
    raw.socket.on('data', data => raw.#read(data));
    raw.socket.on('close', () => { raw.ended = true; raw.changed(); });
    const key = randomBytes(16).toString('base64');
    raw.write(`GET /conformance HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`);
    await raw.until(() => raw.opened);
    raw.write(frame(TEXT, '{"protocol":"json","version":1}\x1e'));
    await raw.until(() => raw.text.includes('{}\x1e'));
    return raw;
  }
  write(...bytes) { for (const some of bytes) this.socket.write(some); }

  #read(data) {
    this.#rest = Buffer.concat([this.#rest, data]);
    if (!this.opened) {
      const end = this.#rest.indexOf('\r\n\r\n');
      if (end < 0) return;
      assert.match(this.#rest.toString('latin1'), /^HTTP\/1\.1 101 /);
      this.opened = true;
      this.#rest = this.#rest.subarray(end + 4);
    }
    while (this.#takeFrame());
    this.changed();
  }
  #takeFrame() {
    const rest = this.#rest;
    const short = rest.length >= 2 && (rest[1] & 0x7f) < 126;
    if (!short && rest.length < 4) return false;
    const [size, at] = short ? [rest[1] & 0x7f, 2] : [rest.readUInt16BE(2), 4];
    if (rest.length < at + size) return false;
    this.frames.push({ opcode: rest[0] & 15, payload: rest.subarray(at, at + size) });
    this.#rest = rest.subarray(at + size);
    return true;
  }

  get text() { return this.frames.filter(f => f.opcode <= BINARY).map(f => f.payload.toString()).join(''); }
  get pongs() { return this.frames.filter(f => f.opcode === PONG).map(f => f.payload.toString()); }
  /** The code of the server's close frame, 1005 for none in it, or null if TCP ended without one. */
  async closed() {
    const close = () => this.frames.find(f => f.opcode === CLOSE);
    await this.until(() => close() || this.ended, () => this.text);
    const payload = close()?.payload;
    return payload ? (payload.length >= 2 ? payload.readUInt16BE(0) : 1005) : null;
  }
}

describe('RFC 6455', () => {
  let server;
  before(async () => { server = await (await Server.conformance()).start(); });
  after(() => server?.stop());

  function check(name, run) {
    test(name, async () => {
      const raw = await RawWebSocket.open(server.port);
      try {
        await answered(run(raw), name);
        record({ ...CASES, outcome: 'passed' });
      } catch (error) {
        record({ ...CASES, outcome: 'failed', detail: `${name}: ${error.message}` });
        throw error;
      } finally {
        raw.socket.destroy();
      }
    });
  }
  /** The connection goes on: a call that comes as these frames is answered. */
  const goesOn = (name, ...frames) => check(name, async raw => {
    raw.write(...frames);
    await raw.until(() => raw.text.includes(RESULT), () => raw.text);
  });
  /** The connection fails: closed with one of these codes, or cut, and nothing that follows is read. */
  const fails = (name, codes, ...frames) => check(name, async raw => {
    raw.write(...frames, frame(TEXT, CALL));
    const got = await raw.closed();
    assert.ok(got === null || [codes].flat().includes(got), `closed with ${got}, not ${codes}`);
    assert.ok(!raw.text.includes(RESULT));
  });

  goesOn('a text', frame(TEXT, CALL));
  goesOn('a binary frame', frame(BINARY, CALL));
  goesOn('two fragments', part(TEXT, CALL.subarray(0, 9)), frame(CONTINUATION, CALL.subarray(9)));
  goesOn('a fragment for each byte', part(TEXT), ...[...CALL].map(byte => part(CONTINUATION, [byte])), frame(CONTINUATION));
  goesOn('one byte of TCP at a time', ...[...frame(TEXT, CALL)].map(byte => Buffer.from([byte])));
  goesOn('empty frames before', frame(TEXT), frame(BINARY), part(TEXT), frame(CONTINUATION), frame(TEXT, CALL));
  goesOn('an unasked pong', frame(PONG, 'unasked'), frame(TEXT, CALL));
  goesOn('a length in more bytes than it needs', Buffer.from([0x81, 0xfe, 0, 2, 0, 0, 0, 0, 0x20, 0x20]), frame(TEXT, CALL));

  check('pings are answered with what they hold', async raw => {
    raw.write(frame(PING), frame(PING, 'hello'), frame(PING, 'x'.repeat(125)));
    await raw.until(() => raw.pongs.length >= 3);
    assert.deepEqual(raw.pongs, ['', 'hello', 'x'.repeat(125)]);
  });
  check('a ping between fragments', async raw => {
    raw.write(part(TEXT, CALL.subarray(0, 9)), frame(PING, 'between'));
    await raw.until(() => raw.pongs.includes('between'));
    raw.write(frame(CONTINUATION, CALL.subarray(9)));
    await raw.until(() => raw.text.includes(RESULT));
  });

  for (const rsv of [1, 2, 4, 7]) fails(`reserved bits ${rsv}`, 1002, frame(TEXT, CALL, { rsv }));
  for (const opcode of [3, 7, 11, 15]) fails(`opcode ${opcode}`, 1002, frame(opcode, 'x'));
  fails('an unmasked frame', 1002, frame(TEXT, CALL, { masked: false }));
  fails('a ping of 126 bytes', 1002, frame(PING, 'x'.repeat(126)));
  fails('a ping in fragments', 1002, part(PING, 'x'));
  fails('a close frame in fragments', 1002, part(CLOSE));
  fails('a continuation of nothing', 1002, frame(CONTINUATION, 'x'));
  fails('a new message between fragments', 1002, part(TEXT, ' '), frame(TEXT, CALL));
  fails('a length with its highest bit set', 1002, Buffer.from([0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]));

  fails('a text that is not UTF-8', 1007, frame(TEXT, [0x22, 0xc0, 0xaf]));
  fails('a text that ends within a character', 1007, frame(TEXT, [0x22, 0xe2, 0x82]));
  fails('a fragment that is not UTF-8, before the text ends', 1007, part(TEXT, [0xed, 0xa0, 0x80]));

  for (const code of [1000, 1001, 1003, 1007, 1011, 3000, 4999]) {
    check(`close with ${code}`, async raw => {
      raw.write(closing(code, 'bye'));
      const got = await raw.closed();
      assert.ok([code, 1000].includes(got), `closed with ${got}`);
    });
  }
  check('close without a code', async raw => {
    raw.write(frame(CLOSE));
    const got = await raw.closed();
    assert.ok([1000, 1005].includes(got), `closed with ${got}`);
  });
  for (const code of [0, 999, 1004, 1005, 1006, 1015, 5000, 65535]) fails(`close with ${code}`, 1002, closing(code));
  fails('close with half a code', 1002, frame(CLOSE, [3]));
  fails('close with a reason that is not UTF-8', [1002, 1007], frame(CLOSE, [3, 232, 0xff]));

  check('an announced gigabyte needs no memory', async raw => {
    raw.write(frame(BINARY, ' ', { length: 2 ** 30 }));
    raw.write('x'.repeat(40_000));
    const got = await raw.closed();
    assert.ok([null, 1000, 1009].includes(got), `closed with ${got}`);
  });
});
