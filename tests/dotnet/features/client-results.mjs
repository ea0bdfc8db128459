import assert from 'node:assert/strict';

const needsResults = ({ client }) => client.before(7, 'client results');
const ask = more => ({ method: 'Ask', answer: 'blue', ...more });

export const clientResults = [
  {
    feature: 'client results',
    lacking: needsResults,
    async run(stage) {
      const client = await stage.open({ listen: [ask()] });
      assert.equal(await stage.first.invoke('AskClient', client.id, 'colour?'), 'blue');
      assert.deepEqual(client.calls('Ask'), [['colour?']]);
      const answers = await Promise.all(Array.from({ length: 10 }, () => stage.second.invoke('AskClient', client.id, 'again?')));
      assert.deepEqual(answers, Array.from({ length: 10 }, () => 'blue'));
    },
  },
  {
    feature: 'client result that throws',
    lacking: needsResults,
    async run(stage) {
      const client = await stage.open({ listen: [ask({ throw: 'no idea' })] });
      assert.equal(await stage.first.invoke('AskClient', client.id, 'colour?'), 'HubException: no idea');
    },
  },
  {
    feature: 'client result without a handler',
    lacking: needsResults,
    async run(stage) {
      const client = await stage.open();
      assert.equal(await stage.first.invoke('AskClient', client.id, 'colour?'), 'HubException: Client failed to parse argument(s).');
    },
  },
  {
    feature: 'client result that never comes',
    lacking: needsResults,
    async run(stage) {
      const client = await stage.open({ listen: [ask({ afterMs: -1 })] });
      assert.match(await stage.first.invoke('AskWithin', client.id, 100), /Canceled/i);
      const asked = stage.first.invoke('AskClient', client.id, 'colour?');
      await client.until(() => client.calls('Ask').length === 2);
      await client.stop();
      assert.equal(await asked, `IOException: Connection '${client.id}' disconnected.`);
    },
  },
  {
    feature: 'client result of nobody',
    lacking: needsResults,
    async run(stage) {
      assert.equal(await stage.first.invoke('AskClient', 'nobody', 'colour?'), "IOException: Connection 'nobody' does not exist.");
    },
  },
];
