/** Questions to a room by number: each gets its answer once, or what stands for one when the room is gone or late. */

interface Question<T> {
  readonly fallback: T;
  readonly done: (answer: T) => void;
  readonly timer: NodeJS.Timeout;
}

export class Waiting<T> {
  private readonly questions = new Map<number, Question<T>>();
  private nextId = 1;

  get size(): number {
    return this.questions.size;
  }

  /**
   * @param ask posts the question under its number; false: it cannot be asked now
   * @returns the answer; `fallback` when it cannot be asked, is given up, or takes longer than `withinMs`
   */
  wait(withinMs: number, fallback: T, ask: (id: number) => boolean): Promise<T> {
    const id = this.nextId++;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.answer(id, fallback), withinMs);
      this.questions.set(id, { fallback, done: resolve, timer });
      if (!ask(id)) this.answer(id, fallback);
    });
  }

  answer(id: number, answer: T): void {
    const question = this.questions.get(id);
    if (question === undefined) return;
    this.questions.delete(id);
    clearTimeout(question.timer);
    question.done(answer);
  }

  answerAll(answer: T): void {
    for (const id of [...this.questions.keys()]) this.answer(id, answer);
  }

  /** The room is gone. */
  giveUp(): void {
    for (const [id, { fallback }] of [...this.questions]) this.answer(id, fallback);
  }
}
