// What a case talks through: WebSocket, server-sent events, long polling and single requests.
import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import net from 'node:net';
import { decode, encode } from './msgpack.mjs';

/** The headers that count; any other is the server's own affair. */
const HEADERS = ['access-control-allow-credentials', 'access-control-allow-headers', 'access-control-allow-methods',
  'access-control-allow-origin', 'allow', 'cache-control', 'content-encoding', 'content-length', 'content-type', 'expires',
  'pragma', 'sec-websocket-extensions', 'sec-websocket-protocol', 'www-authenticate'];
const OPCODES = ['continuation', 'text', 'binary', 'reserved', , , , , 'close', 'ping', 'pong'];

/** A case cannot go on: its server did what no step of it allows. */
export class Failure extends Error {}

/** Splits what a server sends into hub messages; every unit (frame, event, body) must hold only whole ones. */
class Inbox {
  constructor({ protocol = 'json', handshake = true, passive = false }) {
    Object.assign(this, { protocol, passive, handshaking: handshake, messages: [], opcodes: [], pongs: [], raw: '', closed: null, problems: [], waiters: [] });
  }
  unit(bytes, opcode) {
    let rest = bytes;
    while (rest.length > 0) {
      const binary = this.protocol === 'messagepack' && !this.handshaking;
      const size = binary ? packedSize(rest) : rest.indexOf(0x1e) + 1;
      if (size <= 0 || size > rest.length) { this.problems.push(`a unit does not end with a whole hub message: ${rest.toString('hex').slice(0, 80)}`); break; }
      const body = rest.subarray(0, size);
      this.messages.push({ ...(binary ? unpacked(body) : { text: body.subarray(0, -1).toString('utf8') }), opcode });
      this.handshaking = false;
      rest = rest.subarray(size);
    }
    this.wake();
  }
  end(how) { this.closed ??= how; this.wake(); }
  wake() { for (const w of this.waiters.splice(0)) w(); }
  async until(done, ms) {
    const limit = Date.now() + ms;
    while (!done()) {
      const left = limit - Date.now();
      if (left <= 0) return false;
      let timer;
      await Promise.race([new Promise(r => this.waiters.push(r)), new Promise(r => { timer = setTimeout(r, left); })]);
      clearTimeout(timer);
    }
    return true;
  }
}

function varInt(bytes) {
  let size = 0, n = 0;
  for (; n < Math.min(5, bytes.length); n++) {
    size += (bytes[n] & 0x7f) * 2 ** (7 * n);
    if (bytes[n] < 0x80) return [size, n + 1];
  }
  return [NaN, n];
}
function packedSize(bytes) { const [size, prefix] = varInt(bytes); return Number.isNaN(size) ? -1 : prefix + size; }
function unpacked(bytes) {
  const [, prefix] = varInt(bytes);
  return { hex: bytes.toString('hex'), value: decode(bytes.subarray(prefix)) };
}
export function packed(message) {
  const body = encode(message), prefix = [];
  let n = body.length;
  do { prefix.push((n & 0x7f) | (n > 127 ? 0x80 : 0)); n >>= 7; } while (n > 0);
  return Buffer.concat([Buffer.from(prefix), body]);
}

