import assert from 'node:assert/strict';

/** Does something that sends `text`, and says which of `people` got it. */
async function reached(stage, people, text, send) {
  await send(text);
  await stage.settled(stage.first, Object.values(people));
  return Object.keys(people).filter(name => people[name].texts.includes(text));
}

async function three(stage, users = []) {
  const [ada, bob, cy] = await Promise.all([0, 1, 2].map(i => stage.open({ user: users[i] })));
  return { ada, bob, cy };
}

export const targets = [
  {
    feature: 'broadcasts',
    async run(stage) {
      const people = await three(stage);
      const { ada, bob } = people;
      const to = async (...call) => {
        const text = stage.unique(call[0]);
        return reached(stage, people, text, () => ada.invoke(...call, text));
      };
      assert.deepEqual(await to('SendAll'), ['ada', 'bob', 'cy']);
      assert.deepEqual(await to('SendOthers'), ['bob', 'cy']);
      assert.deepEqual(await to('SendCaller'), ['ada']);
      assert.deepEqual(await to('SendAllExcept', [ada.id, bob.id]), ['cy']);
      assert.deepEqual(await to('SendClient', bob.id), ['bob']);
      assert.deepEqual(await to('SendClients', [ada.id, bob.id]), ['ada', 'bob']);
    },
  },
  {
    feature: 'groups',
    async run(stage) {
      const people = await three(stage);
      const { ada, bob, cy } = people;
      const [red, blue] = [stage.unique('red'), stage.unique('blue')];
      const to = async (method, ...target) => {
        const text = stage.unique(method);
        return reached(stage, people, text, () => ada.invoke(method, ...target, text));
      };
      for (const client of [ada, bob]) await client.invoke('JoinGroup', red);
      await cy.invoke('JoinGroup', blue);
      assert.deepEqual(await to('SendGroup', red), ['ada', 'bob']);
      assert.deepEqual(await to('SendGroups', [red, blue]), ['ada', 'bob', 'cy']);
      assert.deepEqual(await to('SendOthersInGroup', red), ['bob']);
      assert.deepEqual(await to('SendGroupExcept', red, [bob.id]), ['ada']);
      await bob.invoke('LeaveGroup', red);
      assert.deepEqual(await to('SendGroup', red), ['ada']);
    },
  },
  {
    feature: 'users',
    async run(stage) {
      const [ada, bob] = [stage.unique('ada'), stage.unique('bob')];
      const people = await three(stage, [ada, bob, ada]);
      const to = async (method, target) => {
        const text = stage.unique(method);
        return reached(stage, people, text, () => people.bob.invoke(method, target, text));
      };
      assert.deepEqual(await to('SendUser', ada), ['ada', 'cy']);
      assert.deepEqual(await to('SendUsers', [ada, bob]), ['ada', 'bob', 'cy']);
    },
  },
  {
    feature: 'sends from outside a hub',
    async run(stage) {
      const text = stage.unique('context');
      await stage.server.post(`/send/client/${stage.first.id}?text=${text}`);
      await stage.first.text(text);
      const call = stage.first.calls('Receive').find(([, received]) => received === text);
      assert.deepEqual(call, ['context', text]);
    },
  },
];
