// What 'auto' stands for, with a GPU that can be used and without one.

import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'

import { chooseDevice, seesGpu } from '../../lib/core/device.js'
import { MultigateError } from '../../lib/core/errors.js'
import { checkPrecision } from '../../lib/core/precision.js'
import type { NativeBinding } from '../../lib/native/binding.js'
import { refusal } from '../support/refusal.js'

const native = (available: boolean, createMemory: () => { dispose(): void } = () => ({ dispose: () => undefined })) =>
  ({
    isas: () => ['avx2'],
    devices: () => [{ name: 'cuda', available, reason: available ? '' : 'no driver' }],
    createMemory,
  }) as unknown as NativeBinding

test("'auto' takes the GPU where there is one, else the CPU, and says why", () => {
  expect(chooseDevice(native(true), 'auto', undefined)).toEqual({ device: 'cuda', reason: undefined })
  expect(chooseDevice(native(false), 'auto', undefined)).toEqual({ device: 'cpu', reason: 'no driver' })
})

test("'auto' takes the CPU where the GPU is there but cannot be used", () => {
  const busy = () => {
    throw new MultigateError('ERR_MULTIGATE_UNSUPPORTED', 'all devices are busy')
  }
  expect(chooseDevice(native(true, busy), 'auto', undefined)).toEqual({ device: 'cpu', reason: 'all devices are busy' })
})

test('a GPU is opened once', () => {
  let opened = 0
  const counted = native(true, () => ({ dispose: () => void opened++ }))
  for (let i = 0; i < 3; i++) chooseDevice(counted, 'auto', undefined)
  expect(opened).toBe(1)
})

test('an instruction set means the CPU', () => {
  expect(chooseDevice(native(true), 'auto', 'avx2')).toEqual({ device: 'cpu', reason: "isa 'avx2' is the CPU's" })
  expect(chooseDevice(native(true), 'cpu', 'avx2')).toEqual({ device: 'cpu', reason: undefined })
  expect(() => chooseDevice(native(true), 'cuda:1', 'avx2')).toThrow(
    refusal('ARGUMENT', { says: ["'avx2'", 'CPU', "'cuda:1'", "'cpu'"] }),
  )
})

test('an instruction set that is none of this machine is refused, with those that are', () => {
  expect(() => chooseDevice(native(false), 'auto', 'mmx')).toThrow(
    refusal('ARGUMENT', { field: 'isa', says: ["'avx2'", '"mmx"'] }),
  )
})

test('a GPU is seen by its number', () => {
  const folder = mkdtempSync(join(tmpdir(), 'multigate-dev-'))
  for (const other of ['null', 'nvidiactl', 'nvidia-uvm']) writeFileSync(join(folder, other), '')
  expect(seesGpu(folder)).toBe(false)
  writeFileSync(join(folder, 'nvidia3'), '')
  expect(seesGpu(folder)).toBe(true)
  expect(seesGpu(join(folder, 'none'))).toBe(false)
})

test('every GPU has tf32', () => {
  expect(checkPrecision('tf32', 'cuda:1')).toBe('tf32')
})
