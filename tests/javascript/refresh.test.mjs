// The hubline program renews the authentication of its users' connections, wherever the request lands.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Fleet } from './parts/fleet.mjs';
import { token } from './parts/token.mjs';

const KEY = 'conformance-signing-key-of-32-bytes-or-more';
const PATHS = ['/chathub', '/hubs/navigation-state'];
const ORIGIN = 'https://app.example.org';

async function negotiate(server, path, bearer) {
  const headers = bearer ? { authorization: `Bearer ${bearer}` } : {};
  return (await fetch(`${server.url}${path}/negotiate?negotiateVersion=1`, { method: 'POST', headers })).json();
}

/** Status and body of a refresh. */
async function refresh(server, path, connectionToken, bearer) {
  const headers = { 'X-SignalR-Connection-Token': connectionToken, ...(bearer && { authorization: `Bearer ${bearer}` }) };
  const response = await fetch(`${server.url}${path}/refresh`, { method: 'POST', headers });
  return [response.status, await response.text()];
}

describe('the program with a key that tokens are verified by', () => {
  let fleet;
  before(async () => {
    const args = [`--Jwt:Key=${KEY}`, '--Authentication:AllowAnonymous=true', `--Cors:AllowedOrigins:0=${ORIGIN}`, '--SignalR:MaximumAuthenticationExpiration=00:10:00'];
    fleet = await Fleet.hubline(2, { args });
  });
  after(() => fleet?.end());

  for (const path of PATHS) {
    test(`${path}: at either instance, for its own user alone`, async () => {
      const { connectionToken, tokenLifetimeSeconds } = await negotiate(fleet.servers[0], path, token('ada', { seconds: 300 }));
      assert.ok(tokenLifetimeSeconds > 250 && tokenLifetimeSeconds < 300, `${tokenLifetimeSeconds}`);
      for (const server of fleet.servers) {
        const [status, body] = await refresh(server, path, connectionToken, token('ada', { seconds: 5_000 }));
        assert.equal(status, 200, body);
        assert.ok([599, 600].includes(JSON.parse(body).tokenLifetimeSeconds), `${body} is not capped`);
        for (const bearer of [token('bob'), undefined]) {
          assert.deepEqual(await refresh(server, path, connectionToken, bearer), [403, '{"error":"user_changed"}']);
        }
        const [other] = PATHS.filter(other => other !== path);
        assert.deepEqual(await refresh(server, other, connectionToken, token('ada')), [404, '{"error":"connection_not_found"}']);
      }
    });
  }

  test('pages of allowed origins may send the header', async () => {
    const asked = { 'Origin': ORIGIN, 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'authorization,x-signalr-connection-token' };
    const { status, headers } = await fetch(`${fleet.servers[0].url}/chathub/refresh`, { method: 'OPTIONS', headers: asked });
    assert.equal(status, 204);
    assert.match(headers.get('access-control-allow-headers'), /x-signalr-connection-token/);
  });
});

test('without such a key, or where it is switched off, there is nothing to refresh', async t => {
  for (const args of [[], [`--Jwt:Key=${KEY}`, '--SignalR:AuthenticationRefresh=false']]) {
    const fleet = await Fleet.hubline(1, { args });
    t.after(() => fleet.end());
    const { connectionToken, tokenLifetimeSeconds } = await negotiate(fleet.servers[0], '/chathub', token('ada'));
    assert.equal(tokenLifetimeSeconds, undefined);
    assert.equal((await refresh(fleet.servers[0], '/chathub', connectionToken, token('ada')))[0], 404);
  }
});
