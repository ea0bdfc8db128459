import { equal, ok, rejects } from '../expect.mjs';

export const tokens = [
  {
    name: 'token accepted',
    async run(stage) {
      const user = stage.unique('ada');
      const client = await stage.open({ path: '/authorized', user });
      equal(await client.invoke('WhoAmI'), stage.object({ connectionId: client.id, userIdentifier: user, name: null }));
      equal(await client.invoke('SignedIn'), user, 'a method for those who are signed in');
      await rejects(client.invoke('DoctorsOnly'), "Failed to invoke 'DoctorsOnly' because user is unauthorized");
    },
  },
  {
    name: 'token in the query',
    lacking: ({ environment, transport }) =>
      (environment === 'Node' && 'only browsers need it') || (transport === 'LongPolling' && 'long polling sends it as a header'),
    async run(stage) {
      await stage.open({ path: '/authorized', user: stage.unique('ada') });
      const opening = ({ method, path }) => method === 'GET' && /^\/authorized\?.*\baccess_token=/.test(path);
      ok((await stage.host.requests()).some(opening), 'no request had access_token in its query');
    },
  },
  {
    name: 'token missing',
    async run(stage) {
      await rejects(stage.open({ path: '/authorized' }), /401|Unauthorized/);
      const response = await fetch(`${stage.url}/authorized/negotiate?negotiateVersion=1`, { method: 'POST', credentials: 'include' });
      equal(response.status, 401, 'the status');
    },
  },
  {
    name: 'token missing, without negotiation',
    lacking: ({ transport }) => transport !== 'WebSockets' && 'only WebSockets can do without negotiation',
    run: stage => rejects(stage.open({ path: '/authorized', skipNegotiation: true }), /./),
  },
];
