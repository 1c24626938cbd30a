// Waiting in tests: for a condition, never for a time that seems long enough.

export async function until(condition: () => boolean, what: string): Promise<void> {
  const end = Date.now() + 3000;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
