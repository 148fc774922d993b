// The command line in this process: what `multigate` does, without the half second that a process takes to start.

import { runCli } from '../../lib/cli/program.js'

export interface Ended {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Runs one command line in a folder. @returns how it ended, and what it wrote. */
export async function runIn(folder: string, ...args: string[]): Promise<Ended> {
  const before = process.cwd()
  const [out, err] = [collected(process.stdout), collected(process.stderr)]
  process.chdir(folder)
  try {
    const code = await runCli(args)
    // Node prints process warnings a turn later.
    await new Promise((resolve) => setImmediate(resolve))
    return { code, out: out.text(), err: err.text() }
  } finally {
    process.chdir(before)
    out.release()
    err.release()
  }
}

/** Takes what is written to a stream, until it is released. */
function collected(stream: NodeJS.WriteStream): { text(): string; release(): void } {
  const chunks: Buffer[] = []
  const { write } = stream
  stream.write = ((chunk: string | Uint8Array, ...rest: unknown[]) => {
    chunks.push(Buffer.from(chunk as string))
    const done = rest.at(-1)
    if (typeof done === 'function') process.nextTick(done as () => void)
    return true
  }) as typeof stream.write
  return {
    text: () => Buffer.concat(chunks).toString(),
    release: () => {
      stream.write = write
    },
  }
}
