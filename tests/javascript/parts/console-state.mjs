/**
 * A fleet as `/console/hub` tells of it, always the same: three instances of a clinic, one of which drains, and a fourth that has gone. For looking at the
 * console's page, whose hub `answerAs` takes the place of.
 */
export const NOW = Date.UTC(2026, 10, 28, 9, 41);
const MINUTE = 60_000, STEP = 10_000;
const END = '\u001e';

const instance = (id, name, state, connections, more = {}) => ({
  id, name, state, version: '0.9.0', startedAt: NOW - 26 * 60 * MINUTE, heardAt: NOW - 200, roundTripMs: name === 'web-1' ? null : connections / 5000,
  figures: {
    connections, consoleConnections: name === 'web-1' ? 1 : 0,
    byTransport: {}, byProtocol: {}, byHub: [],
    messagesInPerSecond: connections / 14, messagesOutPerSecond: connections / 3.1, publishedPerSecond: connections / 14,
    calls: { perSecond: connections / 14, p50Ms: 0.5, p99Ms: 5 }, deliveries: { p50Ms: 0.5, p99Ms: 2.5 },
    slowClients: name === 'web-2' ? 2 : 0, dropped: [], refusals: name === 'web-2' ? [{ reason: 'handshake_refused', count: 3 }] : [], closed: [],
    redis: { status: 'connected', why: null, roundTripMs: 0.4, outboxMessages: 0, outboxBytes: 0, reconnects: 1 },
    database: { status: 'connected', why: null },
    timeline: { bytes: 8_400_000, limitBytes: 16_777_216, oldestAt: NOW - 20 * 60 * MINUTE },
  },
  ...more,
});

const PEOPLE = ['ada', 'dr.okafor', 'dr.lindqvist', 'reception', 'bob', 'patient-20481', 'patient-20377', 'cleo', 'dr.haddad', 'patient-20112', 'nurse.kim', 'patient-19984', 'patient-19760',
  'dr.moreau', 'patient-19432', 'patient-19218', 'grace', 'patient-18870', 'patient-18655', 'patient-18541'];

export const SNAPSHOT = {
  at: NOW, by: '3f2a9c01',
  instances: [
    instance('3f2a9c01', 'web-1', 'up', 3412),
    instance('81c7d2e4', 'web-2', 'up', 3398),
    instance('c05b11aa', 'web-3', 'draining', 3207, { startedAt: NOW - 3 * 60 * MINUTE }),
    instance('9d3e4f77', 'web-0', 'gone', 3105, { heardAt: NOW - 21 * MINUTE }),
  ],
  total: {
    connections: 10_017, consoleConnections: 1,
    byTransport: { webSockets: 9_644, serverSentEvents: 131, longPolling: 242 }, byProtocol: { json: 8_120, messagePack: 1_897 },
    byHub: [{ hub: 'ChatHub', connections: 6_204 }, { hub: 'NavigationStateHub', connections: 2_870 }, { hub: 'VideoCallHub', connections: 942 }, { hub: 'ConsoleHub', connections: 1, isConsole: true }],
    messagesInPerSecond: 715.4, messagesOutPerSecond: 3_231.7, slowClients: 2, dropped: [],
    refusals: [{ reason: 'handshake_refused', count: 3 }, { reason: 'origin', count: 41 }, { reason: 'expired', count: 12 }],
    closed: [{ reason: 'client_closed', count: 18_240 }, { reason: 'transport_lost', count: 3_310 }, { reason: 'client_timeout', count: 412 }, { reason: 'slow_client', count: 2 }],
    calls: { perSecond: 715.4, p50Ms: 0.5, p99Ms: 5 }, deliveries: { p50Ms: 0.5, p99Ms: 2.5 },
  },
  users: PEOPLE.map((name, n) => ({ name, connections: Math.max(2, 14 - n), instances: n < 6 ? 3 : n < 12 ? 2 : 1 })), usersMore: true,
  addresses: ['10.20.0.7', '10.20.0.9', '198.51.100.24', '203.0.113.80', '2001:db8:85a3::8a2e:370:7334'].map((name, n) => ({ name, connections: 812 - 190 * n, instances: 3 - (n > 3) })), addressesMore: true,
  redis: { role: 'master', version: '7.2.4', memoryBytes: 38_220_000, memoryLimitBytes: 1_073_741_824, clients: 12, commandsPerSecond: 2_180, why: null },
  isAlone: false,
};

