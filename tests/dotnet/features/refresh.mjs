// Tokens that are renewed while a connection lasts. Where it is on, a poll with another token renews it, too; so each that replaces
// another ends later, which makes the client's last poll with the first one change nothing.
import assert from 'node:assert/strict';
import { TcpProxy } from '../../javascript/parts/tcp-proxy.mjs';
import { token } from '../../javascript/parts/token.mjs';

const PATH = '/refreshing';
const SHORT_SECONDS = 8;
/** Half of what is left is the most that the client refreshes ahead of the end. */
const AHEAD_SECONDS = 5;
const LATER_SECONDS = 900;
const MAX_ROUNDS = 20;

const nurse = (more = {}) => token('ada', { role: 'Nurse', ...more });
const doctor = (more = {}) => token('ada', { role: 'Doctor', seconds: LATER_SECONDS, ...more });
const status = words => `Response status code does not indicate success: ${words}.`;
const [UNAUTHORIZED, FORBIDDEN, NOT_FOUND] = ['401 (Unauthorized)', '403 (Forbidden)', '404 (Not Found)'].map(status);

/** What the hub sees: the roles of the token in force. */
const sees = async (client, role) => assert.equal(await client.invoke('Principal'), `- [${role}] as ada`);
const refreshed = ({ label }, role) => new RegExp(`^refreshed ${label} - \\[${role}\\] as ada$`);

/** Those that wait for tokens to end. */
export const inTime = [
  {
    feature: 'token refreshed by the client itself',
    async run(stage) {
      const first = nurse({ seconds: SHORT_SECONDS });
      const [client, idle] = await Promise.all([AHEAD_SECONDS, -1].map(refreshBeforeSeconds => stage.open({ path: PATH, token: first, refreshBeforeSeconds })));
      await sees(client, 'Nurse');
      await client.command('token', { token: doctor() });
      await client.event('refreshed');
      await idle.event('closed'); // the first token is over
      await sees(client, 'Doctor');
      await stage.logged(refreshed(client, 'Doctor'));
      assert.deepEqual(client.of('closed'), []);
    },
  },
  {
    feature: 'token refused that the client refreshed itself',
    async run(stage) {
      const client = await stage.open({ path: PATH, token: nurse({ seconds: SHORT_SECONDS }), refreshBeforeSeconds: AHEAD_SECONDS });
      await client.command('token', { token: doctor({ role: 'Refused' }) });
      assert.equal(await client.event('refreshFailed'), FORBIDDEN);
      await sees(client, 'Nurse');
      await client.event('closed');
      await stage.logged(new RegExp(`^asked ${client.label} - to -, refused$`));
    },
  },
];

const refusals = [
  { what: 'with a token that the server refuses', give: () => doctor({ role: 'Refused' }), error: FORBIDDEN },
  { what: 'as another user', give: () => token('bob', { role: 'Doctor', seconds: LATER_SECONDS }), error: FORBIDDEN },
  { what: 'as nobody', give: () => null, error: FORBIDDEN },
  { what: 'with a token that is over', give: () => doctor({ seconds: -5 }), error: FORBIDDEN },
  { what: 'as nobody where only users may be', path: '/refreshing-authorized', give: () => null, error: UNAUTHORIZED },
  { what: 'where refreshing is off', path: '/conformance', give: doctor, error: NOT_FOUND },
].map(({ what, path = PATH, give, error }) => ({
  feature: `refresh ${what}`,
  async run(stage) {
    const client = await stage.open({ path, token: nurse() });
    await assert.rejects(client.refresh(give()), { message: error });
    assert.deepEqual(client.of('refreshFailed'), [error]);
    await sees(client, 'Nurse');
    assert.deepEqual(client.of('closed'), []);
  },
}));

/** Those by hand. */
export const byHand = [
  {
    feature: 'refresh',
    async run(stage) {
      const client = await stage.open({ path: `${PATH}?onRefreshed=send`, token: nurse() });
      await assert.rejects(client.invoke('DoctorsOnly'), /because user is unauthorized/);
      await client.refresh(doctor());
      const seconds = Number(await client.event('refreshed'));
      assert.ok(seconds > LATER_SECONDS - 20 && seconds <= LATER_SECONDS, `${seconds} s`);
      assert.equal(await client.invoke('DoctorsOnly'), 'doctor');
      await client.text('refreshed - [Doctor] as ada');
    },
  },
  ...refusals,
  {
    feature: 'refresh with an older token',
    async run(stage) {
      const client = await stage.open({ path: PATH, token: nurse() });
      await client.refresh(doctor({ seconds: 300 }));
      const seconds = Number(await client.event('refreshed'));
      assert.ok(seconds <= 300, `${seconds} s`);
      await sees(client, 'Nurse');
    },
  },
  {
    feature: 'refresh for no longer than the server allows',
    async run(stage) {
      const client = await stage.open({ path: '/refreshing-capped', token: nurse() });
      await client.refresh(doctor());
      const seconds = Number(await client.event('refreshed'));
      assert.ok(seconds > 10 && seconds <= 30, `${seconds} s`);
      await stage.logged(refreshed(client, 'Doctor'));
    },
  },
  {
    feature: 'refresh before the socket is lost and resumed',
    lacking: stage => stage.transport !== 'WebSockets' && 'WebSockets only',
    async run(stage) {
      const proxy = await TcpProxy.start(stage.proxy.port);
      try {
        const client = await stage.open({ path: PATH, via: proxy, token: nurse(), stateful: true });
        await client.refresh(doctor());
        proxy.cut();
        await sees(client, 'Doctor');
        assert.deepEqual(await client.state(), { state: 'Connected', connectionId: client.id });
      } finally {
        await proxy.end();
      }
    },
  },
];

/** Of two servers behind a balancer. */
export const elsewhere = [
  {
    feature: 'refresh at the instance that does not have the connection',
    async run(stage) {
      const client = await stage.open({ path: PATH, token: nurse() });
      const { server } = await stage.logged(new RegExp(`^connected ${client.label}$`));
      const isElsewhere = async () => (await stage.balancer.addresses(`${PATH}/refresh`, client.label)).some(address => !address.endsWith(`:${server.port}`));
      for (let round = 1; !await isElsewhere(); round++) {
        assert.ok(round <= MAX_ROUNDS, `${round} refreshes at the instance that has the connection`);
        await client.refresh(token('ada', { role: `Round${round}`, seconds: LATER_SECONDS + round }));
        await sees(client, `Round${round}`);
        await stage.logged(refreshed(client, `Round${round}`));
        // Rounds of an even number of requests would leave each refresh to the same instance.
        if (round % 2 === 1) await fetch(`${stage.proxy.url}/health`);
      }
    },
  },
];
