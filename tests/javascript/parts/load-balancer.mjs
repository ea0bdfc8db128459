import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './port.mjs';
import { Process } from './process.mjs';

const configuration = (port, folder, method, servers, host) => `
daemon off;
${process.getuid() === 0 ? 'user root;' : ''}
pid ${folder}/pid;
error_log stderr warn;
worker_processes 1;
events { worker_connections 4096; }
http {
  log_format where '$upstream_addr $request_method $uri $arg_id $arg_name';
  access_log ${folder}/access.log where;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream fleet {
    ${method}
    ${servers.map(server => `server 127.0.0.1:${server.port};`).join('\n    ')}
    keepalive 16;
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://fleet;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header Host ${host};
      proxy_buffering off;
      proxy_read_timeout 100s;
    }
  }
}
`;

/** A real nginx that sends every request to another of the servers. */
export class LoadBalancer {
  /**
   * `method`: `least_conn;`, or nothing for round-robin. `host`: what the servers see as `Host`, as nginx has it if it
   * is told nothing.
   */
  static async start(servers, { method = '', host = '$proxy_host' } = {}) {
    const balancer = new LoadBalancer();
    balancer.folder = await mkdtemp(join(tmpdir(), 'nginx-'));
    const port = balancer.port = await freePort();
    balancer.url = `http://127.0.0.1:${port}`;
    const file = join(balancer.folder, 'nginx.conf');
    await writeFile(file, configuration(port, balancer.folder, method, servers, host));
    balancer.process = await new Process('nginx', ['-c', file, '-p', balancer.folder])
      .ready(() => fetch(`${balancer.url}/health`).then(() => true, () => false));
    return balancer;
  }

  /** Where the requests of each connection token have gone so far: `Map` of token to a set of addresses. */
  async places() {
    const places = new Map();
    for (const [address, , , token] of await this.#log()) {
      if (!token || token === '-') continue;
      places.set(token, (places.get(token) ?? new Set()).add(address));
    }
    return places;
  }

  /** Where requests to a path whose query has this `name` have gone so far: addresses, in order. */
  async addresses(path, name) {
    return (await this.#log()).filter(([, , where, , whose]) => where === path && whose === name).map(([address]) => address);
  }
  async #log() {
    return (await readFile(join(this.folder, 'access.log'), 'utf8')).split('\n').map(line => line.split(' '));
  }

  async stop() {
    await this.process.stop();
    await rm(this.folder, { recursive: true });
  }
}
