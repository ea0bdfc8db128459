// Every target of a hub, from a hub method, on one instance and across several.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Fleet } from './parts/fleet.mjs';

// Who is connected where: name, instance, user. With fewer instances the numbers wrap around.
const PEOPLE = [['ada0', 0, 'ada'], ['bob0', 0, 'bob'], ['ada1', 1, 'ada'], ['cy1', 1, 'cy'], ['bob2', 2, 'bob'], ['guest2', 2]];
const EVERYONE = PEOPLE.map(([name]) => name);
const GROUPS = { red: ['ada0', 'cy1', 'bob2'], blue: ['ada1', 'bob2'] };
const without = (...names) => EVERYONE.filter(name => !names.includes(name));

// Target, sender, the hub method's arguments before the text, who receives.
const SENDS = [
  ['All', 'ada0', 'SendAll', () => [], EVERYONE],
  ['Others', 'ada0', 'SendOthers', () => [], without('ada0')],
  ['Caller', 'cy1', 'SendCaller', () => [], ['cy1']],
  ['AllExcept', 'ada0', 'SendAllExcept', id => [[id.bob0, id.cy1]], without('bob0', 'cy1')],
  ['AllExcept nobody', 'ada0', 'SendAllExcept', () => [[]], EVERYONE],
  ['Client on the same instance', 'ada0', 'SendClient', id => [id.bob0], ['bob0']],
  ['Client on another instance', 'ada0', 'SendClient', id => [id.bob2], ['bob2']],
  ['Client that does not exist', 'ada0', 'SendClient', () => ['nobody'], []],
  ['Clients', 'ada0', 'SendClients', id => [[id.ada0, id.ada1, id.guest2]], ['ada0', 'ada1', 'guest2']],
  ['Group', 'bob0', 'SendGroup', () => ['red'], GROUPS.red],
  ['Group of nobody', 'bob0', 'SendGroup', () => ['empty'], []],
  ['Group, another case', 'bob0', 'SendGroup', () => ['RED'], []],
  ['Groups, twice to who is in both', 'bob0', 'SendGroups', () => [['red', 'blue']], [...GROUPS.red, ...GROUPS.blue]],
  ['GroupExcept', 'bob0', 'SendGroupExcept', id => ['red', [id.cy1]], ['ada0', 'bob2']],
  ['OthersInGroup', 'ada0', 'SendOthersInGroup', () => ['red'], ['cy1', 'bob2']],
  ['User', 'guest2', 'SendUser', () => ['ada'], ['ada0', 'ada1']],
  ['User who is not there', 'guest2', 'SendUser', () => ['eve'], []],
  ['Users', 'guest2', 'SendUsers', () => [['ada', 'bob', 'eve']], ['ada0', 'ada1', 'bob0', 'bob2']],
];

for (const [setting, instances, redis] of [['one instance', 1, false], ['one instance with Redis', 1, true], ['two instances', 2, true], ['three instances', 3, true]]) {
  describe(setting, () => {
    let fleet;
    const person = {}, id = {};
    before(async () => {
      fleet = await Fleet.conformance(instances, { redis });
      for (const [name, instance, user] of PEOPLE) {
        person[name] = await fleet.client(instance, { user });
        id[name] = person[name].id;
      }
      for (const [group, names] of Object.entries(GROUPS)) for (const name of names) await person[name].invoke('JoinGroup', group);
    });
    after(() => fleet?.end());

    /** Runs a send of `text` and compares who received it, how often, and from whom. */
    async function reaches(text, names, from, send) {
      await send();
      const times = name => names.filter(n => n === name).length;
      await Promise.all(names.map(name => person[name].text(text, times(name))));
      await fleet.settled();
      for (const name of EVERYONE) {
        const got = person[name].of('Receive').filter(([, t]) => t === text);
        assert.deepEqual(got, Array(times(name)).fill([from, text]), name);
      }
    }

    for (const [target, sender, method, args, receivers] of SENDS) {
      test(target, () => reaches(target, receivers, id[sender], () => person[sender].invoke(method, ...args(id), target)));
    }

    for (let instance = 0; instance < instances; instance++) {
      const send = (path, text) => fleet.servers[instance].post(`${path}?text=${text}`);
      test(`outside a hub, instance ${instance}, All`, () => reaches(`all-${instance}`, EVERYONE, 'context', () => send('/send/all', `all-${instance}`)));
      test(`outside a hub, instance ${instance}, Group`, () => reaches(`group-${instance}`, GROUPS.blue, 'context', () => send('/send/group/blue', `group-${instance}`)));
      test(`outside a hub, instance ${instance}, User`, () => reaches(`user-${instance}`, ['bob0', 'bob2'], 'context', () => send('/send/user/bob', `user-${instance}`)));
    }

    test('a connection that left a group gets nothing more for it', async () => {
      await person.cy1.invoke('JoinGroup', 'blue');
      await reaches('joined', [...GROUPS.blue, 'cy1'], id.bob0, () => person.bob0.invoke('SendGroup', 'blue', 'joined'));
      await person.cy1.invoke('LeaveGroup', 'blue');
      await reaches('left', GROUPS.blue, id.bob0, () => person.bob0.invoke('SendGroup', 'blue', 'left'));
    });

    test('joining twice delivers once, leaving what was never joined is no error', async () => {
      await person.ada1.invoke('JoinGroup', 'blue');
      await person.ada0.invoke('LeaveGroup', 'blue');
      await reaches('twice', GROUPS.blue, id.bob0, () => person.bob0.invoke('SendGroup', 'blue', 'twice'));
    });

    test('a group name of any characters', async () => {
      const odd = 'é😀 *?[x]:a/b\\"';
      await person.guest2.invoke('JoinGroup', odd);
      await reaches('odd', ['guest2'], id.ada0, () => person.ada0.invoke('SendGroup', odd, 'odd'));
    });

    test('a new connection of a client is in no group', async () => {
      const visitor = await fleet.client(1);
      await visitor.invoke('JoinGroup', 'red');
      await person.bob0.invoke('SendGroup', 'red', 'with visitor');
      await visitor.text('with visitor');
      await visitor.stop();
      await visitor.connection.start();
      await visitor.invoke('WhoAmI');
      await person.bob0.invoke('SendGroup', 'red', 'without visitor');
      await person.ada0.text('without visitor');
      await fleet.settled();
      assert.ok(!visitor.texts.includes('without visitor'));
    });
  });
}