/** A wave that looks like a day at work, the same each time. */
const wave = (n, seed) => Math.sin(n / 37 + seed) * 0.5 + Math.sin(n / 7.3 + seed * 3) * 0.25 + Math.sin(n * 1.7 + seed) * 0.03;
const points = (seed, connections, from, without = []) => Array.from({ length: 360 }, (_, n) => n).filter(n => n >= from && !(n >= without[0] && n < without[1])).map(n => [
  NOW - (359 - n) * STEP, Math.round(connections * (1 + 0.06 * wave(n, seed)) * Math.min(1, (n - from + 40) / 60)), connections / 14 * (1 + 0.3 * wave(n, seed)), connections / 3.1 * (1 + 0.35 * wave(n, seed)),
  0.5, n % 90 > 84 ? 25 : n % 40 > 33 ? 10 : 5, 0.5, n % 90 > 84 ? 5 : 2.5, 0.4 + 0.25 * Math.abs(wave(n, seed + 1)), seed === 2 && (n === 200 || n === 201) ? 1 : 0, 0, n > 190 && n < 215 ? Math.round(3 * Math.sin((n - 190) / 8)) : 0,
]);
const FIELDS = ['at', 'connections', 'messagesIn', 'messagesOut', 'callsP50Ms', 'callsP99Ms', 'deliveriesP50Ms', 'deliveriesP99Ms', 'redisMs', 'slowClients', 'dropped', 'refused'];
export const HISTORY = {
  at: NOW, stepSeconds: 10, fields: FIELDS,
  instances: [
    { id: '3f2a9c01', name: 'web-1', state: 'up', points: points(1, 3412, 0) },
    { id: '81c7d2e4', name: 'web-2', state: 'up', points: points(2, 3398, 0, [240, 262]) },
    { id: 'c05b11aa', name: 'web-3', state: 'draining', points: points(3, 3207, 120) },
    { id: '9d3e4f77', name: 'web-0', state: 'gone', points: null },
  ],
};

const found = (id, name, connected, ended, reason) => ({
  id, hub: 'ChatHub', user: 'ada', address: '10.20.0.7', transport: 'webSockets', protocol: 'json', instance: { id: '3f2a9c01', name },
  connectedAt: NOW - connected, endedAt: ended ? NOW - ended : null, reason: reason ?? null, isConsole: false,
});
export const FOUND = {
  connections: [
    found('kW3sT0qN8vYxHf2LdZ6mUA', 'web-1', 10_400), found('f9PzR1cJb7XoQe5TgWn4yQ', 'web-2', 20.7 * MINUTE), found('Zt6uHm2KpV0sLx8DaCj3eg', 'web-3', 94 * MINUTE),
    { ...found('refused-004211890312', 'web-3', 4_000, 4_000, 'expired'), transport: null, protocol: null },
    found('b1YvNq7RkE4wGz9MfSo2XA', 'web-2', 733_390, 11_000, 'slow_client'), found('Qx5cTd8JhU3nBv6WlPy0Kg', 'web-0', 98 * MINUTE, 21 * MINUTE, 'transport_lost'),
  ],
  isMore: false, silent: [],
};
const at = { id: '81c7d2e4', name: 'web-2' };
export const TIMELINE = {
  id: 'b1YvNq7RkE4wGz9MfSo2XA', hub: 'ChatHub', user: 'ada', address: '10.20.0.7', isConnected: false, isOn: true, silent: [],
  entries: [
    { at: NOW - 733_412, instance: { id: '3f2a9c01', name: 'web-1' }, kind: 'negotiated', words: 'negotiated', detail: null, isProblem: false },
    { at: NOW - 733_390, instance: at, kind: 'connected', words: 'connected to ChatHub as ada from 10.20.0.7 over a WebSocket, in JSON', detail: null, isProblem: false },
    { at: NOW - 402_118, instance: at, kind: 'resumed', words: 'resumed after 4 s away', detail: null, isProblem: false },
    { at: NOW - 61_004, instance: at, kind: 'callFailed', words: 'a call of SendToRoom failed', detail: 'HubException', isProblem: true },
    { at: NOW - 12_730, instance: at, kind: 'slow', words: 'reads slower than it is sent to: more than half of its queue is full', detail: null, isProblem: true },
    { at: NOW - 11_000, instance: at, kind: 'closed', words: 'closed: the client read too slowly (after 12 min, 341 calls, 2 failed)', detail: 'slow_client', isProblem: true },
  ],
};
export const WHO = {
  name: 'Admin:ApiKey', scope: 'full', isOpen: false, environment: 'Production', version: '0.9.0', instance: { id: '3f2a9c01', name: 'web-1' },
  hubs: ['ChatHub', 'VideoCallHub', 'NavigationStateHub'], timeline: true, updateSeconds: 2,
};
const PREVIEW = { words: 'Closes 3 connections of ada on 3 instances.', connections: 3, instances: 3, scope: 'write', isAllowed: true, silent: [] };
const KEYS = [
  { id: 'k_41', name: 'deployment', kind: 'admin', scope: 'write', user: null, isRevoked: false, expiresAt: null },
  { id: 'k_52', name: 'tablets', kind: 'virtual', scope: null, user: 'reception', isRevoked: false, expiresAt: null },
];

