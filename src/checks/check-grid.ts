/**
 * Points in time that checks share: those that are due about the same time begin together, as to wake up for each costs as much
 * again as a check does. One timer for each point.
 */
export class CheckGrid {
  private readonly points = new Map<number, Set<() => void>>();

  /**
   * Runs `run` at the point that is nearest to then, once.
   * @param stepMs between two points
   * @returns the point, for {@link drop}; in milliseconds of performance.now()
   */
  put(delayMs: number, stepMs: number, run: () => void): number {
    const nowMs = performance.now();
    const point = Math.max(Math.ceil(nowMs), Math.round((nowMs + delayMs) / stepMs) * stepMs);
    const others = this.points.get(point);
    if (others !== undefined) others.add(run);
    else {
      this.points.set(point, new Set([run]));
      setTimeout(() => this.reached(point), point - nowMs);
    }
    return point;
  }

  /** What was put there does not run. */
  drop(point: number, run: () => void): void {
    this.points.get(point)?.delete(run);
  }

  private reached(point: number): void {
    const due = this.points.get(point);
    this.points.delete(point);
    for (const run of due ?? []) run();
  }
}
