import { Process } from './process.mjs';
import { program } from './server.mjs';

const START_MS = 90_000;

/** What `cargo xtask cluster 3 --as SYSTEM` starts, on free ports: Redis, PostgreSQL, three instances and nginx. */
export class Cluster {
  static async start(system) {
    const cluster = new Cluster();
    const args = ['cluster', '3', '--as', system, '--ports', 'free', '--server', program('HUBLINE_SERVER')];
    // What the machine that runs the tests has set for programs of its own must not get into the instances.
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(ASPNETCORE_|DOTNET_|ConnectionStrings__|Redis__|SignalR__)/i.test(name)));
    cluster.process = new Process(program('HUBLINE_XTASK'), args, { stdin: 'pipe', env });
    const isReady = () => cluster.process.lines.some(line => line.startsWith('Ready'));
    const tell = what => new Error(`the cluster ${what}:\n${cluster.process.lines.join('\n')}`);
    for (const limit = Date.now() + START_MS; !isReady(); await new Promise(resolve => setTimeout(resolve, 50))) {
      if (cluster.process.exited) throw tell('has ended');
      if (Date.now() > limit) {
        await cluster.end();
        throw tell('does not start');
      }
    }
    const found = pattern => cluster.process.lines.map(line => pattern.exec(line)).filter(Boolean);
    cluster.redisPort = Number(found(/^redis +127\.0\.0\.1:(\d+)/)[0][1]);
    cluster.instances = found(/^instance +(\S+) +process (\d+) +log (\S+)/).map(([, url, id, log]) => ({ url, id: Number(id), log }));
    cluster.url = found(/^nginx +(\S+)/)[0][1];
    return cluster;
  }
  get urls() { return this.instances.map(({ url }) => url); }

  /** Ends all of it; returns the exit code. */
  end() {
    this.process.child.stdin.end();
    return this.process.exitCode();
  }
}
