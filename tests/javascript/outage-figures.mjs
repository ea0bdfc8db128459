// What 20 s without Redis cost Hubline and ASP.NET Core, each with three instances under 200 messages a second:
//   HUBLINE_CONFORMANCE_SERVER=… HUBLINE_PEER=… node outage-figures.mjs
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from './parts/client.mjs';
import { Redis } from './parts/redis.mjs';
import { Server } from './parts/server.mjs';

const INSTANCES = [0, 1, 2];
const BETWEEN_SENDS_MS = 15;
const [BEFORE_MS, AWAY_MS, AFTER_MS, SETTLING_MS] = [3000, 20_000, 5000, 8000];

const sum = numbers => numbers.reduce((a, b) => a + b, 0);

async function figures(server) {
  const redis = await Redis.start();
  const servers = await Promise.all(INSTANCES.map(() => server('--redis', redis.connectionString)));
  await Promise.all(servers.map(s => s.start()));
  const clients = await Promise.all(servers.map(s => Client.conformance(s)));
  const seen = INSTANCES.map(() => new Map());
  const [sent, failed, longestGap, lastOwn] = Array.from({ length: 4 }, () => INSTANCES.map(() => 0));
  clients.forEach((client, i) => client.connection.on('Receive', (_, text) => {
    seen[i].set(text, (seen[i].get(text) ?? 0) + 1);
    if (!text.startsWith(`${i} `)) return;
    const now = performance.now();
    if (lastOwn[i]) longestGap[i] = Math.max(longestGap[i], now - lastOwn[i]);
    lastOwn[i] = now;
  }));
  const timers = clients.map((client, i) => setInterval(() => {
    client.connection.invoke('SendAll', `${i} ${sent[i]++}`).catch(() => { failed[i]++; });
  }, BETWEEN_SENDS_MS));
  await pause(BEFORE_MS);
  await redis.stop();
  await pause(AWAY_MS);
  await redis.start();
  await pause(AFTER_MS);
  timers.forEach(clearInterval);
  await pause(SETTLING_MS);

  const result = { sent: sum(sent), failedCalls: sum(failed), missingHere: 0, missingElsewhere: 0, doubled: 0 };
  for (const from of INSTANCES) {
    for (let n = 0; n < sent[from]; n++) {
      for (const at of INSTANCES) {
        const count = seen[at].get(`${from} ${n}`) ?? 0;
        if (count === 0) result[at === from ? 'missingHere' : 'missingElsewhere']++;
        if (count > 1) result.doubled++;
      }
    }
  }
  result.longestGapHereMs = Math.round(Math.max(...longestGap));
  result.disconnected = sum(clients.map(client => client.events.length));
  await Promise.all([...clients, ...servers].map(one => one.stop()));
  await redis.stop();
  return result;
}

console.table({ 'Hubline': await figures(Server.conformance), 'ASP.NET Core': await figures(Server.peer) });