export class WebSocketConnection extends Inbox {
  static async open(url, options) {
    const c = new WebSocketConnection(options);
    const u = new URL(url), key = randomBytes(16).toString('base64');
    c.socket = net.connect(u.port, u.hostname);
    c.socket.setNoDelay(true);
    const headers = { Host: u.host, Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': key, ...options.headers };
    const response = new Promise((resolve, reject) => {
      let buffer = Buffer.alloc(0);
      c.socket.on('data', data => {
        buffer = Buffer.concat([buffer, data]);
        if (c.open) { buffer = c.frames(buffer); return; }
        const end = buffer.indexOf('\r\n\r\n');
        if (end < 0) return;
        const head = parseHead(buffer.subarray(0, end).toString('latin1'));
        if (head.status === 101) {
          const want = createHash('sha1').update(key + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
          if (head.all['sec-websocket-accept'] !== want) c.problems.push('wrong Sec-WebSocket-Accept');
          c.open = true;
          buffer = c.frames(buffer.subarray(end + 4));
          resolve({ status: 101, headers: head.headers });
        } else {
          const body = wholeBody(head, buffer.subarray(end + 4).toString('latin1'));
          if (body === null) return;
          resolve({ status: head.status, headers: head.headers, body });
          c.socket.destroy();
        }
      });
      c.socket.on('error', e => { c.end({ eof: true }); reject(new Failure(`websocket: ${e.message}`)); });
      c.socket.on('close', () => { c.end({ eof: true }); reject(new Failure('websocket: connection closed before the response')); });
    });
    c.socket.write(`GET ${u.pathname}${u.search} HTTP/1.1\r\n${Object.entries(headers).map(([k, v]) => `${k}: ${v}\r\n`).join('')}\r\n`);
    c.response = await response;
    return c;
  }
  frames(buffer) {
    for (;;) {
      if (buffer.length < 2) return buffer;
      let size = buffer[1] & 0x7f, at = 2;
      if (size === 126) { if (buffer.length < 4) return buffer; size = buffer.readUInt16BE(2); at = 4; }
      else if (size === 127) { if (buffer.length < 10) return buffer; size = Number(buffer.readBigUInt64BE(2)); at = 10; }
      if (buffer.length < at + size) return buffer;
      this.frame(buffer[0] & 0x0f, (buffer[0] & 0x80) !== 0, buffer.subarray(at, at + size));
      buffer = buffer.subarray(at + size);
    }
  }
  frame(opcode, fin, payload) {
    if (opcode === 9) return this.writeFrame({ opcode: 10, payload });
    if (opcode === 10) { this.pongs.push(payload.toString('hex')); return this.wake(); }
    if (opcode === 8) {
      if (!this.closed && !this.closing && !this.passive) this.writeFrame({ opcode: 8, payload: payload.subarray(0, 2) });
      return this.end(payload.length < 2 ? { code: 1005 } : { code: payload.readUInt16BE(0), reason: payload.subarray(2).toString('utf8') });
    }
    if (opcode !== 0) { this.parts = []; this.partsOpcode = opcode; }
    this.parts.push(payload);
    if (fin) this.unit(Buffer.concat(this.parts), OPCODES[this.partsOpcode]);
  }
  writeFrame({ opcode, payload = Buffer.alloc(0), fin = true, rsv = 0, masked = true }) {
    if (this.socket.destroyed) return;
    const n = payload.length, mask = masked ? randomBytes(4) : null;
    const head = n < 126 ? Buffer.from([0, n]) : n < 65536 ? Buffer.from([0, 126, n >> 8, n & 255]) : Buffer.alloc(10);
    if (n >= 65536) { head[1] = 127; head.writeBigUInt64BE(BigInt(n), 2); }
    head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
    if (!mask) { this.socket.write(Buffer.concat([head, payload])); return; }
    head[1] |= 0x80;
    const body = Buffer.from(payload);
    for (let i = 0; i < n; i++) body[i] ^= mask[i & 3];
    this.socket.write(Buffer.concat([head, mask, body]));
  }
  send(payload, { opcode = this.protocol === 'messagepack' ? 'binary' : 'text', fin, rsv, masked } = {}) {
    this.writeFrame({ opcode: OPCODES.indexOf(opcode), payload, fin, rsv, masked });
  }
  close(code, reason = '') {
    const payload = Buffer.alloc(code ? 2 + Buffer.byteLength(reason) : 0);
    if (code) { payload.writeUInt16BE(code); payload.write(reason, 2); }
    this.closing = true;
    this.writeFrame({ opcode: 8, payload });
  }
  kill(how) { if (how === 'fin') this.socket.destroy(); else this.socket.resetAndDestroy(); }
  dispose() { this.socket.destroy(); }
}

/** The body of a refused upgrade, or null while some of it is missing. */
function wholeBody(head, text) {
  if (head.all['transfer-encoding'] !== 'chunked') return text.length >= Number(head.all['content-length'] ?? 0) ? text : null;
  if (!text.endsWith('0\r\n\r\n')) return null;
  let body = '';
  for (let at = 0; ;) {
    const line = text.indexOf('\r\n', at), size = parseInt(text.slice(at, line), 16);
    if (size === 0) return body;
    body += text.slice(line + 2, line + 2 + size);
    at = line + 4 + size;
  }
}
function parseHead(text) {
  const [first, ...lines] = text.split('\r\n');
  const all = Object.fromEntries(lines.map(l => [l.slice(0, l.indexOf(':')).toLowerCase(), l.slice(l.indexOf(':') + 1).trim()]));
  return { status: Number(first.split(' ')[1]), headers: kept(all), all };
}
function kept(headers) {
  return Object.fromEntries(HEADERS.filter(h => headers[h] !== undefined).map(h => [h, String(headers[h])]));
}

export function request(url, { method = 'GET', headers = {}, body, onResponse, signal } = {}) {
  return new Promise((resolve, reject) => {
    const h = { ...headers };
    if (body !== undefined || method === 'POST') h['Content-Length'] ??= body?.length ?? 0;
    const req = http.request(url, { method, headers: h, agent: false, signal }, res => {
      const head = { status: res.statusCode, headers: kept(res.headers) };
      const chunks = [];
      onResponse?.(head, res);
      res.on('data', d => chunks.push(d));
      res.on('end', () => resolve({ ...head, bytes: Buffer.concat(chunks) }));
      res.on('error', reject);
      res.on('aborted', () => resolve({ ...head, bytes: Buffer.concat(chunks), aborted: true }));
    });
    req.on('error', reject);
    req.end(body);
  });
}

/** Server-sent events or long polling: receives by GET, sends by POST. */
export class HttpConnection extends Inbox {
  constructor(url, options) { super(options); this.url = url; this.headers = options.headers; this.abort = new AbortController(); }
  static async sse(url, options) {
    const c = new HttpConnection(url, options);
    let pending = '';
    await new Promise((resolve, reject) => {
      const onResponse = (head, res) => {
        c.response = head;
        res.on('data', d => {
          c.raw += d.toString('latin1');
          pending += d.toString('latin1');
          for (let at; (at = pending.indexOf('\r\n\r\n')) >= 0; pending = pending.slice(at + 4)) {
            const data = pending.slice(0, at).split('\r\n').filter(l => l.startsWith('data: ')).map(l => l.slice(6)).join('\n');
            c.unit(Buffer.from(data, 'latin1'));
          }
          c.wake();
        });
        if (head.status === 200) resolve();
      };
      request(url, { headers: { Accept: 'text/event-stream', ...c.headers }, onResponse, signal: c.abort.signal })
        .then(r => { if (r.status !== 200) c.response.body = r.bytes.toString('utf8'); c.end(r.aborted ? { aborted: true } : { eof: true }); resolve(); },
          e => { c.end({ aborted: true }); reject(e); });
    });
    return c;
  }
  static async longPolling(url, options) {
    const c = new HttpConnection(url, options);
    const poll = () => request(url, { headers: c.headers, signal: c.abort.signal });
    const first = await poll();
    c.response = { status: first.status, headers: first.headers, body: first.bytes.toString('utf8') };
    (async () => {
      let r = first;
      for (; r.status === 200; r = await poll()) c.unit(r.bytes);
      c.end({ status: r.status });
    })().catch(() => c.end({ aborted: true }));
    return c;
  }
  async send(payload) {
    const r = await request(this.url, { method: 'POST', headers: this.headers, body: payload });
    if (r.status !== 200) throw new Failure(`POST answered ${r.status} ${r.bytes}`);
  }
  kill() { this.abort.abort(); }
  dispose() { this.abort.abort(); request(this.url, { method: 'DELETE', headers: this.headers }).catch(() => {}); }
}
