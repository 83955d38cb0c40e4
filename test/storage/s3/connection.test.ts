import { once } from 'node:events';
import { createServer, get, type Server } from 'node:http';
import { afterEach, expect, test } from 'vitest';
import { openAgent, type ServiceAgent } from '../../../src/storage/s3/connection.ts';
import { portOf } from '../../support/s3/latency-proxy.ts';

let server: Server;
let agent: ServiceAgent;
afterEach(() => {
  agent.destroy();
  server.close();
});

/** A server on the port, any when it is 0. @returns how many connections it has had */
async function listen(port: number): Promise<() => number> {
  let connections = 0;
  server = createServer((_request, response) => response.end('here')).listen(port, '127.0.0.1');
  server.on('connection', () => connections++);
  await once(server, 'listening');
  return () => connections;
}

async function ask(port: number): Promise<number | undefined> {
  const [response] = await once(get({ host: 'service.example', port, agent }), 'response');
  response.resume();
  await once(response, 'end');
  return response.statusCode;
}

/** The agent for a service at this port of 127.0.0.1, under another name. */
function agentTo(port: number): ServiceAgent {
  return openAgent(new URL('http://service.example'), { host: '127.0.0.1', port, verifyTls: true }, {});
}

test('the first request takes the connection that was begun before it', async () => {
  const connections = await listen(0);
  agent = agentTo(portOf(server));
  agent.openEarly({ host: 'service.example', port: 80 });
  await expect.poll(connections).toBe(1);
  expect(await ask(portOf(server))).toBe(200);
  expect(await ask(portOf(server))).toBe(200);
  expect(connections()).toBe(1);
});

test('a request to another host has a connection of its own', async () => {
  const connections = await listen(0);
  agent = agentTo(portOf(server));
  agent.openEarly({ host: 'bucket.service.example', port: 80 });
  expect(await ask(portOf(server))).toBe(200);
  expect(connections()).toBe(2);
});

test('a connection that failed early is tried again by the request', async () => {
  await listen(0);
  const port = portOf(server);
  await new Promise(resolve => server.close(resolve));
  agent = agentTo(port);
  agent.openEarly({ host: 'service.example', port: 80 });
  await new Promise(resolve => setTimeout(resolve, 50));
  const connections = await listen(port);
  expect(await ask(port)).toBe(200);
  expect(connections()).toBe(1);
});
