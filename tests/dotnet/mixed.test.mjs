// One hub served by ASP.NET Core and Hubline over one Redis: the plan in conformance/redis. With ASP.NET Core 10 all of it, with 11
// what their wire is made of, and all three together. HUBLINE_MIXED_CONTROL=1 plays it with ASP.NET Core 10 in Hubline's place, which
// says what the tests themselves are worth.
import { describe } from 'node:test';
import { playEdges, playEdges11 } from './mixed/edges.mjs';
import { playOutages } from './mixed/outages.mjs';
import { absent } from './mixed/parts/row.mjs';
import { playRows, playRows11 } from './mixed/rows.mjs';
import { playThree } from './mixed/three.mjs';
import { NET_10, NET_11 } from './parts/clients.mjs';

// What waits, waits at the same time.
describe('mixed fleets', { concurrency: true }, () => {
  describe('with ASP.NET Core 10', { skip: absent(NET_10), concurrency: true }, () => {
    playRows();
    playEdges();
    playOutages();
  });
  describe('with ASP.NET Core 11', { skip: absent(NET_11), concurrency: true }, () => {
    playRows11();
    playEdges11();
    playThree();
  });
});
