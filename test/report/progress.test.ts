// What the progress callback writes, with and without a terminal.

import { Writable } from 'node:stream'
import { describe, expect, it } from 'vitest'

import { progress } from '../../lib/report/progress.js'
import type { Callback } from '../../lib/training/callbacks.js'
import { earlyStopping } from '../../lib/training/early-stopping.js'
import { refusal } from '../support/refusal.js'
import { data, model } from '../support/small-data.js'

const train = data({ rows: 400 })

/** What a terminal, or a file, was given. */
function screen(isTTY: boolean): { stream: NodeJS.WriteStream; text: () => string } {
  let text = ''
  const stream = new Writable({
    write(chunk: Buffer, _, done) {
      text += chunk.toString()
      done()
    },
  })
  return { stream: Object.assign(stream, { isTTY, columns: 80 }) as never, text: () => text }
}

describe.each([true, false])('on a terminal: %s', (isTTY) => {
  it('shows every line of every run, of the shortest too', async () => {
    const { stream, text } = screen(isTTY)
    const shown = progress({ stream, interval: 5000 })
    for (const epochs of [1, 3]) {
      using net = model()
      await net.fit(train, { epochs, callbacks: [shown] })
      for (let epoch = 1; epoch <= epochs; epoch += 1) expect(text()).toContain(`epoch ${epoch}/${epochs}  `)
    }
    expect(text().split('parameters; 400 rows')).toHaveLength(3)
  })

  it('says why a run has ended, and whose weights there are', async () => {
    const { stream, text } = screen(isTTY)
    using net = model()
    const worse = earlyStopping({ monitor: 'loss', mode: 'max', patience: 1 })
    await net.fit(train, { epochs: 9, callbacks: [worse, progress({ stream })] })
    expect(text()).toMatch(/stopped after epoch 2: loss has not become better for 1 epoch\nweights taken back to epoch 1\n$/)
  })

  it('takes no cursor and no line wrap from the terminal', async () => {
    const { stream, text } = screen(isTTY)
    using net = model()
    await net.fit(train, { epochs: 2, callbacks: [progress({ stream, interval: 1 })] })
    for (const mode of ['25l', '7l']) expect(text()).not.toContain(`\u001b[?${mode}`)
  })
})

it.each([undefined, 'no driver'])('says why a GPU is not used: %s', async (fallback) => {
  const { stream, text } = screen(false)
  const shown = progress({ stream })
  using net = model()
  const onStart: Callback['onStart'] = (plan, control) => shown.onStart?.({ ...plan, fallback }, control)
  await net.fit(train, { callbacks: [{ onStart }] })
  expect(text().split('\n').slice(1)).toEqual(
    fallback === undefined ? [''] : ['the GPU of this machine is not used: no driver', ''],
  )
})

it.each<[unknown, Error]>([
  [{ baar: true }, refusal('ARGUMENT', { field: 'progress.baar', says: 'bar' })],
  [{ bar: 'yes' }, refusal('ARGUMENT', { field: 'progress.bar', says: '"yes"' })],
  [{ interval: 0 }, refusal('ARGUMENT', { field: 'progress.interval', says: '0' })],
  [{ interval: '1 s' }, refusal('ARGUMENT', { field: 'progress.interval', says: '"1 s"' })],
  [{ stream: 'stderr' }, refusal('ARGUMENT', { field: 'progress.stream', says: '"stderr"' })],
  [{ stream: null }, refusal('ARGUMENT', { field: 'progress.stream' })],
  [null, refusal('ARGUMENT', { field: 'progress' })],
])('refuses %o', (options, message) => {
  expect(() => progress(options as never)).toThrow(message)
})
