// One hub served by ASP.NET Core and Hubline over one Redis: the plan in conformance/redis. HUBLINE_MIXED_CONTROL=1 plays it with
// two servers of ASP.NET Core, which says what the tests themselves are worth.
import { describe } from 'node:test';
import { playEdges } from './mixed/edges.mjs';
import { playOutages } from './mixed/outages.mjs';
import { absent } from './mixed/parts/row.mjs';
import { playRows } from './mixed/rows.mjs';

// What waits, waits at the same time.
describe('mixed fleet', { skip: absent(), concurrency: true }, () => {
  playRows();
  playEdges();
  playOutages();
});
