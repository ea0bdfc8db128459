// Every official .NET client on every transport with every hub protocol it knows, and token refresh with the one that can do it.
//
// HUBLINE_MATRIX_SERVER=peer   judges ASP.NET Core 11 itself instead
import { describe } from 'node:test';
import { playClient } from './matrix/client.mjs';
import { playRefresh } from './matrix/refresh.mjs';
import { CLIENTS } from './parts/clients.mjs';

if (!process.env.HUBLINE_PEER) console.log('notice: HUBLINE_PEER names no .NET client, so nothing is tested with one');

// What only waits, waits at the same time.
describe('.NET clients', { concurrency: true }, () => {
  describe('matrix', { concurrency: 2 }, () => CLIENTS.forEach(playClient));
  playRefresh();
});
