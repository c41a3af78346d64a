/** One kind of trouble: it is begun, goes on until it is ended, and leaves nothing behind. */
export interface Enemy {
  readonly name: string;
  /** Resolves when it is at work; what it returns ends it. */
  begin(): Promise<() => Promise<void>>;
}

/** Does something again and again, one after the other, until it is ended. A failure of it is what the other side wants. */
export function again(everyMs: number, act: () => Promise<void> | void): () => Promise<void> {
  let isOver = false;
  const turn = async (): Promise<void> => {
    while (!isOver) {
      await Promise.resolve(act()).catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
  };
  const done = turn();
  return async () => {
    isOver = true;
    await done;
  };
}
