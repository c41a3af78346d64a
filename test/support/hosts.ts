/**
 * A small network of hosts: network namespaces (namespaces.ts) with one interface each (eth0), joined by a bridge in a
 * namespace that is the switch.
 *
 *     client   lb1   lb2   backend1 ...
 *        |      |     |        |
 *     ---+------+-----+--------+---   bridge
 */
import { Namespaces, removeOrphans } from './namespaces.ts';

/** `hosts` by name, each with its address and prefix length (`10.77.0.1/24`). Rejects with what ip(8) said. */
export async function createNetwork(hosts: Readonly<Record<string, string>>): Promise<Network> {
  removeOrphans();
  const network = new Network();
  try {
    await network.addSwitch();
    for (const [name, address] of Object.entries(hosts)) await network.addHost(name, address);
  } catch (error) {
    network.close();
    throw error;
  }
  return network;
}

export class Network extends Namespaces {
  /** Pulls a host's cable out of the switch, or puts it back. */
  async cable(host: string, state: 'up' | 'down'): Promise<void> {
    await this.ip('switch', 'link', 'set', host, state);
  }

  /** Whether a host has this address at the moment. */
  async hasAddress(host: string, address: string): Promise<boolean> {
    return (await this.ip(host, '-o', 'address', 'show')).includes(` ${address}/`);
  }

  async addSwitch(): Promise<void> {
    await this.add('switch');
    await this.addWire('bridge');
  }

  async addHost(name: string, address: string): Promise<void> {
    await this.add(name);
    await this.plug(name, 'eth0', address, 'bridge', name);
  }

  /** One more wire, which {@link plug} joins hosts to. */
  async addWire(bridge: string): Promise<void> {
    await this.ip('switch', 'link', 'add', bridge, 'type', 'bridge');
    await this.ip('switch', 'link', 'set', bridge, 'up');
  }

  /** An interface of a host with its cable in a bridge of the switch; `port` is the cable's name there. */
  async plug(host: string, device: string, address: string, bridge: string, port: string): Promise<void> {
    const peer = ['peer', 'name', port, 'netns', this.namespace('switch')];
    await this.ip(host, 'link', 'add', device, 'type', 'veth', ...peer);
    await this.ip(host, 'address', 'add', address, 'dev', device);
    await this.ip(host, 'link', 'set', device, 'up');
    await this.ip('switch', 'link', 'set', port, 'master', bridge, 'up');
  }
}
