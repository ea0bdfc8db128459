import { equal } from '../expect.mjs';

/** Sends `text` and compares who of `clients` got it, each once and from `sender`, with `receivers`. */
async function reaches(stage, sender, clients, receivers, method, ...target) {
  const text = stage.unique(method);
  await sender.invoke(method, ...target, text);
  await stage.settled(sender, clients);
  for (const [i, client] of clients.entries()) {
    const got = client.of('Receive').filter(([, t]) => t === text);
    equal(got, receivers.includes(client) ? [[sender.id, text]] : [], `what client ${i} got by ${method}`);
  }
}

export const targets = [
  {
    name: 'broadcast',
    async run(stage) {
      const { first, second } = stage;
      const both = [first, second];
      await reaches(stage, first, both, both, 'SendAll');
      await reaches(stage, first, both, [second], 'SendOthers');
      await reaches(stage, second, both, [second], 'SendCaller');
      await reaches(stage, first, both, [second], 'SendAllExcept', [first.id]);
      await reaches(stage, first, both, [second], 'SendClient', second.id);
      await reaches(stage, first, both, both, 'SendClients', [first.id, second.id]);
    },
  },
  {
    name: 'broadcast of objects and of no arguments',
    async run(stage) {
      const person = stage.object({ name: 'Ada', age: 36, email: null, tags: [], scores: {} });
      const received = [];
      const take = method => new Promise(resolve => stage.second.connection.on(method, (...args) => { received.push([method, ...args]); resolve(); }));
      const arrived = ['ReceivePerson', 'ReceiveNone', 'ReceiveMany'].map(take);
      await stage.first.invoke('SendPersonToAll', person);
      await stage.first.invoke('SendNone');
      await stage.first.invoke('SendMany');
      await Promise.all(arrived);
      for (const [method] of received) stage.second.connection.off(method);
      const blue = stage.protocol === 'messagepack' ? 'Blue' : 2;
      equal(received, [['ReceivePerson', person], ['ReceiveNone'], ['ReceiveMany', 1, 'two', null, true, 4.5, [6, 7], blue]], 'what arrived');
    },
  },
  {
    name: 'groups',
    async run(stage) {
      const { first, second } = stage;
      const both = [first, second];
      const [red, blue] = [stage.unique('rot/é😀'), stage.unique('blue')];
      await first.invoke('JoinGroup', red);
      await second.invoke('JoinGroup', red);
      await second.invoke('JoinGroup', blue);
      await reaches(stage, first, both, both, 'SendGroup', red);
      await reaches(stage, first, both, [second], 'SendGroup', blue);
      await reaches(stage, first, both, [], 'SendGroup', blue.toUpperCase());
      await reaches(stage, first, both, [second], 'SendOthersInGroup', red);
      await reaches(stage, second, both, [first], 'SendGroupExcept', red, [second.id]);
      await second.invoke('LeaveGroup', red);
      await reaches(stage, first, both, [first], 'SendGroup', red);
    },
  },
  {
    name: 'users',
    async run(stage) {
      const [ada, bob] = [stage.unique('ada'), stage.unique('bob')];
      const clients = [await stage.open({ user: ada }), await stage.open({ user: bob }), stage.first];
      await reaches(stage, stage.second, clients, [clients[0]], 'SendUser', ada);
      await reaches(stage, stage.second, clients, clients.slice(0, 2), 'SendUsers', [ada, bob]);
      await reaches(stage, stage.second, clients, [], 'SendUser', stage.unique('eve'));
    },
  },
];
