// The hub of calls with the official client, over two instances: what a browser's page does, but for the media.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Fleet } from './parts/fleet.mjs';
import { poll } from './parts/until.mjs';

const EVENTS = [
  'IncomingCall', 'CallAccepted', 'CallRejected', 'CallEnded', 'ICECandidate', 'VideoToggled', 'AudioToggled',
  'CallAnsweredElsewhere', 'CallMissed',
];
const PATH = '/videocallhub';
// As the users' own login would sign tokens.
const JWT = ['--Jwt:Key=conformance-signing-key-of-32-bytes-or-more'];
const TURN = ['--Calls:IceServers:0:Urls=stun:stun.example', '--Calls:IceServers:1:Urls=turn:turn.example', '--Calls:TurnSecret=north'];

describe('calls over two instances', () => {
  let fleet;
  before(async () => { fleet = await Fleet.hubline(2, { args: [...JWT, ...TURN, '--Calls:RingTimeout=2'] }); });
  after(() => fleet?.end());
  const client = (instance, user, messagePack) => fleet.clientOf(instance, PATH, { events: EVENTS, user, messagePack });

  for (const [caller, callee] of [[false, false], [true, true], [false, true]]) {
    const name = messagePack => messagePack ? 'MessagePack' : 'JSON';
    test(`a whole call, ${name(caller)} to ${name(callee)}`, async () => {
      const ada = await client(0, `ada-${caller}-${callee}`, caller);
      const bob = await client(1, `bob-${caller}-${callee}`, callee);
      const tablet = await client(0, `bob-${caller}-${callee}`, caller);
      const [adaId, bobId] = [`ada-${caller}-${callee}`, `bob-${caller}-${callee}`];
      const offer = JSON.stringify({ type: 'offer', sdp: 'v=0\r\n' });
      const id = await ada.invoke('InitiateCall', bobId, offer);
      for (const device of [bob, tablet]) assert.deepEqual(await device.calls('IncomingCall'), [[adaId, id, offer]]);
      const candidate = { candidate: 'candidate:1 1 udp 1 192.0.2.1 9 typ host', sdpMid: '0', sdpMLineIndex: 0 };
      await ada.invoke('SendICECandidate', id, bobId, candidate);
      await bob.invoke('AcceptCall', id, 'answer');
      assert.deepEqual(await ada.calls('CallAccepted'), [[id, 'answer']]);
      assert.deepEqual(await bob.calls('ICECandidate'), [[id, candidate]]);
      assert.deepEqual(await tablet.calls('CallAnsweredElsewhere'), [[id]]);
      await bob.invoke('SendICECandidate', id, adaId, 'text');
      assert.deepEqual(await ada.calls('ICECandidate'), [[id, 'text']]);
      await bob.invoke('ToggleVideo', id, true);
      assert.deepEqual(await ada.calls('VideoToggled'), [[bobId, true]]);
      await ada.invoke('ToggleAudio', id, true);
      assert.deepEqual(await bob.calls('AudioToggled'), [[adaId, true]]);

      // The tablet takes the call over.
      const call = await tablet.invoke('RejoinCall', id);
      assert.equal(caller ? call.Status : call.status, 'Active');
      assert.equal(caller ? call.IsCallerAudioMuted : call.isCallerAudioMuted, true);
      assert.deepEqual(await bob.calls('CallAnsweredElsewhere'), [[id]]);
      await assert.rejects(bob.invoke('ToggleVideo', id, false), /another connection of yours has this call/);

      await ada.invoke('EndCall', id);
      for (const side of [ada, tablet]) {
        const [[ended, endedAt]] = await side.calls('CallEnded');
        assert.equal(ended, id);
        assert.ok(Math.abs(new Date(endedAt) - Date.now()) < 60_000, `${endedAt}`);
      }
      assert.deepEqual(await ada.invoke('GetActiveCalls'), []);
      const [past] = await ada.invoke('GetCallHistory', caller ? { Limit: 1 } : { limit: 1 });
      assert.equal(caller ? past.CallId : past.callId, id);
      for (const one of [ada, bob, tablet]) {
        assert.ok(!one.log.some(line => line.includes('No client method')), one.log.join('\n'));
      }
    });
  }

  test('nobody answers', async () => {
    const [ada, dan] = [await client(0, 'ada', false), await client(1, 'dan', true)];
    const id = await ada.invoke('InitiateCall', 'dan', 'offer');
    assert.deepEqual(await ada.calls('CallRejected'), [[id, 'no-answer']]);
    assert.deepEqual(await dan.calls('CallMissed'), [[id, 'ada']]);
    await assert.rejects(dan.invoke('AcceptCall', id, 'answer'), /HubException: the call is over/);
  });

  test('a refusal, and a call of others', async () => {
    const [eve, fay, gus] = await Promise.all([client(0, 'eve', false), client(1, 'fay', false), client(0, 'gus', false)]);
    const id = await eve.invoke('InitiateCall', 'fay', 'offer');
    await assert.rejects(gus.invoke('EndCall', id), /HubException: there is no such call/);
    const other = await gus.invoke('InitiateCall', 'fay', 'offer');
    assert.deepEqual(await gus.calls('CallRejected'), [[other, 'busy']]);
    await fay.invoke('RejectCall', id, 'not now');
    assert.deepEqual(await eve.calls('CallRejected'), [[id, 'not now']]);
  });

  test('servers for RTCPeerConnection, with a name that expires', async () => {
    const ada = await client(0, 'ada', false);
    const [stun, turn] = await ada.invoke('GetIceServers');
    assert.deepEqual(stun, { urls: ['stun:stun.example'] });
    assert.deepEqual(turn.urls, ['turn:turn.example']);
    const [expires, user] = turn.username.split(':');
    assert.equal(user, 'ada');
    assert.ok(Math.abs(Number(expires) - Date.now() / 1000 - 12 * 3600) < 60, expires);
    assert.equal(turn.credential.length, 28);
  });

  test('nothing of what was said is in the log', () => {
    for (const server of fleet.servers) {
      const log = server.process.lines.join('\n');
      assert.match(log, /Call begins to ring|Call accepted|Call ended/);
      assert.doesNotMatch(log, /v=0|candidate:1|north/);
    }
  });
});