/** What each method of the hub answers, or a promise of that; what is thrown is the text of a HubException. */
export function fixed({ key = 'an-admin-key', isOpen = false, isOff = false, who = {}, done = 'Closed 3 connections of ada on 3 instances.' } = {}) {
  const refuse = text => { throw new Error(text); };
  let keys = KEYS;
  return {
    SignIn(given) {
      if (isOff) refuse('The console is off, because no admin key is configured; Admin__ApiKey sets one.');
      if (!isOpen && given === null) refuse('This needs an admin key.');
      if (!isOpen && given !== key) refuse('This is no admin key, or it is expired or revoked.');
      return { ...WHO, isOpen, ...(isOpen && { name: 'anybody', environment: 'Development' }), ...who };
    },
    Watch: () => SNAPSHOT,
    History: () => HISTORY,
    Find: ({ value }) => value === 'nobody' ? { ...FOUND, connections: [] } : FOUND,
    Timeline: id => ({ ...TIMELINE, id }),
    Keys: () => keys,
    Preview: () => PREVIEW,
    Act: ({ key: revoked }) => {
      keys = keys.filter(({ id }) => id !== revoked);
      return { ...PREVIEW, words: done };
    },
  };
}

/** Answers in the place of the hub, for a page of Playwright. Returns what can be done to its connections: `leave()` ends them and lets none in. */
export async function answerAs(page, methods) {
  const open = new Set();
  let isThere = true;
  const negotiated = { connectionId: 'fixed', connectionToken: 'fixed', negotiateVersion: 1, availableTransports: [{ transport: 'WebSockets', transferFormats: ['Text', 'Binary'] }] };
  await page.route('**/console/hub/negotiate*', route => isThere ? route.fulfill({ json: negotiated }) : route.abort());
  await page.routeWebSocket(/\/console\/hub/, socket => {
    open.add(socket);
    const send = message => socket.send(JSON.stringify(message) + END);
    socket.onMessage(text => {
      for (const message of text.split(END).filter(Boolean).map(JSON.parse)) answer(methods, message, send);
    });
  });
  return {
    leave() { isThere = false; for (const socket of open) socket.close(); open.clear(); },
    back() { isThere = true; },
  };
}

async function answer(methods, { protocol, type, invocationId, target, arguments: args }, send) {
  if (protocol) return send({});
  if (type !== 1 && type !== 4) return undefined;
  try {
    const result = await methods[target](...args);
    // A stream has one item, and goes on.
    return send(type === 4 ? { type: 2, invocationId, item: result } : { type: 3, invocationId, result });
  } catch (error) {
    return send({ type: 3, invocationId, error: `An unexpected error occurred invoking '${target}' on the server. HubException: ${error.message}` });
  }
}
