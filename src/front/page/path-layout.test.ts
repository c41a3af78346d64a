/** A path stays within its place, and no box lies on another. */
import { expect, test } from 'vitest';
import { layOut, type PathNode } from './path-layout.ts';

const node = (name: string): PathNode => ({ kind: 'kind', name, more: '', state: 'up' });

test.each([320, 390, 719, 720, 1_200])('at %d pixels', (width) => {
  for (const places of [2, 3, 4, 5]) {
    for (const otherwise of [undefined, node('other')]) {
      const nodes = Array.from({ length: places }, (_, i) => node(`${i}`));
      const layout = layOut({ nodes, otherwise }, width);
      expect(layout.width).toBeLessThanOrEqual(width);
      expect(layout.nodes).toHaveLength(places + (otherwise === undefined ? 0 : 1));
      expect(layout.arrows).toHaveLength(layout.nodes.length - 1);
      for (const [i, one] of layout.nodes.entries()) {
        expect(one.x).toBeGreaterThanOrEqual(0);
        expect(one.x + one.width).toBeLessThanOrEqual(width);
        expect(one.y + one.height).toBeLessThanOrEqual(layout.height);
        for (const other of layout.nodes.slice(i + 1)) {
          const apart = one.x + one.width <= other.x || one.y + one.height <= other.y;
          expect(apart, `${one.name} beside ${other.name}`).toBe(true);
        }
      }
    }
  }
});