describe('calls of an instance that is killed', () => {
  let fleet;
  before(async () => { fleet = await Fleet.hubline(2, { args: [...JWT, '--Calls:RejoinTimeout=1'] }); });
  after(() => fleet?.end());
  const client = (instance, user) => fleet.clientOf(instance, PATH, { events: EVENTS, user });
  const talk = async (caller, callee, name) => {
    const id = await caller.invoke('InitiateCall', name, 'offer');
    await callee.calls('IncomingCall');
    await callee.invoke('AcceptCall', id, 'answer');
    await caller.calls('CallAccepted');
    return id;
  };

  test('who comes back elsewhere goes on, and of who does not the other side hears the end', async () => {
    const [ada, bob, cy, dan] = await Promise.all([client(0, 'ada'), client(1, 'bob'), client(0, 'cy'), client(1, 'dan')]);
    const [goesOn, ends] = [await talk(ada, bob, 'bob'), await talk(cy, dan, 'dan')];
    const killed = Date.now();
    await fleet.servers[0].process.kill();
    const back = await client(1, 'ada');
    assert.equal((await back.invoke('RejoinCall', goesOn)).status, 'Active');
    await bob.invoke('ToggleAudio', goesOn, true);
    assert.deepEqual(await back.calls('AudioToggled'), [['bob', true]]);
    // The lease of the instance has to end first, 15 s, and one wait is 20 s.
    const [[ended]] = await dan.calls('CallEnded').catch(() => dan.calls('CallEnded')).catch(error => {
      throw new Error(`${error.message}\n${fleet.servers[1].process.lines.join('\n')}`);
    });
    assert.equal(ended, ends);
    assert.ok(Date.now() - killed < 30_000);
    assert.deepEqual(await dan.invoke('GetActiveCalls'), []);
    await poll(() => dan.invoke('GetCallHistory', { limit: 1 }), ([past]) => past?.outcome === 'lost', 'the history');
    assert.equal((await back.invoke('GetActiveCalls'))[0].callId, goesOn);
    await back.invoke('EndCall', goesOn);
    assert.deepEqual((await bob.calls('CallEnded')).map(([id]) => id), [goesOn]);
  });
});
