// Writes a page about a run: as a callback of `fit`, and for `multigate train`.

import { execFile } from 'node:child_process'
import { cpus } from 'node:os'
import { promisify } from 'node:util'
import { z } from 'zod'

import { parseOptions } from '../core/check.js'
import type { FilePath } from '../core/path.js'
import { pathSchema } from '../core/schemas.js'
import { version } from '../core/version.js'
import { checkWritable, writeAtomically } from '../io/atomic.js'
import type { Callback, FitPlan } from '../training/callbacks.js'
import { drawPage } from './page.js'
import type { ReportedRun, Surroundings } from './run.js'

const schema = z.strictObject({ path: pathSchema })

export interface ReportOptions {
  /** Path or `file:` URL of the page. It is replaced. The folder must exist. */
  readonly path: FilePath
}

/**
 * Writes a page about the run when it ends: what to look at in words, the metrics of the epoch that was kept, losses and metrics by epoch,
 * unknown values, and with `gateStatistics` gates and experts. One HTML file without script, of at most 300 KiB. A page that cannot be drawn
 * or written is a process warning (MULTIGATE_REPORT), and the run ends as it would without.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option; in `fit`, ERR_MULTIGATE_WRITE before the first step if the file cannot be made.
 *
 * @example
 * await model.fit(train, { validation, gateStatistics: true, callbacks: [report({ path: 'report.html' })] })
 */
export function report(options: ReportOptions): Callback {
  const { path } = parseOptions('report', schema, options)
  let plan: FitPlan | undefined
  return {
    async onStart(started) {
      await checkWritable(path)
      plan = started
    },
    async onEnd(history) {
      if (plan === undefined) return
      const validation = history.epochs.find(({ epoch }) => epoch === history.weightsEpoch)?.validation
      const run = { plan, history, gates: [], results: validation === undefined ? {} : { validation } }
      await writeReport(path, run).catch((error: unknown) => {
        process.emitWarning(`report: not written: ${error instanceof Error ? error.message : String(error)}`, {
          code: 'MULTIGATE_REPORT',
        })
      })
    },
  }
}

/** Draws and writes the page. @throws ERR_MULTIGATE_WRITE. */
export async function writeReport(path: FilePath, run: ReportedRun): Promise<void> {
  const page = await drawPage(run, await surroundings())
  await writeAtomically(path, (sink) => sink.write(Buffer.from(page)))
}

async function surroundings(): Promise<Surroundings> {
  const processors = cpus()
  return {
    date: `${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC`,
    version: version(),
    node: process.version,
    machine: `${process.platform} ${process.arch}, ${processors.length} x ${processors[0]?.model.trim() ?? 'unknown processor'}`,
    commit: await commit(),
  }
}

/** The commit of the current folder; undefined outside git. */
async function commit(): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)('git', ['rev-parse', 'HEAD'], { timeout: 5000 })
    return stdout.trim()
  } catch {
    return undefined
  }
}
